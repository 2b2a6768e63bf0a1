// pytorch_optimizer (4.1): its AdaFactor, with momentum of the scaled update kept in a type of its own, and its CAME.
#include <array>

#include "reference/dialects/dialect.h"
#include "reference/dialects/momentum_type.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/gradient_decay.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

// weight_decouple=false: lambda p is added to the gradient; else p(1 - lambda k), k the step size or, fixed, 1.
struct DecayOptions {
  double weight_decay = 0;
  bool weight_decouple = true;
  bool fixed_decay = false;
};

struct AdaFactorOptions : DecayOptions {
  double lr = 1e-3;                   // where the step is not relative
  std::optional<double> beta1 = 0.9;  // momentum of the scaled update
  double beta2 = 0.999;               // 1 - w_t is at most this
  double decay_rate = -0.8;
  double clip_threshold = 1;
  bool ams_bound = false;
  bool scale_parameter = true;
  bool relative_step = true;
  bool warmup_init = false;
  double eps1 = 1e-30;
  double eps2 = 1e-3;
  MomentumType momentum_dtype = MomentumType::bfloat16;
  std::optional<bool> foreach{};  // an implementation
  bool maximize = false;
};

struct CameOptions2 : DecayOptions {
  double lr = 2e-4;
  double beta1 = 0.9, beta2 = 0.999, beta3 = 0.9999;
  double clip_threshold = 1;
  bool ams_bound = false;
  double eps1 = 1e-30, eps2 = 1e-16;
  bool maximize = false;
  std::optional<bool> foreach{};  // an implementation
};

using A = AdaFactorOptions;
using C = CameOptions2;
constexpr std::array<OptionField<A>::List::Member, 2> kBetasA{&A::beta1, &A::beta2};
constexpr std::array<OptionField<C>::List::Member, 3> kBetasC{&C::beta1, &C::beta2, &C::beta3};
constexpr std::array<PeerSlot, 6> kSlots{{{"exp_avg", Slot::momentum},
                                          {"exp_avg_sq", Slot::second_moment},
                                          {"exp_avg_sq_row", Slot::row},
                                          {"exp_avg_sq_col", Slot::col},
                                          {"exp_avg_res_row", Slot::confidence_row},
                                          {"exp_avg_res_col", Slot::confidence_col}}};

template <class Options>
constexpr double Options::*own(double DecayOptions::*member) {
  return member;
}
template <class Options>
constexpr bool Options::*own(bool DecayOptions::*member) {
  return member;
}

}  // namespace

template <>
struct OptionTable<A> {
  static constexpr std::array<OptionField<A>, 16> kFields{{
      {"lr", &A::lr, kNonnegative},
      {"betas", OptionField<A>::List{kBetasA}, kBeta},
      {"decay_rate", &A::decay_rate, kNonpositive},
      {"weight_decay", own<A>(&DecayOptions::weight_decay), kNonnegative},
      {"weight_decouple", own<A>(&DecayOptions::weight_decouple)},
      {"fixed_decay", own<A>(&DecayOptions::fixed_decay)},
      {"clip_threshold", &A::clip_threshold, kPositive},
      {"ams_bound", &A::ams_bound},
      {"scale_parameter", &A::scale_parameter},
      {"relative_step", &A::relative_step},
      {"warmup_init", &A::warmup_init},
      {"eps1", &A::eps1, kNonnegative},
      {"eps2", &A::eps2, kNonnegative},
      {"momentum_dtype", choice<&A::momentum_dtype, A>(kMomentumTypes)},
      {"foreach", &A::foreach},
      {"maximize", &A::maximize},
  }};
  static std::span<const OptionField<A>> fields() { return kFields; }
};
template <>
struct OptionTable<C> {
  static constexpr std::array<OptionField<C>, 11> kFields{{
      {"lr", &C::lr, kNonnegative},
      {"betas", OptionField<C>::List{kBetasC}, kBeta},
      {"weight_decay", own<C>(&DecayOptions::weight_decay), kNonnegative},
      {"weight_decouple", own<C>(&DecayOptions::weight_decouple)},
      {"fixed_decay", own<C>(&DecayOptions::fixed_decay)},
      {"clip_threshold", &C::clip_threshold, kPositive},
      {"ams_bound", &C::ams_bound},
      {"eps1", &C::eps1, kNonnegative},
      {"eps2", &C::eps2, kNonnegative},
      {"maximize", &C::maximize},
      {"foreach", &C::foreach},
  }};
  static std::span<const OptionField<C>> fields() { return kFields; }
};

