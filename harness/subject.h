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
  Rounding rounding = Rounding::nearest;
  int64_t matrix = 0;             // values of one matrix of the batch; blocks never cross it
  int64_t row = 0;                // values of one row, which blocks do not cross either; 0: the matrix is one row
  int block = 0;                  // values per block
  uint32_t writes = 0;            // of the slot so far, which its random numbers depend on
  uint32_t place = 0;             // of the tensor among those of its optimizer, likewise
  std::vector<std::byte> values;  // float32 or bfloat16 values, or one code a value; uf4 two a byte, rows on a byte
  std::vector<float> scales;      // al8, al16, log_u8: lo, r per block; linear_u8, uf8, uf4: scale per block
  int64_t count = 0;

  int64_t row_length() const { return row > 0 ? row : matrix; }
};

// What one step left behind. Optional parts are those that a subject may not show; what it shows is judged.
struct Observation {
  std::vector<std::byte> parameter;  // in the problem's parameter type
  std::vector<SlotState> state;      // after the step
  int64_t steps_taken = 0;           // t after the step
  std::optional<int64_t> nonfinite;
  std::optional<double> parameter_rms, update_rms, clip, update_norm, limiter, bias, step_size;
  std::optional<double> previous_norm;  // state of the limiter, after the step
  std::optional<float> keep;
  // as the step used them, before storage
  std::optional<std::vector<float>> row, col, second_moment, momentum, confidence_row, confidence_col;
  std::optional<std::vector<float>> low_rank_momentum, low_rank_second_moment, low_rank_row, low_rank_col;
  std::optional<std::vector<float>> low_rank_gradient, channel_scale;
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
