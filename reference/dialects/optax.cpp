#include "reference/dialects/optax.h"

#include <array>

#include "reference/transforms/clip.h"
#include "reference/transforms/coupled_decay.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"

namespace plumbline::reference {
namespace {

using O = OptaxOptions;
constexpr std::array<std::string_view, 3> kTypes{"float32", "float64", "bfloat16"};
constexpr std::array<OptionField<O>, 11> kFields{{
    {"learning_rate", &O::learning_rate, kNonnegative},
    {"min_dim_size_to_factor", &O::min_dim_size_to_factor, kNonnegative},
    {"decay_rate", &O::decay_rate, kNonnegative},
    {"decay_offset", &O::decay_offset, {-0x1p53, 0}},
    {"multiply_by_parameter_scale", &O::multiply_by_parameter_scale},
    {"clipping_threshold", &O::clipping_threshold, kPositive},
    {"momentum", &O::momentum, kBeta},
    {"dtype_momentum", choice<&O::dtype_momentum, O>(kTypes)},
    {"weight_decay_rate", &O::weight_decay_rate, kNonnegative},
    {"eps", &O::eps, kNonnegative},
    {"factored", &O::factored},
}};
constexpr std::array<PeerSlot, 4> kSlots{
    {{"v_row", Slot::row}, {"v_col", Slot::col}, {"v", Slot::second_moment}, {"ema", Slot::momentum}}};
constexpr double kSmallestScale = 1e-3;

// The peer's averages have the tensor's shape without the axis averaged over.
std::vector<int64_t> order(const Shape& shape, Slot slot) {
  const auto axes = two_largest_axes(shape, 0);
  if (!axes || (slot != Slot::row && slot != Slot::col)) return {};
  return order_without_axis(shape, *axes, slot == Slot::row);
}

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_optax(const O& o, const Shape& shape) {
  check_ranges(o);
  const DecaySchedule schedule{
      .exponent = -o.decay_rate, .beta2 = std::nullopt, .float32 = true, .offset = o.decay_offset};
  const auto axes = o.factored ? two_largest_axes(shape, o.min_dim_size_to_factor) : std::nullopt;
  Chain chain;
  if (axes)
    chain.add<FactoredMoment>(shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = o.eps});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = o.eps});
  chain.add<Precondition>();
  if (o.clipping_threshold) chain.add<ClipByRms>(*o.clipping_threshold);
  chain.add<StepSize>(StepSizeOptions{
      .lr = o.learning_rate.value_or(1), .scale_parameter = o.multiply_by_parameter_scale, .eps2 = kSmallestScale});
  if (o.momentum) chain.add<Momentum>(shape, *o.momentum);
  if (o.weight_decay_rate) chain.add<CoupledDecay>(*o.weight_decay_rate);
  chain.add<Descend>();
  return {shape, chain.take()};
}

const Dialect kOptax{
    .name = "optax",
    .source = "optax.adafactor",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_optax(read_options<O>(named), shape); },
    .slots = kSlots,
    .order = order,
};

}  // namespace plumbline::reference
