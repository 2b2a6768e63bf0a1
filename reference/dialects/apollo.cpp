#include "reference/dialects/apollo.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "reference/dialects/adam_low_rank.h"
#include "reference/projections/sources.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/projected_scaling.h"
#include "reference/transforms/scale.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using O = ApolloOptions;
constexpr std::array<std::string_view, 2> kProjections{"random", "svd"};
constexpr std::array<std::string_view, 1> kTypes{"std"};
constexpr std::array<std::string_view, 2> kScaleTypes{"channel", "tensor"};
constexpr std::array<OptionField<O>::List::Member, 2> kBetas{&O::beta1, &O::beta2};
constexpr std::array<OptionField<O>, 13> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"betas", OptionField<O>::List{kBetas}, kBeta},
    {"eps", &O::eps, kNonnegative},
    {"weight_decay", &O::weight_decay, kNonnegative},
    {"correct_bias", &O::correct_bias},
    {"scale_front", &O::scale_front},
    {"disable_nl", &O::disable_nl},
    {"rank", &O::rank, kNonnegative},
    {"update_proj_gap", &O::update_proj_gap, kCount},
    {"scale", &O::scale, kNonnegative},
    {"proj", choice<&O::proj, O>(kProjections)},
    {"proj_type", choice<&O::proj_type, O>(kTypes)},
    {"scale_type", choice<&O::scale_type, O>(kScaleTypes)},
}};
constexpr std::array<PeerSlot, 5> kSlots{{{"exp_avg", Slot::low_rank_momentum},
                                          {"exp_avg_sq", Slot::low_rank_second_moment},
                                          {"exp_avg", Slot::momentum},
                                          {"exp_avg_sq", Slot::second_moment},
                                          {"scaled_grad", Slot::previous_norm}}};

ProjectionOptions projection(const O& o, const Shape& shape, bool recorded) {
  ProjectionOptions out{.rank = o.rank, .refresh_every = o.update_proj_gap, .alpha = 1, .source = nullptr};
  if (o.proj == ApolloProjection::svd) {
    out.rank = std::min({o.rank, shape[0], shape[1]});
    if (!recorded) out.source = singular_vectors();
  } else if (!recorded) {
    option_text::refuse("proj", "random", "svd where projections are not recorded");
  }
  return out;
}

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_apollo(const O& o, const Shape& shape, bool recorded_projection) {
  check_ranges(o);
  Chain chain;
  if (o.rank > 0) {
    require_matrix(shape);
    Projection p(shape, projection(o, shape, recorded_projection));
    auto adam = adam_chain(p.low_shape(), o.beta1, o.beta2, o.eps);
    chain.add<ProjectedScaling>(LowRank(std::move(p), adam.take()), o.scale_type);
    if (o.scale_front) chain.add<Scale>(std::sqrt(o.scale));
    if (!o.disable_nl) chain.add<Limiter>();
    if (!o.scale_front) chain.add<Scale>(std::sqrt(o.scale));
  } else {
    chain = adam_chain(shape, o.beta1, o.beta2, o.eps);
  }
  if (o.correct_bias) chain.add<BiasCorrection>(o.beta1, o.beta2);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .scale_parameter = false});
  chain.add<Descend>();
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, o.lr});
  return {shape, chain.take()};
}

const Dialect kApollo{
    .name = "apollo",
    .source = "apollo_torch AdamW",
    .options = option_table<O>,
    .make =
        [](std::span<const NamedOption> named, const Shape& shape, const PeerContext& context) {
          return make_apollo(read_options<O>(named), shape, context.recorded_projection);
        },
    .slots = kSlots,
};

}  // namespace plumbline::reference
