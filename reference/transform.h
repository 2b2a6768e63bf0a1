// One stage of an optimizer, with its own state. A transform reads the step number, the parameter, the gradient and the
// update that came so far, and leaves the next update; an optimizer is a chain of them (optimizer.h).
#pragma once
#include <cstdint>
#include <optional>

#include "reference/axes.h"
#include "reference/record.h"
#include "reference/tensor.h"

namespace plumbline::reference {

// State that a verifier may read or overwrite.
enum class Slot : uint8_t {
  row,                     // (slices, m): R
  col,                     // (slices, n): C
  second_moment,           // shape of the tensor: V
  momentum,                // shape of the tensor: M
  confidence_row,          // (slices, m): rows of S; all of S where it is not factored
  confidence_col,          // (slices, n): columns of S
  low_rank_momentum,       // (m, r) or (r, n): first moment of the projected gradient
  low_rank_second_moment,  // likewise: its second moment
  low_rank_row,            // (1, rows): its second moment, factored
  low_rank_col,            // (1, columns)
  projection,              // (r, n) for m >= n, else (m, r): P in force
  previous_norm,           // (1): what the limiter recorded
  largest_second_moment,   // shape of the tensor: the largest V so far
};

// What the numerator is divided by: V of the tensor's shape, or R_i C_j / normalizer over the batch.
struct SecondMoment {
  Tensor* full = nullptr;
  const Tensor* row = nullptr;
  const Tensor* col = nullptr;
  const Vector* normalizer = nullptr;  // (slices): mean_i R
  double factor_floor = 0;             // of R and C
  const MatrixBatch* batch = nullptr;
};

class SquareSums;

// One step of one tensor in progress. The update so far is scale * update: what only scales it never touches memory.
class Step {
 public:
  Step(int64_t step, Tensor& p, const Tensor& g, StepRecord* r)
      : t(step), parameter(p), gradient(&g), record(r), update_(&g) {}

  const int64_t t;                            // 1, 2, ...
  Tensor& parameter;                          // p; only decay and descent write it
  const Tensor* gradient;                     // g as the statistics see it
  SquareSums* sums = nullptr;                 // of some gradient of this step, where the chain has them
  const Tensor* recorded_gradient = nullptr;  // the one whose copy record->gradient is
  SecondMoment moment;                        // set by the statistics
  const Tensor* resolution = nullptr;         // of the last momentum: q of its codes; empty where it has none
  double scale = 1;
  double rho = StepRecord::kNone;        // rho_t, set by the step size
  double step_size = StepRecord::kNone;  // alpha_t
  double rms_before_limiter = StepRecord::kNone;
  bool skipped = false;      // ends the chain; the step does not count
  StepRecord* const record;  // null: nobody asks

  const Tensor& update() const { return *update_; }
  // A new update, alive until the step ends, and its RMS where it is known. The scale stays.
  void set_update(const Tensor& values, std::optional<double> known_rms = std::nullopt) {
    update_ = &values;
    rms_ = known_rms;
  }
  // The gradient replaced before anything used it.
  void set_gradient(const Tensor& values) {
    gradient = &values;
    set_update(values);
  }
  // RMS(scale * update)
  double update_rms() {
    if (!rms_) rms_ = rms(*update_);
    return std::abs(scale) * *rms_;
  }

 private:
  const Tensor* update_;
  std::optional<double> rms_;  // of *update_
};

class Transform {
 public:
  virtual ~Transform() = default;
  virtual void apply(Step& step) = 0;
  virtual Tensor* state(Slot) { return nullptr; }
};

// Makes `out` a tensor of this shape without touching memory that already fits.
inline void shape_like(Tensor& out, const Shape& shape, int64_t size) {
  if (out.shape != shape) out.shape = shape;
  if (out.data.size() != size) out.data.resize(size);
}
inline void copy_to(Tensor& out, const Tensor& from) {
  shape_like(out, from.shape, from.size());
  out.data = from.data;
}

}  // namespace plumbline::reference
