#include "reference/dialects/adafactor8bit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/transforms/bias_correction.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/combined_confidence.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/first_again.h"
#include "reference/transforms/full_confidence.h"
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

using O = Adafactor8bitOptions;

constexpr double kForgotten = 1e-6;  // a previous norm below this only records
constexpr double kFloor = 1.17549435e-38;
constexpr double kNoClip = 1e9;  // what its CAME clips to where it means not to clip

// One tensor under one version.
class Rule {
 public:
  Rule(const Version& version, const O& options, const Shape& shape, const PeerContext& context)
      : version_(version), o_(options), shape_(shape), context_(context) {
    tiny_ = since(0, 4, 0) ? kFloor : 0x1p-126;
    eps1_ = o_.eps1.value_or(!since(0, 2, 6) ? context.epsilon : !since(0, 2, 9) ? 0x1p-23 : 1e-30);
    eps1_squared_ = std::max(eps1_ * eps1_, tiny_);
    sgd_ = !o_.beta2 && !o_.beta2_decay;
    int64_t elements = 1;
    for (const int64_t extent : shape) elements *= extent;
    quantized_ = o_.quantize && elements >= o_.min_8bit_size;
    axes_ = o_.factored && !sgd_ ? last_two_axes(shape) : std::nullopt;
    projects_ = o_.apollo_rank > 0 && shape.size() >= 2;
    adam_ = !o_.factored && o_.beta2 && adam_by_version();
  }

  void check() const {
    const auto no = [](std::string_view name, std::string_view value, std::string_view valid) {
      option_text::refuse(name, value, valid);
    };
    if (!since(0, 4, 0) && !(o_.d >= 1)) no("d", option_text::print(o_.d), "[1, inf) before 0.4.0");
    if (o_.beta3 && !o_.beta1) no("beta3", option_text::print(o_.beta3), "none without beta1");
    if (o_.beta3 && o_.apollo_rank == 0 && !o_.factored)
      no("beta3", option_text::print(o_.beta3), "none with factored=false");
    if (o_.beta3 && o_.apollo_rank > 0 && !since(0, 2, 7))
      no("beta3", option_text::print(o_.beta3), "none with apollo_rank before 0.2.7");
    if (sgd_ && (!since(0, 3, 1) || o_.relative_step || o_.apollo_rank > 0 || o_.beta3))
      no("beta2_decay", "none",
         "a number, unless relative_step=false without apollo_rank and beta3, from 0.3.1, or beta2 is given");
    if (!projects_) return;
    if (!context_.recorded_projection)
      no("apollo_rank", std::to_string(o_.apollo_rank), "0 where projections are not recorded");
    if (o_.beta1 && !o_.apollo_factorize && !quantized_ && since(0, 2, 7) && !since(0, 2, 9))
      no("beta1", option_text::print(o_.beta1),
         "none with apollo_rank in 0.2.7 and 0.2.8, which keep this momentum in codes even without quantize");
  }

  Chain chain() {
    if (o_.maximize && !projects_) chain_.add<Negate>();
    if (projects_)
      projected();
    else if (sgd_)
      momentum_alone();
    else
      unprojected();
    chain_.add<Descend>();
    if (!forgets_projected_state()) return std::move(chain_);
    Chain again;
    again.add<FirstAgain>(chain_.take());
    return again;
  }

 private:
  bool since(int64_t major, int64_t minor, int64_t patch) const { return version_ >= Version{major, minor, patch}; }
  bool has_defect(std::string_view name) const {
    return std::find(context_.defects.begin(), context_.defects.end(), name) != context_.defects.end();
  }
  bool adam_by_version() const {
    if (since(0, 4, 2)) return !o_.beta3;
    if (since(0, 4, 1)) return !o_.beta3 && !o_.relative_step;
    if (since(0, 4, 0)) return !o_.relative_step;
    return since(0, 3, 1) && o_.beta1 && !o_.relative_step;
  }
  bool forgets_projected_state() const {
    return projects_ && o_.apollo_factorize && has_defect("projected_state_forgotten");
  }
  bool variance_in_codes() const { return quantized_ && o_.v_quant_type != VarianceCode::fp32; }
  bool corrects_bias(bool by_default) const {
    if (!o_.beta1 || o_.relative_step || sgd_) return false;
    return since(0, 3, 1) ? o_.bias_correction.value_or(by_default) : true;
  }

