#include "reference/dialects/rlx.h"

#include <array>

#include "reference/transforms/clip.h"
#include "reference/transforms/coupled_decay.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"

namespace plumbline::reference {
namespace {

using O = RlxOptions;
constexpr std::array<OptionField<O>, 6> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"beta2_decay", &O::beta2_decay, kNonpositive},
    {"eps1", &O::eps1, kPositive},
    {"eps2", &O::eps2, kNonnegative},
    {"clip_threshold", &O::clip_threshold, kPositive},
    {"weight_decay", &O::weight_decay, kNonnegative},
}};
constexpr double kRelativeCap = 1e-2;

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_rlx(const O& o, const Shape& shape) {
  check_ranges(o);
  const auto schedule = DecaySchedule::power(o.beta2_decay);
  Chain chain;
  if (const auto axes = matrix_axes(shape))
    chain.add<FactoredMoment>(
        shape, *axes,
        FactoredMomentOptions{
            .schedule = schedule, .eps1 = o.eps1, .normalizer = Normalizer::sum, .normalizer_floor = o.eps1});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  chain.add<Precondition>(PreconditionOptions{.floor = o.eps1});
  // u min(1, 1/(d max(RMS(u), 1/d))) = u/max(1, RMS(u)/(1/d))
  chain.add<ClipByRms>(1 / o.clip_threshold);
  if (o.weight_decay > 0) chain.add<CoupledDecay>(o.weight_decay);
  chain.add<StepSize>(
      StepSizeOptions{.lr = o.lr.value_or(kRelativeCap), .relative = !o.lr, .scale_parameter = !o.lr, .eps2 = o.eps2});
  chain.add<Descend>();
  return {shape, chain.take()};
}

const Dialect kRlx{
    .name = "rlx",
    .source = "rlx_optim Adafactor",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_rlx(read_options<O>(named), shape); },
    .slots = {},
};

}  // namespace plumbline::reference
