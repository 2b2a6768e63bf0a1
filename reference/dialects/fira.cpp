#include "reference/dialects/fira.h"

#include <algorithm>
#include <array>

#include "reference/dialects/adam_low_rank.h"
#include "reference/projections/sources.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/projected_residual.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using O = FiraOptions;
constexpr std::array<std::string_view, 1> kTypes{"std"};
constexpr std::array<OptionField<O>::List::Member, 2> kBetas{&O::beta1, &O::beta2};
constexpr std::array<OptionField<O>, 9> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"betas", OptionField<O>::List{kBetas}, kBeta},
    {"eps", &O::eps, kNonnegative},
    {"weight_decay", &O::weight_decay, kNonnegative},
    {"correct_bias", &O::correct_bias},
    {"rank", &O::rank, kNonnegative},
    {"update_proj_gap", &O::update_proj_gap, kCount},
    {"alpha", &O::alpha, kNonnegative},
    {"proj_type", choice<&O::proj_type, O>(kTypes)},
}};
constexpr std::array<PeerSlot, 5> kSlots{{{"exp_avg", Slot::low_rank_momentum},
                                          {"exp_avg_sq", Slot::low_rank_second_moment},
                                          {"exp_avg", Slot::momentum},
                                          {"exp_avg_sq", Slot::second_moment},
                                          {"scaling_grad", Slot::previous_norm}}};

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

Optimizer make_fira(const O& o, const Shape& shape, bool recorded_projection) {
  check_ranges(o);
  Chain chain;
  if (o.rank > 0) {
    require_matrix(shape);
    Projection p(shape, {.rank = std::min({o.rank, shape[0], shape[1]}),
                         .refresh_every = o.update_proj_gap,
                         .alpha = o.alpha,
                         .source = recorded_projection ? nullptr : singular_vectors()});
    auto adam = adam_chain(p.low_shape(), o.beta1, o.beta2, o.eps);
    chain.add<ProjectedResidual>(LowRank(std::move(p), adam.take()));
  } else {
    chain = adam_chain(shape, o.beta1, o.beta2, o.eps);
  }
  if (o.correct_bias) chain.add<BiasCorrection>(o.beta1, o.beta2);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .scale_parameter = false});
  chain.add<Descend>();
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, o.lr});
  return {shape, chain.take()};
}

const Dialect kFira{
    .name = "fira",
    .source = "fira AdamW",
    .options = option_table<O>,
    .make =
        [](std::span<const NamedOption> named, const Shape& shape, const PeerContext& context) {
          return make_fira(read_options<O>(named), shape, context.recorded_projection);
        },
    .slots = kSlots,
};

}  // namespace plumbline::reference
