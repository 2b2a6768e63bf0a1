#include "reference/dialects/plumbline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "reference/dialects/plumbline_dialect.h"
#include "reference/projections/sources.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/projected_scaling.h"
#include "reference/transforms/resolution.h"
#include "reference/transforms/scale.h"
#include "reference/transforms/step_size.h"

namespace plumbline::reference {
namespace {

using O = PlumblineOptions;
constexpr std::array<std::string_view, 2> kDecayScales{"step_size", "lr"};
constexpr std::array<std::string_view, 3> kNonfinite{"propagate", "zero", "skip"};
constexpr std::array<std::string_view, 2> kMomentumOf{"gradient", "update"};
constexpr std::array<std::string_view, 2> kScaleTypes{"channel", "tensor"};
constexpr std::array<OptionField<O>, 26> kFields{{
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
    {"beta1", &O::beta1, kBeta},
    {"momentum_of", choice<&O::momentum_of, O>(kMomentumOf)},
    {"beta3", &O::beta3, kBeta},
    {"eps_came", &O::eps_came, kPositive},
    {"limiter_margin", &O::limiter_margin, kNonnegative},
    {"projection_rank", &O::projection_rank, Range{0, 4096}},
    {"projection_refresh", &O::projection_refresh, kCount},
    {"projection_scale_by", choice<&O::projection_scale_by, O>(kScaleTypes)},
    {"projection_scale", &O::projection_scale, kPositive},
    {"projection_scale_first", &O::projection_scale_first},
    {"projection_eps", &O::projection_eps, kPositive},
    {"projection_factored", &O::projection_factored},
    {"projection_seed", &O::projection_seed, Range{0, 0x1p32 - 1}},
}};

Resolution::Options resolution(const O& o) {
  return o.relative_step ? Resolution::Options{} : Resolution::Options{.beta1 = o.beta1, .beta2 = o.beta2};
}

constexpr std::array<PeerSlot, 11> kSlots{{{"row", Slot::row},
                                           {"col", Slot::col},
                                           {"second_moment", Slot::second_moment},
                                           {"momentum", Slot::momentum},
                                           {"confidence_row", Slot::confidence_row},
                                           {"confidence_col", Slot::confidence_col},
                                           {"low_rank_momentum", Slot::low_rank_momentum},
                                           {"low_rank_second_moment", Slot::low_rank_second_moment},
                                           {"low_rank_row", Slot::low_rank_row},
                                           {"low_rank_col", Slot::low_rank_col},
                                           {"previous_norm", Slot::previous_norm}}};

LowRank low_rank(const O& o, const Shape& shape, const DecaySchedule& schedule, const MomentumStore& store,
                 std::optional<uint32_t> place) {
  ProjectionSource source;
  if (place) source = popcount_projection(static_cast<uint32_t>(o.projection_seed), *place);
  Projection projection(
      shape,
      {.rank = o.projection_rank, .refresh_every = o.projection_refresh, .alpha = 1, .source = std::move(source)});
  const Shape low = projection.low_shape();
  Chain chain;
  if (o.projection_factored)
    chain.add<FactoredMoment>(low, FactorAxes{0, 1}, FactoredMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  else
    chain.add<FullMoment>(low, FullMomentOptions{.schedule = schedule, .eps1 = o.eps1});
  if (o.beta1) {
    chain.add<Momentum>(low, *o.beta1, store);
    chain.add<Resolution>(resolution(o));
  }
  chain.add<Precondition>(PreconditionOptions{.eps = o.projection_eps});
  return {std::move(projection), chain.take()};
}

// `place`: of the tensor, which its projection is drawn by; none: projections are given.
Optimizer make_rule(const O& o, Shape shape, const MomentumStore& store, std::optional<uint32_t> place) {
  check_options(o);
  const DecaySchedule schedule{.exponent = o.beta2_decay, .beta2 = o.beta2};
  const Path path = path_of(o, shape);
  const auto axes = path == Path::factored ? last_two_axes(shape) : std::nullopt;
  const bool of_update = o.momentum_of == MomentumOf::update;

  Chain chain;
  if (axes) chain.add<SquareSums>(shape, *axes);
  chain.add<NonfinitePolicy>(o.nonfinite, kGradientLimit);
  if (path == Path::projected) {
    chain.add<ProjectedScaling>(low_rank(o, shape, schedule, store, place), o.projection_scale_by);
    if (o.projection_scale_first) chain.add<Scale>(std::sqrt(o.projection_scale));
  } else {
    if (axes)
      chain.add<FactoredMoment>(shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = o.eps1});
    else
      chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = o.eps1});
    if (o.beta1 && !of_update) {
      chain.add<Momentum>(shape, *o.beta1, store);
      chain.add<Resolution>(resolution(o));
    }
    chain.add<Precondition>();
  }
  if (o.clip > 0) chain.add<ClipByRms>(o.clip);
  if (of_update && o.beta3 && axes)
    chain.add<Confidence>(
        shape, *axes,
        ConfidenceOptions{
            .beta1 = *o.beta1, .beta3 = *o.beta3, .eps2 = o.eps_came, .store = store, .resolution = resolution(o)});
  else if (of_update)
    chain.add<Momentum>(shape, *o.beta1, store);
  // A previous norm of 0 only records.
  if (o.limiter_margin)
    chain.add<Limiter>(LimiterOptions{*o.limiter_margin, std::numeric_limits<double>::denorm_min()});
  if (path == Path::projected && !o.projection_scale_first) chain.add<Scale>(std::sqrt(o.projection_scale));
  chain.add<StepSize>(StepSizeOptions{
      .lr = o.lr, .relative = o.relative_step, .warmup = {}, .scale_parameter = o.scale_parameter, .eps2 = o.eps2});
  if (o.weight_decay > 0) chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, o.weight_decay_by, o.lr});
  if (o.beta1 && !o.relative_step) chain.add<BiasCorrection>(*o.beta1, o.beta2);
  if (o.maximize) chain.add<Scale>(-1);
  chain.add<Descend>();
  return {std::move(shape), chain.take()};
}

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Path path_of(const O& o, const Shape& shape) {
  if (shape.size() < 2) return Path::full;
  int64_t rest = 1;
  for (size_t a = 1; a < shape.size(); ++a) rest *= shape[a];
  if (o.projection_rank > 0 && std::min(shape[0], rest) >= o.projection_rank) return Path::projected;
  return o.factored ? Path::factored : Path::full;
}

void check_options(const O& o) {
  check_ranges(o);
  const bool of_update = o.momentum_of == MomentumOf::update;
  if (of_update && !o.beta1) option_text::refuse("momentum_of", "update", "gradient where beta1 is none");
  if (of_update && o.projection_rank > 0)
    option_text::refuse("momentum_of", "update", "gradient where projection_rank > 0");
  if (o.beta3 && !(of_update && o.factored))
    option_text::refuse("beta3", get_option(o, "beta3"), "none unless beta1, momentum_of=update and factored=true");
}

Optimizer make_plumbline(const O& o, Shape shape, const MomentumStore& store, uint32_t place) {
  return make_rule(o, std::move(shape), store, place);
}

const Dialect kPlumbline{
    .name = "plumbline",
    .source = "plumbline, unquantized",
    .options = option_table<O>,
    .make =
        [](std::span<const NamedOption> named, const Shape& shape, const PeerContext& context) {
          const std::optional<uint32_t> place = context.recorded_projection ? std::nullopt : std::optional<uint32_t>(0);
          return make_rule(read_options<O>(named), shape, {}, place);
        },
    .slots = kSlots,
    .makes_projection = true,
};

}  // namespace plumbline::reference
