// A whole step of one tensor in the canonical evaluation order, element by element from the core functions, with every
// option that acts on the host: no tiling, no vector code, no passes over slots.
#pragma once
#include <cstdint>
#include <vector>

#include "cuda/plan/plan.h"

namespace plumbline::straight_line {

// A slot as its readers see it: what every value decodes to.
class Slot {
 public:
  Slot() = default;
  Slot(const SlotPlan& plan, int64_t slices);
  // Encodes and decodes, block by block.
  void write(const std::vector<float>& unquantized, uint32_t writes);
  const std::vector<float>& values() const { return values_; }
  const std::vector<float>& scales() const { return scales_; }  // of even codes, value by value
  float operator[](int64_t i) const { return values_[size_t(i)]; }

 private:
  SlotPlan plan_;
  std::vector<float> values_, scales_;
};

class Step {
 public:
  // Options of group 0 and the tensor alone in its optimizer.
  Step(const TensorSpec& spec, const GroupOptions& options);
  // g and p as float32; p comes back rounded to its type.
  void step(std::vector<float> g, std::vector<float>& p, float multiplier = 1.0f);

  const TensorPlan& plan() const { return plan_; }
  const core::StepScalars& scalars() const { return s_; }
  const core::TensorClock& clock() const { return clock_; }
  const Slot& slot(SlotKind kind) const { return slots_[int(kind)]; }
  // Intermediates as StepRecord has them.
  std::vector<float> row, col, confidence_row, confidence_col, second_moment, momentum;
  std::vector<float> low_rank_gradient, low_rank_row, low_rank_col, low_rank_second_moment, low_rank_momentum,
      channel_scale;

 private:
  void step_factored(const std::vector<float>& g, std::vector<float>& p);
  void step_full(const std::vector<float>& g, std::vector<float>& p);
  void step_projected(const std::vector<float>& g, std::vector<float>& p);
  void project(const std::vector<float>& g);
  void normalize(std::vector<float>& normalized);
  // M of x in a slot of momentum, decoded; what was encoded goes to `record`.
  std::vector<float> average(SlotKind kind, const std::vector<float>& x, std::vector<float>& record);
  double norm_of_momentum(const std::vector<float>& m) const;
  double parameter_sum(const std::vector<float>& p) const;
  std::vector<float> resolution(SlotKind kind) const;
  void store(std::vector<float>& p) const;

  TensorPlan plan_;
  GroupOptions options_;
  core::TensorClock clock_ = {};
  core::StepScalars s_ = {};
  Slot slots_[kSlots];
};

}  // namespace plumbline::straight_line
