// timm (1.0): its Adafactor, after fairseq's, and the variant of Big Vision, whose momentum is of the update itself.
#include <array>

#include "reference/dialects/dialect.h"
#include "reference/dialects/momentum_type.h"
#include "reference/transforms/caution.h"
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

struct TimmOptions {
  std::optional<double> lr{};  // none: the step is relative
  double eps = 1e-30;
  double eps_scale = 1e-3;  // floor of RMS(p)
  double clip_threshold = 1;
  double decay_rate = -0.8;
  std::optional<double> beta1{};
  std::optional<double> beta2{};  // beside beta1 in betas; not used
  double weight_decay = 0;
  bool scale_parameter = true;  // relative only
  bool warmup_init = false;
  int64_t min_dim_size_to_factor = 16;
  bool caution = false;  // with momentum only
};

struct BigVisionOptions {
  double lr = 1;
  int64_t min_dim_size_to_factor = 16;
  double decay_rate = 0.8;
  int64_t decay_offset = 0;
  double beta2_cap = 0.999;
  std::optional<double> momentum = 0.9;
  MomentumType momentum_dtype = MomentumType::bfloat16;
  std::optional<double> eps{};  // none: 1e-30
  double weight_decay = 0;
  std::optional<double> clipping_threshold{};
  bool unscaled_wd = false;
  bool caution = false;
  bool corrected_weight_decay = false;      // decay times lr over
  std::optional<double> max_lr_snapshot{};  //   this; none: lr
};

using T = TimmOptions;
using B = BigVisionOptions;
constexpr std::array<OptionField<T>::List::Member, 2> kBetas{&T::beta1, &T::beta2};
constexpr std::array<PeerSlot, 4> kSlotsT{{{"exp_avg", Slot::momentum},
                                           {"exp_avg_sq", Slot::second_moment},
                                           {"exp_avg_sq_row", Slot::row},
                                           {"exp_avg_sq_col", Slot::col}}};
constexpr std::array<PeerSlot, 4> kSlotsB{{{"exp_avg", Slot::momentum},
                                           {"exp_avg_sq", Slot::second_moment},
                                           {"exp_avg_sq_r", Slot::row},
                                           {"exp_avg_sq_c", Slot::col}}};

// The first two axes of a convolution, or the last two, where both exceed the size.
std::optional<FactorAxes> axes_of(const Shape& shape, int64_t size) {
  const size_t n = shape.size();
  if (n > 2 && shape[0] > size && shape[1] > size) return FactorAxes{0, 1};
  if (n >= 2 && shape[n - 2] > size && shape[n - 1] > size) return FactorAxes{n - 2, n - 1};
  return std::nullopt;
}

}  // namespace

template <>
struct OptionTable<T> {
  static constexpr std::array<OptionField<T>, 12> kFields{{
      {"lr", &T::lr, kNonnegative},
      {"eps", &T::eps, kNonnegative},
      {"eps_scale", &T::eps_scale, kNonnegative},
      {"clip_threshold", &T::clip_threshold, kPositive},
      {"decay_rate", &T::decay_rate, kNonpositive},
      {"betas", OptionField<T>::List{kBetas}, kBeta},
      {"beta1", &T::beta1, kBeta},
      {"weight_decay", &T::weight_decay, kNonnegative},
      {"scale_parameter", &T::scale_parameter},
      {"warmup_init", &T::warmup_init},
      {"min_dim_size_to_factor", &T::min_dim_size_to_factor, kNonnegative},
      {"caution", &T::caution},
  }};
  static std::span<const OptionField<T>> fields() { return kFields; }
};
template <>
struct OptionTable<B> {
  static constexpr std::array<OptionField<B>, 14> kFields{{
      {"lr", &B::lr, kNonnegative},
      {"min_dim_size_to_factor", &B::min_dim_size_to_factor, kNonnegative},
      {"decay_rate", &B::decay_rate, kNonnegative},
      {"decay_offset", &B::decay_offset, {0, 0x1p53}},
      {"beta2_cap", &B::beta2_cap, kBeta},
      {"momentum", &B::momentum, kBeta},
      {"momentum_dtype", choice<&B::momentum_dtype, B>(kMomentumTypes)},
      {"eps", &B::eps, kNonnegative},
      {"weight_decay", &B::weight_decay, kNonnegative},
      {"clipping_threshold", &B::clipping_threshold, kPositive},
      {"unscaled_wd", &B::unscaled_wd},
      {"caution", &B::caution},
      {"corrected_weight_decay", &B::corrected_weight_decay},
      {"max_lr_snapshot", &B::max_lr_snapshot, kNonnegative},
  }};
  static std::span<const OptionField<B>> fields() { return kFields; }
};

