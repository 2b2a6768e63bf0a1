// Deliberate faults, for showing that a suite of checks can fail. They exist where PLUMBLINE_MUTANTS is defined (a
// second build of the library): one global picks the fault there. Elsewhere the questions below are constants and cost
// nothing.
#pragma once
#include "cuda/core/platform.h"

namespace plumbline::core {

enum class Mutant : uint8_t {
  none,
#define PLUMBLINE_MUTANT(id, site, breaks, where, stage) id,
#include "cuda/mutants/table.inc"
#undef PLUMBLINE_MUTANT
};

// Stages whose value a perturbation multiplies, for measuring how small a relative fault is noticed.
enum class PerturbedStage : uint8_t {
  none,
  parameter_rms,
  row,
  col,
  second_moment,
  momentum,
  low_rank_gradient,
  low_rank_second_moment,
  low_rank_row,
  low_rank_col,
  low_rank_momentum,
  channel_scale,
  update_rms,
  clip,
  confidence_row,
  confidence_col,
  update_norm,
  limiter,
  bias,
  step_size,
  keep,
  row_scale,
  momentum_scale,
  parameter,
};

// Whether a sample is nothing at all, of faults that act where there is no gradient. A scalar that only counts cannot
// say.
template <class F>
PLUMBLINE_HD bool is_nothing(F sample) {
  if constexpr (requires { sample == F(0); })
    return sample == F(0);
  else
    return false;
}

#ifdef PLUMBLINE_MUTANTS
struct ActiveFault {
  Mutant mutant = Mutant::none;
  PerturbedStage stage = PerturbedStage::none;
  float factor = 1.0f;
};
extern ActiveFault active_fault;
#ifdef __CUDACC__
static __device__ ActiveFault device_fault;  // of one file's kernels: mutants/device.h keeps it the same as the other
#endif
PLUMBLINE_HD const ActiveFault& fault() {
#ifdef __CUDA_ARCH__
  return device_fault;
#else
  return active_fault;
#endif
}
PLUMBLINE_HD bool is_mutant(Mutant id) { return fault().mutant == id; }
template <class F>
PLUMBLINE_HD F perturbed(PerturbedStage stage, F x) {
  return fault().stage == stage ? x * F(fault().factor) : x;
}
#else
PLUMBLINE_HD constexpr bool is_mutant(Mutant) { return false; }
template <class F>
PLUMBLINE_HD constexpr F perturbed(PerturbedStage, F x) {
  return x;
}
#endif

}  // namespace plumbline::core
