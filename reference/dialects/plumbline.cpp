#include "reference/dialects/plumbline.h"

#include <array>
#include <utility>

#include "reference/transforms/clip.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"

namespace plumbline::reference {
namespace {

using O = PlumblineOptions;
constexpr std::array<std::string_view, 2> kDecayScales{"step_size", "lr"};
constexpr std::array<std::string_view, 3> kNonfinite{"propagate", "zero", "skip"};
constexpr std::array<OptionField<O>, 13> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"relative_step", &O::relative_step},
    {"scale_parameter", &O::scale_parameter},
    {"beta2_decay", &O::beta2_decay, kNonpositive},
    {"beta2", &O::beta2, kBeta},
    {"eps1", &O::eps1, kNonnegative},
    {"eps2", &O::eps2, kNonnegative},
    {"clip", &O::clip, kNonnegative},
    {"weight_decay", &O::weight_decay, kNonnegative},
    {"weight_decay_by", choice<&O::weight_decay_by, O>(kDecayScales)},
    {"maximize", &O::maximize},
    {"factored", &O::factored},
    {"nonfinite", choice<&O::nonfinite, O>(kNonfinite)},
}};

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_plumbline(const PlumblineOptions& o, Shape shape) {
  check_ranges(o);
  const DecaySchedule schedule{.exponent = o.beta2_decay, .beta2 = o.beta2};
  const auto axes = o.factored ? last_two_axes(shape) : std::nullopt;

  Chain chain;
  if (axes) chain.add<SquareSums>(shape, *axes);
  chain.add<NonfinitePolicy>(o.nonfinite, kGradientLimit);
  if (o.maximize) chain.add<Negate>();
  if (axes)
    chain.add<FactoredMoment>(shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  chain.add<Precondition>();
  if (o.clip > 0) chain.add<ClipByRms>(o.clip);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr,
                                      .relative = o.relative_step,

                                      .scale_parameter = o.scale_parameter,
                                      .eps2 = o.eps2});
  if (o.weight_decay > 0) chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, o.weight_decay_by, o.lr});
  chain.add<Descend>();
  return {std::move(shape), chain.take()};
}

}  // namespace plumbline::reference