namespace {

void add_moment(Chain& chain, const Shape& shape, const std::optional<FactorAxes>& axes, const DecaySchedule& schedule,
                double eps) {
  if (axes)
    chain.add<FactoredMoment>(shape, *axes,
                              FactoredMomentOptions{.schedule = schedule, .eps1 = eps, .form = AverageForm::lerp});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = eps, .form = AverageForm::lerp});
  chain.add<Precondition>();
}

Optimizer make_timm(const T& o, const Shape& shape) {
  check_ranges(o);
  if (o.warmup_init && o.lr) option_text::refuse("warmup_init", "true", "false where lr is given");
  Chain chain;
  add_moment(chain, shape, axes_of(shape, o.min_dim_size_to_factor), DecaySchedule::power(o.decay_rate), o.eps);
  chain.add<ClipByRms>(o.clip_threshold);
  StepSizeOptions size{.lr = o.lr.value_or(1e-2),
                       .relative = !o.lr,
                       .scale_parameter = !o.lr && o.scale_parameter,
                       .eps2 = o.eps_scale,
                       .nan_is_floor = true};
  if (o.warmup_init) size.warmup = 1e-6;
  chain.add<StepSize>(size);
  if (o.beta1) {
    chain.add<Momentum>(shape, *o.beta1, MomentumStore{}, MomentumOptions{.form = AverageForm::lerp});
    if (o.caution) chain.add<Caution>();
  }
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::step_size});
  chain.add<Descend>();
  return {shape, chain.take()};
}

Optimizer make_big_vision(const B& o, const Shape& shape) {
  check_ranges(o);
  Chain chain;
  const DecaySchedule schedule{.exponent = -o.decay_rate, .offset = o.decay_offset, .cap = o.beta2_cap};
  add_moment(chain, shape, two_largest_axes(shape, o.min_dim_size_to_factor), schedule, o.eps.value_or(1e-30));
  if (o.clipping_threshold) chain.add<ClipByRms>(*o.clipping_threshold);
  if (o.momentum) {
    chain.add<Momentum>(shape, *o.momentum, MomentumStore{},
                        MomentumOptions{.form = AverageForm::lerp, .unit = unit_of(o.momentum_dtype)});
    if (o.caution) chain.add<Caution>();
  }
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .scale_parameter = false});
  double by = o.unscaled_wd ? 1 : o.lr;
  if (o.corrected_weight_decay) by *= o.lr / o.max_lr_snapshot.value_or(o.lr);
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, by});
  chain.add<Descend>();
  return {shape, chain.take()};
}

}  // namespace

extern const Dialect kTimmAdafactor, kTimmAdafactorBigVision;
constinit const Dialect kTimmAdafactor{
    .name = "timm-adafactor",
    .source = "timm.optim.Adafactor",
    .options = option_table<T>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_timm(read_options<T>(named), shape); },
    .slots = kSlotsT,
    // An average lacks the axis that it is over. Which two axes there are is taken from the default size; where that
    // factors none, a recording that has averages was made with a smaller one.
    .order = [](const Shape& shape, Slot slot) -> std::vector<int64_t> {
      auto axes = axes_of(shape, TimmOptions{}.min_dim_size_to_factor);
      if (!axes) axes = axes_of(shape, 0);
      if (!axes || (slot != Slot::row && slot != Slot::col)) return {};
      return order_without_axis(shape, *axes, slot == Slot::row);
    },
};
constinit const Dialect kTimmAdafactorBigVision{
    .name = "timm-adafactor-bv",
    .source = "timm.optim.AdafactorBigVision",
    .options = option_table<B>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make_big_vision(read_options<B>(named), shape); },
    .slots = kSlotsB,
    .order = [](const Shape& shape, Slot slot) -> std::vector<int64_t> {
      const auto axes = two_largest_axes(shape, 0);
      if (!axes || (slot != Slot::row && slot != Slot::col)) return {};
      return order_without_axis(shape, *axes, slot == Slot::row);
    },
};

}  // namespace plumbline::reference
