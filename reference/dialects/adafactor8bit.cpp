#include "reference/dialects/adafactor8bit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "reference/transforms/bias_correction.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/nonfinite.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/projected_scaling.h"
#include "reference/transforms/scale.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using O1 = Adafactor8bit01Options;
constexpr std::array<OptionField<O1>::List::Member, 2> kEps1{&O1::eps1, &O1::eps2};
constexpr Range kThreshold{1};
constexpr std::array<OptionField<O1>, 11> kFields1{{
    {"lr", &O1::lr, kNonnegative},
    {"beta2_decay", &O1::beta2_decay, kNonpositive},
    {"eps", OptionField<O1>::List{kEps1}, kNonnegative},
    {"d", &O1::d, kThreshold},
    {"weight_decay", &O1::weight_decay, kNonnegative},
    {"maximize", &O1::maximize},
    {"relative_step", &O1::relative_step},
    {"scale_parameter", &O1::scale_parameter},
    {"quantize", &O1::quantize},
    {"block_size", &O1::block_size, kCount},
    {"min_8bit_size", &O1::min_8bit_size, kNonnegative},
}};

using O3 = Adafactor8bitOptions;
constexpr std::array<OptionField<O3>::List::Member, 2> kEps3{&O3::eps1, &O3::eps2};
constexpr std::array<std::string_view, 2> kScaleTypes{"channel", "tensor"};
constexpr std::array<OptionField<O3>, 29> kFields3{{
    {"lr", &O3::lr, kNonnegative},
    {"beta1", &O3::beta1, kBeta},
    {"beta2", &O3::beta2, kBeta},
    {"beta2_decay", &O3::beta2_decay, kNonpositive},
    {"beta3", &O3::beta3, kBeta},
    {"eps_came", &O3::eps_came, kNonnegative},
    {"eps", OptionField<O3>::List{kEps3}, kNonnegative},
    {"weight_decay", &O3::weight_decay, kNonnegative},
    {"d", &O3::d, kThreshold},
    {"maximize", &O3::maximize},
    {"relative_step", &O3::relative_step},
    {"scale_parameter", &O3::scale_parameter},
    {"factored", &O3::factored},
    {"quantize", &O3::quantize},
    {"block_size", &O3::block_size, kCount},
    {"m_block_size", &O3::m_block_size, kCount},
    {"min_8bit_size", &O3::min_8bit_size, kNonnegative},
    {"use_cuda_kernel", &O3::use_cuda_kernel},
    {"apollo_rank", &O3::apollo_rank, kNonnegative},
    {"apollo_update_proj_gap", &O3::apollo_update_proj_gap, kCount},
    {"apollo_scale_type", choice<&O3::apollo_scale_type, O3>(kScaleTypes)},
    {"apollo_scale", &O3::apollo_scale, kNonnegative},
    {"apollo_scale_front", &O3::apollo_scale_front},
    {"apollo_eps", &O3::apollo_eps, kNonnegative},
    {"apollo_factorize", &O3::apollo_factorize},
    {"apollo_cache_proj", &O3::apollo_cache_proj},
    {"scale_weight_decay", &O3::scale_weight_decay},
    {"enable_fira_for_adafactor", &O3::enable_fira_for_adafactor},
    {"fira_margin", &O3::fira_margin, kNonnegative},
}};

constexpr std::array<PeerSlot, 12> kSlots{{{"row_var", Slot::row},
                                           {"col_var", Slot::col},
                                           {"variance", Slot::second_moment},
                                           {"m", Slot::momentum},
                                           {"conf_row", Slot::confidence_row},
                                           {"conf_col", Slot::confidence_col},
                                           {"m_low", Slot::low_rank_momentum},
                                           {"v_low", Slot::low_rank_second_moment},
                                           {"row_var_low", Slot::low_rank_row},
                                           {"col_var_low", Slot::low_rank_col},
                                           {"fira_prev_norm", Slot::previous_norm},
                                           {"scaled_grad_norm_prev", Slot::previous_norm}}};

constexpr double kForgotten = 1e-6;  // a previous norm below this only records

DecaySchedule schedule(const O3& o) { return {.exponent = o.beta2_decay, .beta2 = o.beta2}; }

LimiterOptions limiter(const O3& o) { return {.margin = o.fira_margin, .record_below = kForgotten}; }

void add_step_size(Chain& chain, const O3& o) {
  chain.add<StepSize>(
      StepSizeOptions{.lr = o.lr, .relative = o.relative_step, .scale_parameter = o.scale_parameter, .eps2 = o.eps2});
}

void add_bias_correction(Chain& chain, const O3& o) {
  if (o.beta1 && !o.relative_step) chain.add<BiasCorrection>(*o.beta1, o.beta2);
}

void add_decay(Chain& chain, const O3& o) {
  chain.add<WeightDecay>(
      WeightDecayOptions{o.weight_decay, o.scale_weight_decay ? DecayScale::step_size : DecayScale::rho});
}

