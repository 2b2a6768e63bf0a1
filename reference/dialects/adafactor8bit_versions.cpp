// What each version of adafactor8bit calls its options, their defaults, and which versions have one rule.
#include <array>
#include <utility>

#include "reference/dialects/adafactor8bit.h"

namespace plumbline::reference {
namespace {

using O = Adafactor8bitOptions;
constexpr std::array<OptionField<O>::List::Member, 2> kEps{&O::eps1, &O::eps2};
constexpr std::array<std::string_view, 2> kScaleTypes{"channel", "tensor"};
constexpr std::array<std::string_view, 5> kMomentumCodes{"uf4", "uf8", "d4", "d8", "fp32"};
constexpr std::array<std::string_view, 3> kVarianceCodes{"al8", "al16", "fp32"};
constexpr std::array<std::string_view, 4> kConfidenceCodes{"none", "al8", "al16", "fp32"};
constexpr std::array<OptionField<O>, 39> kFields{{
    {"lr", &O::lr, kNonnegative},
    {"beta1", &O::beta1, kBeta},
    {"beta2", &O::beta2, kBeta},
    {"beta2_decay", &O::beta2_decay, kNonpositive},
    {"beta3", &O::beta3, kBeta},
    {"eps_came", &O::eps_came, kNonnegative},
    {"eps", OptionField<O>::List{kEps}, kNonnegative},
    {"weight_decay", &O::weight_decay, kNonnegative},
    {"d", &O::d, kNonnegative},
    {"maximize", &O::maximize},
    {"relative_step", &O::relative_step},
    {"scale_parameter", &O::scale_parameter},
    {"factored", &O::factored},
    {"quantize", &O::quantize},
    {"block_size", &O::block_size, kCount},
    {"m_block_size", &O::m_block_size, kCount},
    {"m_quant_type", choice<&O::m_quant_type, O>(kMomentumCodes)},
    {"v_quant_type", choice<&O::v_quant_type, O>(kVarianceCodes)},
    {"c_quant_type", choice<&O::c_quant_type, O>(kConfidenceCodes)},
    {"min_8bit_size", &O::min_8bit_size, kNonnegative},
    {"use_cuda_kernel", &O::use_cuda_kernel},
    {"stochastic_round_writeback", &O::stochastic_round_writeback},
    {"apollo_rank", &O::apollo_rank, kNonnegative},
    {"apollo_beta1", &O::apollo_beta1, kBeta},
    {"apollo_update_proj_gap", &O::apollo_update_proj_gap, kCount},
    {"apollo_scale_type", choice<&O::apollo_scale_type, O>(kScaleTypes)},
    {"apollo_scale", &O::apollo_scale, kNonnegative},
    {"apollo_scale_front", &O::apollo_scale_front},
    {"apollo_eps", &O::apollo_eps, kNonnegative},
    {"apollo_factorize", &O::apollo_factorize},
    {"apollo_cache_proj", &O::apollo_cache_proj},
    {"enable_fira_for_apollo", &O::enable_fira_for_apollo},
    {"scale_weight_decay", &O::scale_weight_decay},
    {"enable_fira_for_adafactor", &O::enable_fira_for_adafactor},
    {"fira_margin", &O::fira_margin, kNonnegative},
    {"lag_norm", &O::lag_norm},
    {"momentum_only_1d", &O::momentum_only_1d},
    {"bias_correction", &O::bias_correction},
    {"warmup_multiplier", &O::warmup_multiplier, kNonnegative},
}};

// Options that 0.1.0 did not have; `last` where a later version dropped one.
struct Life {
  std::string_view name;
  Version since;
  Version last{9999, 0, 0};
};
constexpr std::array<Life, 28> kLives{{
    {"scale_weight_decay", {0, 1, 4}},
    {"beta2", {0, 1, 5}},
    {"use_cuda_kernel", {0, 1, 5}},
    {"apollo_rank", {0, 1, 8}},
    {"apollo_beta1", {0, 1, 8}, {0, 2, 0}},
    {"apollo_update_proj_gap", {0, 1, 8}},
    {"apollo_scale_type", {0, 1, 8}},
    {"apollo_eps", {0, 1, 8}},
    {"apollo_factorize", {0, 1, 8}},
    {"enable_fira_for_adafactor", {0, 1, 9}},
    {"fira_margin", {0, 1, 9}},
    {"factored", {0, 2, 0}},
    {"beta1", {0, 2, 1}},
    {"m_block_size", {0, 2, 1}},
    {"beta3", {0, 2, 2}},
    {"eps_came", {0, 2, 6}},
    {"apollo_scale", {0, 2, 6}},
    {"apollo_scale_front", {0, 2, 6}},
    {"apollo_cache_proj", {0, 3, 0}},
    {"bias_correction", {0, 3, 1}},
    {"m_quant_type", {0, 4, 0}},
    {"enable_fira_for_apollo", {0, 4, 0}},
    {"lag_norm", {0, 4, 0}},
    {"warmup_multiplier", {0, 4, 0}},
    {"v_quant_type", {0, 4, 1}},
    {"momentum_only_1d", {0, 4, 1}},
    {"c_quant_type", {0, 4, 3}},
    {"stochastic_round_writeback", {0, 4, 5}},
}};

// Defaults, each from one version on.
struct Default {
  Version since;
  std::string_view name, value;
};
constexpr std::array<Default, 10> kDefaults{{
    {{0, 1, 0}, "relative_step", "false"},
    {{0, 1, 0}, "apollo_eps", "1e-08"},
    {{0, 1, 0}, "eps", "[1e-30, 0.001]"},
    {{0, 1, 4}, "relative_step", "true"},
    {{0, 1, 4}, "eps", "[none, 0.001]"},
    {{0, 2, 9}, "eps", "[1e-30, 0.001]"},
    {{0, 3, 0}, "apollo_eps", "1e-06"},
    {{0, 4, 0}, "eps_came", "1e-16"},
    {{0, 4, 0}, "m_block_size", "256"},
    {{0, 4, 0}, "m_quant_type", "uf8"},
}};

constexpr std::array<Defect, 1> kVectors{
    {{"vector_variance_overwritten", "without codes, V of vectors is overwritten by the update g/sqrt(V)"}}};
constexpr std::array<Defect, 1> kForgetful{
    {{"projected_state_forgotten", "with apollo_factorize every step is the first: state and clock begin anew"}}};
constexpr std::array<Defect, 1> kMomentum{
    {{"momentum_forgotten", "without beta2 and beta2_decay, matrices lose momentum and norm every step"}}};
constexpr std::array<Defect, 2> kInPlace{{
    {"momentum_overwritten", "without codes, the momentum of CAME is overwritten by the update M/sqrt(S)"},
    {"low_rank_gradient_overwritten", "the scaling of a projected CAME divides by the norm of its clipped update"},
}};
constexpr std::array<Defect, 1> kLowRankGradient{{kInPlace[1]}};

// First and last version of each rule.
struct Rule {
  Version first, last;
  std::span<const Defect> defects{};
};
constexpr std::array<Rule, 22> kRules{{
    {{0, 1, 0}, {0, 1, 0}, kVectors},
    {{0, 1, 2}, {0, 1, 2}, kVectors},
    {{0, 1, 3}, {0, 1, 3}, kVectors},
    {{0, 1, 4}, {0, 1, 4}},
    {{0, 1, 5}, {0, 1, 7}},
    {{0, 1, 8}, {0, 1, 8}},
    {{0, 1, 9}, {0, 1, 9}},
    {{0, 2, 0}, {0, 2, 0}},
    {{0, 2, 1}, {0, 2, 1}},
    {{0, 2, 2}, {0, 2, 4}, kForgetful},
    {{0, 2, 5}, {0, 2, 5}, kForgetful},
    {{0, 2, 6}, {0, 2, 6}},
    {{0, 2, 7}, {0, 2, 8}},
    {{0, 2, 9}, {0, 2, 9}},
    {{0, 3, 0}, {0, 3, 0}},
    {{0, 3, 1}, {0, 3, 1}, kMomentum},
    {{0, 4, 0}, {0, 4, 0}, kInPlace},
    {{0, 4, 1}, {0, 4, 1}, kLowRankGradient},
    {{0, 4, 2}, {0, 4, 2}, kLowRankGradient},
    {{0, 4, 3}, {0, 4, 4}, kLowRankGradient},
    {{0, 4, 5}, {0, 4, 5}, kLowRankGradient},
    {{0, 4, 6}, {0, 4, 6}},
}};
constexpr Version kUnversioned{0, 3, 0};

constexpr std::array<PeerSlot, 15> kSlots{{{"row_var", Slot::row},
                                           {"col_var", Slot::col},
                                           {"variance", Slot::second_moment},
                                           {"m", Slot::momentum},
                                           {"conf_row", Slot::confidence_row},
                                           {"conf_col", Slot::confidence_col},
                                           {"m_low", Slot::low_rank_momentum},
                                           {"v_low", Slot::low_rank_second_moment},
                                           {"row_var_low", Slot::low_rank_row},
                                           {"col_var_low", Slot::low_rank_col},
                                           {"conf_row_low", Slot::confidence_row},
                                           {"conf_col_low", Slot::confidence_col},
                                           {"res_low", Slot::confidence_row},
                                           {"fira_prev_norm", Slot::previous_norm},
                                           {"scaled_grad_norm_prev", Slot::previous_norm}}};

std::vector<OptionRow> rows_of(const Version& version) {
  const O defaults = adafactor8bit_defaults(version);
  std::vector<OptionRow> rows;
  for (const OptionRow& row : option_table<O>())
    if (adafactor8bit_has(version, row.name)) rows.push_back({row.name, get_option(defaults, row.name), row.valid});
  return rows;
}

Optimizer make(const Version& version, std::span<const NamedOption> named, const Shape& shape,
               const PeerContext& context) {
  O options = adafactor8bit_defaults(version);
  for (const auto& [name, value] : named) {
    if (!adafactor8bit_has(version, name)) option_text::unknown(name, rows_of(version));
    set_option(options, name, value);
  }
  return make_adafactor8bit(version, options, shape, context);
}

template <size_t K>
constexpr Dialect dialect_of() {
  return {.name = "adafactor8bit",
          .source = "adafactor8bit",
          .options = [] { return rows_of(kRules[K].first); },
          .make = [](std::span<const NamedOption> named, const Shape& shape,
                     const PeerContext& context) { return make(kRules[K].first, named, shape, context); },
          .slots = kSlots,
          .versions = {kRules[K].first, kRules[K].last},
          .defects = kRules[K].defects,
          .unversioned = kRules[K].first == kUnversioned};
}

constexpr Dialect first_unversioned() {
  Dialect dialect = dialect_of<0>();
  dialect.name = "adafactor8bit-0.1";
  dialect.versions = {};
  dialect.unversioned = true;
  return dialect;
}

template <size_t... K>
constexpr std::array<Dialect, sizeof...(K)> all_dialects(std::index_sequence<K...>) {
  return {dialect_of<K>()...};
}

}  // namespace

std::span<const OptionField<O>> OptionTable<O>::fields() { return kFields; }

bool adafactor8bit_has(const Version& version, std::string_view option) {
  for (const Life& life : kLives)
    if (life.name == option) return life.since <= version && version <= life.last;
  return true;
}

O adafactor8bit_defaults(const Version& version) {
  O options;
  for (const Default& row : kDefaults)
    if (row.since <= version) set_option(options, row.name, row.value);
  return options;
}

std::span<const Dialect> adafactor8bit_dialects() {
  static constexpr auto all = all_dialects(std::make_index_sequence<kRules.size()>());
  return all;
}

constinit const Dialect kAdafactor8bit01 = first_unversioned();

}  // namespace plumbline::reference