  DecaySchedule schedule() const { return {.exponent = o_.beta2_decay.value_or(0), .beta2 = o_.beta2}; }
  LimiterOptions limiter(bool zero_update) const {
    const bool resets = since(0, 2, 5);
    return {.margin = o_.fira_margin,
            .record_below = resets ? kForgotten : 0,
            .nan_stays = !resets,
            .zero_nonfinite = resets && zero_update};
  }
  // The clip looks at the norm that the limiter leaves; from 0.2.6 at the one that it was given.
  ClipOn limited_norm() const { return since(0, 2, 6) ? ClipOn::before_limiter : ClipOn::update; }

  // eps1 inside the average of squares of vectors
  double full_eps1() const {
    bool inside = !since(0, 1, 3);
    if (since(0, 4, 0))
      inside = !adam_;
    else if (since(0, 3, 0))
      inside = variance_in_codes() && o_.factored;
    else if (since(0, 2, 6))
      inside = variance_in_codes();
    return inside ? eps1_ : 0;
  }
  // of V^
  double variance_floor() const {
    if (!since(0, 1, 2)) return context_.epsilon;
    return since(0, 1, 4) ? eps1_squared_ : eps1_;
  }
  FactoredMomentOptions factored_options() const {
    return {.schedule = schedule(),
            .eps1 = !since(0, 1, 3) || since(0, 2, 6) ? eps1_ : 0,
            .normalizer_floor = since(0, 1, 2) ? eps1_ : context_.epsilon,
            .factor_floor = since(0, 2, 1) && !since(0, 4, 0) ? eps1_squared_ : 0,
            .form = AverageForm::lerp};
  }

  void unprojected() {
    const bool confidence = axes_ && o_.beta3, combined = confidence && !since(0, 2, 6);
    const bool only_momentum = momentum_only();
    if (o_.beta1 && !confidence && !only_momentum) add_momentum(*o_.beta1);
    if (axes_)
      divide_by_factors(combined);
    else
      divide_by_variance(only_momentum);
    if (only_momentum) {
      clip(ClipOn::update);
      add_momentum(*o_.beta1);
    }
    if (confidence && !combined) {
      clip(ClipOn::update);
      chain_.add<Confidence>(shape_, *axes_,
                             ConfidenceOptions{.beta1 = *o_.beta1,
                                               .beta3 = *o_.beta3,
                                               .eps2 = o_.eps_came,
                                               .normalizer_floor = eps1_,
                                               .factor_floor = since(0, 4, 0) ? 0 : eps1_squared_,
                                               .floors_normalizer = !quantized_ && !since(0, 4, 0),
                                               .form = AverageForm::lerp,
                                               .overwrites = has_defect("momentum_overwritten") &&
                                                             (!quantized_ || o_.m_quant_type == MomentumCode::fp32)});
    }
    limit_and_clip(confidence && !combined, only_momentum);
    take_step();
  }

  bool momentum_only() const {
    if (!since(0, 4, 1) || axes_ || !o_.beta1) return false;
    const bool adam_style = since(0, 4, 2) ? adam_ : o_.beta2 && !o_.relative_step && !o_.beta3;
    return o_.momentum_only_1d.value_or(!adam_style);
  }

  void add_momentum(double beta1, const AverageStart& start = {}) {
    chain_.add<Momentum>(shape_, beta1, MomentumStore{}, MomentumOptions{start, AverageForm::lerp});
  }

  void divide_by_factors(bool combined) {
    const FactoredMomentOptions options = factored_options();
    chain_.add<FactoredMoment>(shape_, *axes_, options);
    if (combined)
      chain_.add<CombinedConfidence>(shape_, *axes_,
                                     CombinedConfidenceOptions{.beta1 = *o_.beta1,
                                                               .beta3 = *o_.beta3,
                                                               .normalizer_floor = eps1_,
                                                               .floor = eps1_squared_,
                                                               .form = AverageForm::lerp});
    else
      chain_.add<Precondition>(PreconditionOptions{.floor = since(0, 2, 1) ? 0 : variance_floor()});
  }

