#include "reference/dialects/came.h"

#include <array>

#include "reference/transforms/clip.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using O = CameOptions;
constexpr std::array<OptionField<O>::List::Member, 2> kEps{&O::eps1, &O::eps2};
constexpr std::array<OptionField<O>::List::Member, 3> kBetas{&O::beta1, &O::beta2, &O::beta3};
constexpr std::array<OptionField<O>, 5> kFields{{
    {"lr", &O::lr, kPositive},
    {"eps", OptionField<O>::List{kEps}, kNonnegative},
    {"clip_threshold", &O::clip_threshold, kPositive},
    {"betas", OptionField<O>::List{kBetas}, kBeta},
    {"weight_decay", &O::weight_decay, kNonnegative},
}};
constexpr std::array<PeerSlot, 6> kSlots{{{"exp_avg", Slot::momentum},
                                          {"exp_avg_sq", Slot::second_moment},
                                          {"exp_avg_sq_row", Slot::row},
                                          {"exp_avg_sq_col", Slot::col},
                                          {"exp_avg_res_row", Slot::confidence_row},
                                          {"exp_avg_res_col", Slot::confidence_col}}};

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_came(const O& o, const Shape& shape) {
  check_ranges(o);
  if (!o.lr) option_text::refuse("lr", "none", kPositive.text());
  const auto schedule = DecaySchedule::fixed(o.beta2);
  const auto axes = last_two_axes(shape);
  Chain chain;
  if (axes)
    chain.add<FactoredMoment>(shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  chain.add<Precondition>();
  chain.add<ClipByRms>(o.clip_threshold);
  if (axes)
    chain.add<Confidence>(shape, *axes, ConfidenceOptions{.beta1 = o.beta1, .beta3 = o.beta3, .eps2 = o.eps2});
  else
    chain.add<Momentum>(shape, o.beta1);
  chain.add<StepSize>(StepSizeOptions{.lr = *o.lr, .scale_parameter = false});
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, *o.lr});
  chain.add<Descend>();
  return {shape, chain.take()};
}

const Dialect kCame{
    .name = "came",
    .source = "CAME (came_pytorch)",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_came(read_options<O>(named), shape); },
    .slots = kSlots,
};

}  // namespace plumbline::reference
