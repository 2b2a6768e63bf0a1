// What is judged: anything that takes the inputs of a problem step by step and shows what it left behind. The judge
// sees nothing else of it.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/contracts/arithmetic.h"
#include "harness/problem.h"
#include "reference/optimizer.h"

namespace plumbline::harness {

// A state slot as the subject stores it.
struct SlotState {
  reference::Slot slot{};
  Storage storage = Storage::fp32;
  int64_t matrix = 0;             // values of one matrix of the batch; blocks never cross it
  int block = 0;                  // values per block
  std::vector<std::byte> values;  // float32 values, or one code a value
  std::vector<float> scales;      // al8, log_u8: lo, r per block; linear_u8: scale per block
  int64_t count = 0;
};

// What one step left behind. Optional parts are those that a subject may not show; what it shows is judged.
struct Observation {
  std::vector<std::byte> parameter;  // in the problem's parameter type
  std::vector<SlotState> state;      // after the step
  int64_t steps_taken = 0;           // t after the step
  std::optional<int64_t> nonfinite;
  std::optional<double> parameter_rms, update_rms, clip, step_size;
  std::optional<float> keep;
  std::optional<std::vector<float>> row, col, second_moment;  // as the step used them, before storage
};

// One optimizer at work on one tensor.
class Session {
 public:
  virtual ~Session() = default;
  // Takes one step and fills `out`. Throws for whatever goes wrong inside, a damaged guard word included.
  virtual void step(std::span<const std::byte> gradient, Observation& out) = 0;
  virtual Arithmetic arithmetic() const = 0;
};

class LinearSubject;

class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::string name() const = 0;
  // Why the problem cannot run here; empty when it can.
  virtual std::string cannot_run(const Problem& problem) const = 0;
  virtual std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter) const = 0;
  // The W8A8 linear layer on the same backend (harness/linear/subject.h); null: it has none.
  virtual const LinearSubject* linear() const { return nullptr; }
};

// "host", "emulator", "cuda": throws InputError for an unknown name or one that is not available here, and says why.
std::unique_ptr<Subject> make_subject(const std::string& name);
// Why a subject is not available here; empty when it is.
std::string subject_unavailable(const std::string& name);

}  // namespace plumbline::harness