// Low-rank statistics scale the gradient; the clip looks at the norm before the limiter.
Chain projected(const O3& o, const Shape& shape) {
  Projection p(shape,
               {.rank = o.apollo_rank, .refresh_every = o.apollo_update_proj_gap, .alpha = 1, .source = nullptr});
  const Shape low_shape = p.low_shape();
  Chain low;
  if (o.beta1) low.add<Momentum>(low_shape, *o.beta1);
  if (o.apollo_factorize)
    low.add<FactoredMoment>(low_shape, FactorAxes{0, 1},
                            FactoredMomentOptions{.schedule = schedule(o), .normalizer_floor = o.apollo_eps});
  else
    low.add<FullMoment>(low_shape, FullMomentOptions{.schedule = schedule(o)});
  low.add<Precondition>(PreconditionOptions{.eps = o.apollo_eps});

  Chain chain;
  chain.add<NonfinitePolicy>(Nonfinite::zero);
  if (o.maximize) chain.add<Negate>();
  chain.add<ProjectedScaling>(LowRank(std::move(p), low.take()), o.apollo_scale_type);
  if (o.apollo_scale_front) chain.add<Scale>(std::sqrt(o.apollo_scale));
  chain.add<Limiter>(limiter(o));
  chain.add<ClipByRms>(o.d, ClipOn::before_limiter);
  if (!o.apollo_scale_front) chain.add<Scale>(std::sqrt(o.apollo_scale));
  add_step_size(chain, o);
  add_decay(chain, o);
  add_bias_correction(chain, o);
  return chain;
}

Chain unprojected(const O3& o, const Shape& shape) {
  const double eps1 = o.eps1.value_or(1e-30);
  const double floor = std::max(eps1 * eps1, static_cast<double>(std::numeric_limits<float>::min()));
  const auto axes = o.factored ? last_two_axes(shape) : std::nullopt;
  const bool confidence = axes && o.beta3;
  Chain chain;
  if (o.maximize) chain.add<Negate>();
  if (o.beta1 && !confidence) chain.add<Momentum>(shape, *o.beta1);
  if (axes) {
    chain.add<FactoredMoment>(
        shape, *axes,
        FactoredMomentOptions{.schedule = schedule(o), .eps1 = eps1, .normalizer_floor = eps1, .factor_floor = floor});
    chain.add<Precondition>();
  } else {
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule(o)});
    chain.add<Precondition>(PreconditionOptions{.floor = floor});
  }
  if (confidence) {
    chain.add<ClipByRms>(o.d);
    chain.add<Confidence>(
        shape, *axes,
        ConfidenceOptions{
            .beta1 = *o.beta1, .beta3 = *o.beta3, .eps2 = o.eps_came, .normalizer_floor = eps1, .factor_floor = floor});
  }
  if (o.enable_fira_for_adafactor) chain.add<Limiter>(limiter(o));
  if (!confidence) chain.add<ClipByRms>(o.d, o.enable_fira_for_adafactor ? ClipOn::before_limiter : ClipOn::update);
  add_step_size(chain, o);
  add_bias_correction(chain, o);
  add_decay(chain, o);
  return chain;
}

}  // namespace

std::span<const OptionField<O1>> OptionTable<O1>::fields() { return kFields1; }
std::span<const OptionField<O3>> OptionTable<O3>::fields() { return kFields3; }

Optimizer make_adafactor8bit_01(const O1& o, const Shape& shape, double epsilon) {
  check_ranges(o);
  const double eps1 = o.eps1.value_or(epsilon);
  const auto decay = DecaySchedule::power(o.beta2_decay);
  Chain chain;
  if (o.maximize) chain.add<Negate>();
  if (const auto axes = last_two_axes(shape))
    chain.add<FactoredMoment>(shape, *axes,
                              FactoredMomentOptions{.schedule = decay, .eps1 = eps1, .normalizer_floor = epsilon});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = decay, .eps1 = eps1});
  chain.add<Precondition>(PreconditionOptions{.floor = epsilon});
  chain.add<ClipByRms>(o.d);
  chain.add<StepSize>(
      StepSizeOptions{.lr = o.lr, .relative = o.relative_step, .scale_parameter = o.scale_parameter, .eps2 = o.eps2});
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::step_size});
  chain.add<Descend>();
  return {shape, chain.take()};
}

Optimizer make_adafactor8bit(const O3& o, const Shape& shape, bool recorded_projection) {
  check_ranges(o);
  if (o.beta3 && !o.beta1) option_text::refuse("beta3", option_text::print(o.beta3), "none without beta1");
  const bool projects = o.apollo_rank > 0 && shape.size() >= 2;
  if (o.beta3 && projects) option_text::refuse("beta3", option_text::print(o.beta3), "none with apollo_rank");
  if (o.beta3 && !o.factored) option_text::refuse("beta3", option_text::print(o.beta3), "none with factored=false");
  if (projects && !recorded_projection)
    option_text::refuse("apollo_rank", std::to_string(o.apollo_rank), "0 where projections are not recorded");
  Chain chain = projects ? projected(o, shape) : unprojected(o, shape);
  chain.add<Descend>();
  return {shape, chain.take()};
}

const Dialect kAdafactor8bit01{
    .name = "adafactor8bit-0.1",
    .source = "adafactor8bit 0.1.0",
    .options = option_table<O1>,
    .make =
        [](std::span<const NamedOption> named, const Shape& shape, const PeerContext& context) {
          return make_adafactor8bit_01(read_options<O1>(named), shape, context.epsilon);
        },
    .slots = kSlots,
};

const Dialect kAdafactor8bit{
    .name = "adafactor8bit",
    .source = "adafactor8bit 0.3",
    .options = option_table<O3>,
    .make =
        [](std::span<const NamedOption> named, const Shape& shape, const PeerContext& context) {
          return make_adafactor8bit(read_options<O3>(named), shape, context.recorded_projection);
        },
    .slots = kSlots,
};

}  // namespace plumbline::reference
