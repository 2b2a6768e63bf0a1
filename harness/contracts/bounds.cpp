#include "harness/contracts/bounds.h"

#include "harness/contracts/stages.h"

namespace plumbline::harness {

using reference::Path;
using reference::Tensor;
using reference::Vector;

void derive_bounds(const Problem& problem, const Arithmetic& arithmetic, const StateBefore& before,
                   const reference::StepRecord& record, const DecodedSlot* momentum, const Tensor& p_before,
                   const Tensor& p_after, StepBounds& b) {
  const StageContext c{problem, arithmetic, before, record, momentum};
  const Path path = problem.path();
  const bool of_gradient = momentum && path != Path::projected && !problem.of_update();

  b.parameter_rms = record.parameter_rms *
                    (double_sum(double(p_before.size())) / 2 + 3 * 0x1p-53);  // the root halves what the sum brings
  bound_step_size(c, b);  // its bias is in what averages are raised to
  for (Tensor& raised : b.raised.all) raised.data.resize(0);
  double mean_square = 0;
  if (path == Path::projected) {
    mean_square = bound_projection(c, b);
  } else {
    bound_second_moment(c, b);
    if (of_gradient) bound_momentum(c, Slot::momentum, record.gradient.data, 1, {}, b.slot[Slot::momentum]);
    for (const Slot slot : {Slot::row, Slot::col, Slot::second_moment}) bound_used(c, slot, b);
    if (path == Path::factored)
      mean_square =
          folded_norm_error(c, second_moment_factors(record, b), of_gradient ? arithmetic.momentum_square : c.square(),
                            of_gradient ? momentum->values.data : record.gradient.data,
                            of_gradient ? c.momentum_error() : 0, record.update);
    else
      mean_square = direct_norm_error(c, b);
  }
  bound_clip(c, mean_square, b);
  if (momentum && problem.of_update()) {
    thread_local Vector clipped_error;
    clipped_update_error(c, b, clipped_error);
    bound_momentum(c, Slot::momentum, record.update.data, 1 / record.clip, clipped_error, b.slot[Slot::momentum]);
    if (problem.confident()) {
      bound_confidence(c, clipped_error, b);
      for (const Slot slot : {Slot::confidence_row, Slot::confidence_col}) bound_used(c, slot, b);
    }
  }
  bound_limiter(c, b);
  bound_parameter(c, p_before, p_after, b);
}

}  // namespace plumbline::harness
