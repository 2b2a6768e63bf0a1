// Ways to run the same steps that may not change a bit: what a subject can offer beside Subject::start.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "harness/subject.h"

namespace plumbline::harness {

enum class Way : uint8_t {
  again,         // as Subject::start
  among_others,  // as the first of four tensors of a step
  reloaded,      // through a checkpoint into a new optimizer before every step
  threads,       // on more cores, or under another schedule of threads
  stream,        // on a stream of its own
  graph,         // captured once and replayed
};
const char* to_string(Way way);

class OffersWays {
 public:
  virtual ~OffersWays() = default;
  virtual std::vector<Way> ways() const = 0;
  // Throws InputError for a way that is not among them.
  virtual std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter,
                                         Way way) const = 0;
};

}  // namespace plumbline::harness
