// torch.optim.AdamW (2.11): decay before the update, eps beside the corrected root.
//   p <- p(1 - lr lambda);  p <- p - lr/(1 - beta1^t) M/(sqrt(V/(1 - beta2^t)) + eps)      [Loshchilov & Hutter 2019]
#include <array>

#include "reference/dialects/dialect.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/running_maximum.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;  // divide by the largest V so far
  bool maximize = false;
  std::optional<bool> foreach{}, fused{};  // implementations, as the next two
  bool capturable = false, differentiable = false;
};

using O = AdamWOptions;
constexpr std::array<OptionField<O>::List::Member, 2> kBetas{&O::beta1, &O::beta2};
constexpr std::array<PeerSlot, 3> kSlots{{{"exp_avg", Slot::momentum},
                                          {"exp_avg_sq", Slot::second_moment},
                                          {"max_exp_avg_sq", Slot::largest_second_moment}}};

}  // namespace

template <>
struct OptionTable<O> {
  static constexpr std::array<OptionField<O>, 10> kFields{{
      {"lr", &O::lr, kNonnegative},
      {"betas", OptionField<O>::List{kBetas}, kBeta},
      {"eps", &O::eps, kNonnegative},
      {"weight_decay", &O::weight_decay, kNonnegative},
      {"amsgrad", &O::amsgrad},
      {"maximize", &O::maximize},
      {"foreach", &O::foreach},
      {"capturable", &O::capturable},
      {"differentiable", &O::differentiable},
      {"fused", &O::fused},
  }};
  static std::span<const OptionField<O>> fields() { return kFields; }
};

namespace {

Optimizer make(const O& o, const Shape& shape) {
  check_ranges(o);
  Chain chain;
  if (o.maximize) chain.add<Negate>();
  chain.add<Momentum>(shape, o.beta1, MomentumStore{}, MomentumOptions{.form = AverageForm::lerp});
  chain.add<FullMoment>(shape, FullMomentOptions{.schedule = DecaySchedule::fixed(o.beta2)});
  if (o.amsgrad) chain.add<RunningMaximum>(shape);
  // M/(sqrt(V)/c + eps) is c M/(sqrt(V) + eps c), c = sqrt(1 - beta2^t)
  chain.add<Precondition>(PreconditionOptions{.eps = o.eps, .eps_beta = o.beta2});
  chain.add<BiasCorrection>(o.beta1, o.beta2);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .scale_parameter = false});
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, o.lr});
  chain.add<Descend>();
  return {shape, chain.take()};
}

}  // namespace

extern const Dialect kTorchAdamW;
constinit const Dialect kTorchAdamW{
    .name = "torch-adamw",
    .source = "torch.optim.AdamW",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext&) { return make(read_options<O>(named), shape); },
    .slots = kSlots,
};

}  // namespace plumbline::reference
