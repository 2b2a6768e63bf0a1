// What a subject offers beside Subject::start, so that whole lives can be judged: many tensors at once, and every
// operation that a training program has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "harness/lives/life.h"
#include "harness/subject.h"

namespace plumbline::harness {

// One optimizer at work on the tensors of a life. Everything throws for whatever goes wrong inside, a damaged guard
// word included; InputError where the subject refuses a value.
class LifeSession {
 public:
  virtual ~LifeSession() = default;
  virtual void step(std::span<const std::span<const std::byte>> gradients) = 0;
  // What stands of a tensor; after a step also what it computed on the way.
  virtual void observe(int tensor, Observation& out) = 0;
  virtual Arithmetic arithmetic(int tensor) const = 0;
  // Every act but steps. `now`: the problem of each tensor as it stands after it.
  virtual void act(const LifeCommand& command, std::span<const Problem> now) = 0;
};

class OffersLives {
 public:
  virtual ~OffersLives() = default;
  virtual bool offers(Act act) const = 0;
  // Parameters in the order of the tensors, in their types.
  virtual std::unique_ptr<LifeSession> begin(const Life& life,
                                             std::span<const std::vector<std::byte>> parameters) const = 0;
};

}  // namespace plumbline::harness