  void divide_by_variance(bool only_momentum) {
    const bool lerp = !since(0, 2, 1) || variance_in_codes();
    chain_.add<FullMoment>(
        shape_, FullMomentOptions{
                    .schedule = schedule(), .eps1 = full_eps1(), .form = lerp ? AverageForm::lerp : AverageForm::sum});
    PreconditionOptions divide{.floor = variance_floor()};
    if (adam_ && !only_momentum) {
      divide = {.eps = eps1_};
      if (corrects_bias(true)) divide.eps_beta = o_.beta2;
    } else if (variance_in_codes() && version_ == Version{0, 4, 0}) {
      divide.floor = 0;
    }
    if (has_defect("vector_variance_overwritten") && !quantized_) divide.overwrites = true;
    chain_.add<Precondition>(divide);
  }

  void clip(ClipOn on) {
    if (o_.d > 0) chain_.add<ClipByRms>(o_.d, on);
  }

  // The clip of CAME has been; up to 0.3.1 its update is clipped again, and without codes to 1e9.
  void limit_and_clip(bool confidence, bool clipped, bool forgets = false) {
    const ClipOn on = o_.enable_fira_for_adafactor ? limited_norm() : ClipOn::update;
    LimiterOptions options = limiter(true);
    if (forgets) options.record_below = std::numeric_limits<double>::infinity();
    if (o_.enable_fira_for_adafactor) chain_.add<Limiter>(options);
    if (clipped || (confidence && since(0, 4, 0))) return;
    if (confidence && !quantized_)
      chain_.add<ClipByRms>(kNoClip, on);
    else
      clip(on);
  }

  // Step size, its correction and the decay, which takes both.
  void take_step() {
    add_step_size();
    if (corrects_bias(adam_)) chain_.add<BiasCorrection>(*o_.beta1, o_.beta2);
    add_decay();
  }
  void add_step_size() {
    chain_.add<StepSize>(StepSizeOptions{
        .lr = o_.lr, .relative = o_.relative_step, .scale_parameter = o_.scale_parameter, .eps2 = o_.eps2});
  }
  void add_decay() {
    const bool by_step_size = o_.scale_weight_decay || !since(0, 1, 4);
    chain_.add<WeightDecay>(
        WeightDecayOptions{o_.weight_decay, by_step_size ? DecayScale::step_size : DecayScale::rho});
  }

  // u = M/(1 - beta1), or g
  void momentum_alone() {
    const bool forgets = o_.factored && last_two_axes(shape_) && has_defect("momentum_forgotten");
    if (o_.beta1) {
      add_momentum(*o_.beta1, {.every = forgets ? 1 : 0});
      chain_.add<Scale>(1 / (1 - *o_.beta1));
    }
    limit_and_clip(false, false, forgets);
    take_step();
  }

  // Low-rank statistics scale the gradient. Until 0.2.8 the bias correction is in the scale, so the limiter sees it.
  void projected() {
    Projection p(shape_,
                 {.rank = o_.apollo_rank, .refresh_every = o_.apollo_update_proj_gap, .alpha = 1, .source = nullptr});
    const Shape low_shape = p.low_shape();
    const bool confidence = o_.beta3.has_value();
    Chain low = confidence ? low_rank_confidence(low_shape) : low_rank_adam(low_shape);
    const bool overwritten = confidence && has_defect("low_rank_gradient_overwritten");

    if (since(0, 2, 5)) chain_.add<NonfinitePolicy>(Nonfinite::zero);
    if (o_.maximize) chain_.add<Negate>();
    auto transforms = low.take();
    const size_t clipped = o_.d > 0 ? 3 : 2;  // moment, division, clip
    chain_.add<ProjectedScaling>(LowRank(std::move(p), std::move(transforms), overwritten ? clipped : 0),
                                 o_.apollo_scale_type);
    const bool corrects = corrects_bias(true), in_scale = !since(0, 2, 9);
    if (corrects && in_scale) chain_.add<BiasCorrection>(*o_.beta1, o_.beta2);
    if (o_.apollo_scale_front) chain_.add<Scale>(std::sqrt(o_.apollo_scale));
    if (o_.enable_fira_for_apollo) chain_.add<Limiter>(limiter(false));
    clip(o_.enable_fira_for_apollo ? limited_norm() : ClipOn::update);
    if (!o_.apollo_scale_front) chain_.add<Scale>(std::sqrt(o_.apollo_scale));
    add_step_size();
    add_decay();
    if (corrects && !in_scale) chain_.add<BiasCorrection>(*o_.beta1, o_.beta2);
  }