namespace {

void refuse_bound(bool ams_bound) {
  if (ams_bound) option_text::refuse("ams_bound", "true", "false: the bound's rule is not spoken here");
}

void begin(Chain& chain, bool maximize, const DecayOptions& decay) {
  if (maximize) chain.add<Negate>();
  if (!decay.weight_decouple && decay.weight_decay != 0) chain.add<GradientDecay>(decay.weight_decay);
}

void add_decay(Chain& chain, const DecayOptions& decay) {
  if (!decay.weight_decouple) return;
  chain.add<WeightDecay>(
      WeightDecayOptions{decay.weight_decay, decay.fixed_decay ? DecayScale::lr : DecayScale::step_size, 1});
}

void add_moment(Chain& chain, const Shape& shape, const DecaySchedule& schedule, double eps1, AverageForm form) {
  if (const auto axes = last_two_axes(shape))
    chain.add<FactoredMoment>(shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = eps1, .form = form});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = eps1, .form = form});
  chain.add<Precondition>();
}

Optimizer make_adafactor(const A& o, const Shape& shape) {
  check_ranges(o);
  refuse_bound(o.ams_bound);
  Chain chain;
  begin(chain, o.maximize, o);
  add_moment(chain, shape, {.exponent = o.decay_rate, .cap = o.beta2}, o.eps1, AverageForm::lerp);
  chain.add<ClipByRms>(o.clip_threshold);
  StepSizeOptions size{.lr = o.relative_step ? 1e-2 : o.lr,
                       .relative = o.relative_step,
                       .scale_parameter = o.scale_parameter,
                       .eps2 = o.eps2};
  if (o.relative_step && o.warmup_init) size.warmup = 1e-6;
  chain.add<StepSize>(size);
  add_decay(chain, o);
  if (o.beta1)
    chain.add<Momentum>(shape, *o.beta1, MomentumStore{},
                        MomentumOptions{.form = AverageForm::lerp, .unit = unit_of(o.momentum_dtype)});
  chain.add<Descend>();
  return {shape, chain.take()};
}

Optimizer make_came(const C& o, const Shape& shape) {
  check_ranges(o);
  refuse_bound(o.ams_bound);
  Chain chain;
  begin(chain, o.maximize, o);
  add_moment(chain, shape, DecaySchedule::fixed(o.beta2), o.eps1, AverageForm::sum);
  chain.add<ClipByRms>(o.clip_threshold);
  if (const auto axes = last_two_axes(shape))
    chain.add<Confidence>(shape, *axes, ConfidenceOptions{.beta1 = o.beta1, .beta3 = o.beta3, .eps2 = o.eps2});
  else
    chain.add<Momentum>(shape, o.beta1);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .scale_parameter = false});
  add_decay(chain, o);
  chain.add<Descend>();
  return {shape, chain.take()};
}

}  // namespace

extern const Dialect kPytorchOptimizerAdafactor, kPytorchOptimizerCame;
constinit const Dialect kPytorchOptimizerAdafactor{
    .name = "pytorch-optimizer-adafactor",
    .source = "pytorch_optimizer.AdaFactor",
    .options = option_table<A>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_adafactor(read_options<A>(named), shape); },
    .slots = kSlots,
};
constinit const Dialect kPytorchOptimizerCame{
    .name = "pytorch-optimizer-came",
    .source = "pytorch_optimizer.CAME",
    .options = option_table<C>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_came(read_options<C>(named), shape); },
    .slots = kSlots,
};

}  // namespace plumbline::reference
