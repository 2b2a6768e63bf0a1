// galore_torch AdamW: Adam in the space of the leading singular vectors, its update on the way back; decay after it.
#include <algorithm>
#include <array>

#include "reference/dialects/adam_low_rank.h"
#include "reference/dialects/dialect.h"
#include "reference/projections/sources.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/projected_update.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

struct GaLoreOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0;
  bool correct_bias = true;
  int64_t rank = 0;  // of a group that projects; 0: plain AdamW
  int64_t update_proj_gap = 200;
  double scale = 1;  // of the way back
  ProjectionSide proj_type = ProjectionSide::by_shape;
  bool no_deprecation_warning = false;  // a message
};

using O = GaLoreOptions;
constexpr std::array<std::string_view, 4> kTypes{"std", "reverse_std", "right", "left"};
constexpr std::array<OptionField<O>::List::Member, 2> kBetas{&O::beta1, &O::beta2};
constexpr std::array<PeerSlot, 4> kSlots{{{"exp_avg", Slot::low_rank_momentum},
                                          {"exp_avg_sq", Slot::low_rank_second_moment},
                                          {"exp_avg", Slot::momentum},
                                          {"exp_avg_sq", Slot::second_moment}}};

}  // namespace

template <>
struct OptionTable<O> {
  static constexpr std::array<OptionField<O>, 10> kFields{{
      {"lr", &O::lr, kNonnegative},
      {"betas", OptionField<O>::List{kBetas}, kBeta},
      {"eps", &O::eps, kNonnegative},
      {"weight_decay", &O::weight_decay, kNonnegative},
      {"correct_bias", &O::correct_bias},
      {"rank", &O::rank, kNonnegative},
      {"update_proj_gap", &O::update_proj_gap, kCount},
      {"scale", &O::scale, kNonnegative},
      {"proj_type", choice<&O::proj_type, O>(kTypes)},
      {"no_deprecation_warning", &O::no_deprecation_warning},
  }};
  static std::span<const OptionField<O>> fields() { return kFields; }
};

namespace {

Optimizer make(const O& o, const Shape& shape, bool recorded_projection) {
  check_ranges(o);
  Chain chain;
  if (o.rank > 0 && shape.size() >= 2) {
    require_matrix(shape);
    if (!recorded_projection && o.proj_type != ProjectionSide::by_shape)
      option_text::refuse("proj_type", kTypes[static_cast<size_t>(o.proj_type)],
                          "std where projections are not recorded");
    Projection p(shape, {.rank = std::min({o.rank, shape[0], shape[1]}),
                         .refresh_every = o.update_proj_gap,
                         .alpha = o.scale,
                         .source = recorded_projection ? nullptr : singular_vectors(),
                         .side = o.proj_type});
    auto adam = adam_chain(p.low_shape(), o.beta1, o.beta2, o.eps);
    chain.add<ProjectedUpdate>(LowRank(std::move(p), adam.take()));
  } else {
    chain = adam_chain(shape, o.beta1, o.beta2, o.eps);
  }
  if (o.correct_bias) chain.add<BiasCorrection>(o.beta1, o.beta2);
  chain.add<StepSize>(StepSizeOptions{.lr = o.lr, .scale_parameter = false});
  chain.add<Descend>();
  chain.add<WeightDecay>(WeightDecayOptions{o.weight_decay, DecayScale::lr, o.lr});
  return {shape, chain.take()};
}

}  // namespace

extern const Dialect kGaLore;
constinit const Dialect kGaLore{
    .name = "galore",
    .source = "galore_torch.AdamW",
    .options = option_table<O>,
    .make = [](std::span<const NamedOption> named, const Shape& shape,
               const PeerContext& context) { return make(read_options<O>(named), shape, context.recorded_projection); },
    .slots = kSlots,
};

}  // namespace plumbline::reference