  // Of low-rank statistics until 0.2.8: eps1 as it is given, or apollo_eps.
  double low_rank_eps1() const { return since(0, 2, 9) ? o_.apollo_eps : o_.eps1.value_or(o_.apollo_eps); }
  // Until 0.2.5 a new projection begins new moments; their first sample counts whole until 0.2.1, and the floor of the
  // first is dropped in 0.4.0.
  AverageStart low_rank_start() const {
    return {.every = forgets_projected_state() ? 1
                     : since(0, 2, 6)          ? 0
                                               : o_.apollo_update_proj_gap,
            .whole = !since(0, 2, 2),
            .floor = since(0, 4, 0) ? 0 : kFloor};
  }
  double low_rank_inside() const { return since(0, 2, 6) && !since(0, 2, 9) ? low_rank_eps1() : 0; }

  FactoredMomentOptions low_rank_factors() const {
    return {.schedule = schedule(),
            .eps1 = since(0, 4, 0) ? kFloor : low_rank_inside(),
            .normalizer_floor = low_rank_eps1(),
            .start = low_rank_start()};
  }
  FullMomentOptions low_rank_variance() const {
    AverageStart start = low_rank_start();
    start.without_eps1 = true;
    return {.schedule = schedule(), .eps1 = low_rank_inside(), .start = start, .form = AverageForm::lerp};
  }

  Chain low_rank_adam(const Shape& shape) const {
    Chain low;
    if (o_.beta1) {
      const AverageStart start{.every = since(0, 2, 6) ? 0 : 1};  // forgotten in every step until 0.2.5
      low.add<Momentum>(shape, *o_.beta1, MomentumStore{}, MomentumOptions{start, AverageForm::lerp});
    }
    if (o_.apollo_factorize)
      low.add<FactoredMoment>(shape, FactorAxes{0, 1}, low_rank_factors());
    else
      low.add<FullMoment>(shape, low_rank_variance());
    if (since(0, 2, 1))
      low.add<Precondition>(PreconditionOptions{.eps = o_.apollo_eps});
    else
      low.add<Precondition>(PreconditionOptions{.inside = o_.apollo_eps});
    return low;
  }

  Chain low_rank_confidence(const Shape& shape) const {
    const double eps = low_rank_eps1(), squared = std::max(eps * eps, tiny_);
    const bool floors = !since(0, 4, 0);
    const bool overwrites = has_defect("momentum_overwritten") && o_.m_quant_type == MomentumCode::fp32;
    Chain low;
    if (o_.apollo_factorize) {
      FactoredMomentOptions factors = low_rank_factors();
      factors.normalizer_floor = floors ? eps : kFloor;
      factors.factor_floor = floors ? squared : 0;
      low.add<FactoredMoment>(shape, FactorAxes{0, 1}, factors);
      low.add<Precondition>();
    } else {
      low.add<FullMoment>(shape, low_rank_variance());
      low.add<Precondition>(PreconditionOptions{.floor = squared});
    }
    if (o_.d > 0) low.add<ClipByRms>(o_.d);
    if (o_.apollo_factorize)
      low.add<Confidence>(shape, FactorAxes{0, 1},
                          ConfidenceOptions{.beta1 = *o_.beta1,
                                            .beta3 = *o_.beta3,
                                            .eps2 = o_.eps_came,
                                            .normalizer_floor = floors ? eps : kFloor,
                                            .factor_floor = floors ? squared : 0,
                                            .form = AverageForm::lerp,
                                            .overwrites = overwrites});
    else
      low.add<FullConfidence>(shape, FullConfidenceOptions{.beta1 = *o_.beta1,
                                                           .beta3 = *o_.beta3,
                                                           .eps2 = o_.eps_came,
                                                           .floor = squared,
                                                           .form = AverageForm::lerp,
                                                           .overwrites = overwrites});
    return low;
  }

  Version version_;
  const O& o_;
  const Shape& shape_;
  const PeerContext& context_;
  double tiny_, eps1_, eps1_squared_;
  bool sgd_, quantized_, projects_, adam_;
  std::optional<FactorAxes> axes_;
  Chain chain_;
};

}  // namespace

Optimizer make_adafactor8bit(const Version& version, const O& options, const Shape& shape, const PeerContext& context) {
  check_ranges(options);
  Rule rule(version, options, shape, context);
  rule.check();
  return {shape, rule.chain().take()};
}

}  // namespace plumbline::reference
