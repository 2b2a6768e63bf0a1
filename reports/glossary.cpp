#include "reports/glossary.h"

#include <algorithm>

namespace plumbline::reports {

using harness::Quantity;

std::string_view meaning(Quantity quantity) {
  switch (quantity) {
    case Quantity::clock:
      return "Steps taken, compared exactly.";
    case Quantity::nonfinite:
      return "How many gradient elements were NaN, infinite or too large, compared exactly.";
    case Quantity::parameter_rms:
      return "Root mean square of the parameter before the step: it scales the step size.";
    case Quantity::row:
      return "R: running averages of squared gradients over each row, as the step used them.";
    case Quantity::col:
      return "C: running averages of squared gradients over each column, as the step used them.";
    case Quantity::second_moment:
      return "V: running average of every squared gradient, where it is not factored into R and C.";
    case Quantity::low_rank_gradient:
      return "The gradient after its random projection to a few dimensions.";
    case Quantity::low_rank_second_moment:
      return "V of the projected gradient.";
    case Quantity::low_rank_row:
      return "R of the projected gradient.";
    case Quantity::low_rank_col:
      return "C of the projected gradient.";
    case Quantity::momentum:
      return "M: running average of gradients or updates, before it is stored.";
    case Quantity::momentum_scale:
      return "Scales of the blocks in which momentum is stored.";
    case Quantity::momentum_code:
      return "Codes of stored momentum, given the block scales.";
    case Quantity::momentum_stored:
      return "Momentum as it reads back from storage.";
    case Quantity::low_rank_momentum:
      return "M of the projected gradient, before it is stored.";
    case Quantity::low_rank_momentum_scale:
      return "Scales of the blocks in which projected momentum is stored.";
    case Quantity::low_rank_momentum_code:
      return "Codes of stored projected momentum, given the block scales.";
    case Quantity::low_rank_momentum_stored:
      return "Projected momentum as it reads back from storage.";
    case Quantity::channel_scale:
      return "By how much a projected step scales each channel of the gradient.";
    case Quantity::update_rms:
      return "Root mean square of the update before it is clipped.";
    case Quantity::clip:
      return "The divisor that clips an update whose root mean square is too large.";
    case Quantity::confidence_row:
      return "CAME: row averages of the squared distance between update and momentum.";
    case Quantity::confidence_col:
      return "CAME: column averages of the squared distance between update and momentum.";
    case Quantity::update_norm:
      return "Norm of the update before the limiter.";
    case Quantity::limiter:
      return "The divisor that keeps an update's norm from growing too fast.";
    case Quantity::bias:
      return "The divisor that corrects averages for having started at zero.";
    case Quantity::step_size:
      return "alpha: the factor of the update in this step.";
    case Quantity::keep:
      return "What weight decay leaves of the parameter: 1 - decay.";
    case Quantity::row_scale:
    case Quantity::col_scale:
    case Quantity::second_moment_scale:
    case Quantity::confidence_row_scale:
    case Quantity::confidence_col_scale:
    case Quantity::low_rank_second_moment_scale:
    case Quantity::low_rank_row_scale:
    case Quantity::low_rank_col_scale:
      return "Scales of the blocks in which this average is stored.";
    case Quantity::row_code:
    case Quantity::col_code:
    case Quantity::second_moment_code:
    case Quantity::confidence_row_code:
    case Quantity::confidence_col_code:
    case Quantity::low_rank_second_moment_code:
    case Quantity::low_rank_row_code:
    case Quantity::low_rank_col_code:
      return "Codes of this average in storage, given the block scales.";
    case Quantity::row_stored:
    case Quantity::col_stored:
    case Quantity::second_moment_stored:
    case Quantity::confidence_row_stored:
    case Quantity::confidence_col_stored:
    case Quantity::low_rank_second_moment_stored:
    case Quantity::low_rank_row_stored:
    case Quantity::low_rank_col_stored:
      return "This average as it reads back from storage.";
    case Quantity::update_stored:
      return "What storing its state did to the update: beside the update from the values before they were coded.";
    case Quantity::previous_norm:
      return "The norm that the limiter compares the next update's with.";
    case Quantity::parameter:
      return "The parameter after the step.";
    case Quantity::twin_bits:
      return "Words of parameters, state and intermediates that differ from the host twin's, compared exactly.";
    case Quantity::row_drift:
    case Quantity::col_drift:
    case Quantity::second_moment_drift:
    case Quantity::momentum_drift:
    case Quantity::confidence_row_drift:
    case Quantity::confidence_col_drift:
    case Quantity::low_rank_momentum_drift:
    case Quantity::low_rank_second_moment_drift:
    case Quantity::low_rank_row_drift:
    case Quantity::low_rank_col_drift:
    case Quantity::previous_norm_drift:
    case Quantity::parameter_drift:
      return "After many steps: how far this has moved from a double-precision reference that ran by itself.";
    case Quantity::weight_scale:
      return "Scales of the int8 or FP8 weights.";
    case Quantity::weight_code:
      return "Codes of the weights, given those scales, compared exactly.";
    case Quantity::activation_scale:
      return "Scales of the int8 or FP8 activations, one a token.";
    case Quantity::activation_code:
      return "Codes of the activations, given those scales, compared exactly.";
    case Quantity::accumulator:
      return "Sums of products of codes in int32, compared exactly.";
    case Quantity::output:
      return "Outputs of the layer, from its own codes and scales.";
    case Quantity::quantization:
      return "Outputs of the layer against the product of what was quantized.";
    case Quantity::quantization_likely:
      return "The same within six standard deviations of quantization errors: a bound that is probable, not certain.";
    case Quantity::input_gradient:
      return "Gradient of the layer's input.";
  }
  return {};
}

bool is_one_rounding(Quantity quantity) {
  const std::string_view name = to_string(quantity);
  if (quantity == Quantity::update_stored) return false;
  return name.ends_with("_code") || name.ends_with("_stored");
}

std::string glossary_id(Quantity quantity) {
  std::string id = std::string("meaning-") + to_string(quantity);
  std::replace(id.begin(), id.end(), '_', '-');
  return id;
}

}  // namespace plumbline::reports
