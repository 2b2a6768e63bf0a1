#include "reference/dialects/torch.h"

#include <array>

#include "reference/transforms/clip.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using O = TorchOptions;
constexpr std::array<OptionField<O>::List::Member, 2> kEps{&O::eps1, &O::eps2};
constexpr std::array<OptionField<O>, 7> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"beta2_decay", &O::beta2_decay, kNonpositive},
    {"eps", OptionField<O>::List{kEps}, kNonnegative},
    {"d", &O::d, kPositive},
    {"weight_decay", &O::weight_decay, kNonnegative},
    {"maximize", &O::maximize},
    {"foreach", &O::foreach},
}};
constexpr std::array<PeerSlot, 3> kSlots{
    {{"row_var", Slot::row}, {"col_var", Slot::col}, {"variance", Slot::second_moment}}};

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_torch(const O& o, const Shape& shape, double epsilon) {
  check_ranges(o);
  const double eps1 = o.eps1.value_or(epsilon);
  const auto schedule = DecaySchedule::power(o.beta2_decay);
  Chain chain;
  if (o.maximize) chain.add<Negate>();
  if (const auto axes = last_two_axes(shape))
    chain.add<FactoredMoment>(
        shape, *axes, FactoredMomentOptions{.schedule = schedule, .normalizer_floor = eps1, .form = AverageForm::lerp});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .form = AverageForm::lerp});
  chain.add<Precondition>(PreconditionOptions{.floor = eps1 * eps1});
  // Norms are compared as numbers of the host, where max(1, NaN) is 1.
  chain.add<ClipByRms>(o.d, ClipOn::update, NanRatio::is_one);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .relative = true, .eps2 = o.eps2, .nan_is_floor = true});
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, o.lr});
  chain.add<Descend>();
  return {shape, chain.take()};
}

const Dialect kTorch{
    .name = "torch",
    .source = "torch.optim.Adafactor",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext& context) { return make_torch(read_options<O>(named), shape, context.epsilon); },
    .slots = kSlots,
};

}  // namespace plumbline::reference
