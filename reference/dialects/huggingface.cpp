#include "reference/dialects/huggingface.h"

#include <array>

#include "reference/transforms/clip.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using O = HuggingfaceOptions;
constexpr std::array<OptionField<O>::List::Member, 2> kEps{&O::eps1, &O::eps2};
constexpr std::array<OptionField<O>, 9> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"eps", OptionField<O>::List{kEps}, kNonnegative},
    {"clip_threshold", &O::clip_threshold, kPositive},
    {"decay_rate", &O::decay_rate, kNonpositive},
    {"beta1", &O::beta1, kBeta},
    {"weight_decay", &O::weight_decay, kNonnegative},
    {"scale_parameter", &O::scale_parameter},
    {"relative_step", &O::relative_step},
    {"warmup_init", &O::warmup_init},
}};
constexpr std::array<PeerSlot, 4> kSlots{{{"exp_avg_sq_row", Slot::row},
                                          {"exp_avg_sq_col", Slot::col},
                                          {"exp_avg_sq", Slot::second_moment},
                                          {"exp_avg", Slot::momentum}}};
constexpr double kRelativeCap = 1e-2;
constexpr double kWarmup = 1e-6;

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_huggingface(const O& o, const Shape& shape) {
  check_ranges(o);
  if (o.lr && o.relative_step) option_text::refuse("lr", option_text::print(o.lr), "none with relative_step=true");
  if (!o.lr && !o.relative_step) option_text::refuse("lr", "none", "a number with relative_step=false");
  if (o.warmup_init && !o.relative_step) option_text::refuse("warmup_init", "true", "false with relative_step=false");

  const auto schedule = DecaySchedule::power(o.decay_rate);
  Chain chain;
  if (const auto axes = last_two_axes(shape))
    chain.add<FactoredMoment>(shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  chain.add<Precondition>();
  chain.add<ClipByRms>(o.clip_threshold);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr.value_or(kRelativeCap),
                                      .relative = o.relative_step,
                                      .warmup = o.warmup_init ? std::optional(kWarmup) : std::nullopt,
                                      .scale_parameter = o.scale_parameter,
                                      .eps2 = o.eps2});
  if (o.beta1) chain.add<Momentum>(shape, *o.beta1);
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::step_size});
  chain.add<Descend>();
  return {shape, chain.take()};
}

const Dialect kHuggingface{
    .name = "huggingface",
    .source = "transformers.optimization.Adafactor",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_huggingface(read_options<O>(named), shape); },
    .slots = kSlots,
};

}  // namespace plumbline::reference
