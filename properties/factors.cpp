#include "properties/factors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "harness/error.h"

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::Problem;
using harness::Rounding;
using harness::Storage;
using F = Factor;

constexpr const char* kNoPart = "-";

int shape_class(const Problem& p) {
  if (p.shape.size() == 1) return 0;
  if (p.shape.size() > 2) return 4;
  return p.shape[0] == 1 ? 1 : p.shape[1] == 1 ? 2 : 3;
}

int8_t type_class(DType type) { return type == DType::float32 ? 0 : type == DType::bfloat16 ? 1 : 2; }

}  // namespace

std::span<const FactorInfo, kFactors> factor_table() {
  static const std::array<FactorInfo, kFactors> table{{
      {F::shape, "shape", {"vector", "row", "column", "matrix", "batch"}},
      {F::moment, "moment", {"factored", "full", "channel", "tensor"}},
      {F::low_rank, "low_rank", {"full", "factored", kNoPart}},
      {F::storage, "storage", {"fp32", "al8", "log_u8", "linear_u8", "al16"}},
      {F::rounding, "rounding", {"nearest", "stochastic", "dither", kNoPart}},
      {F::block, "block", {"2048", "smaller", kNoPart}},
      {F::momentum, "momentum", {"none", "gradient", "update", "confident"}},
      {F::momentum_storage, "momentum_storage", {"fp32", "bf16", "uf8", "uf4", kNoPart}},
      {F::momentum_rounding, "momentum_rounding", {"nearest", "stochastic", "dither", kNoPart}},
      {F::momentum_block, "momentum_block", {"auto", "set", kNoPart}},
      {F::param, "param", {"f32", "bf16", "f16"}},
      {F::parameter_rounding, "parameter_rounding", {"nearest", "stochastic", kNoPart}},
      {F::grad, "grad", {"f32", "bf16", "f16"}},
      {F::gradient_scale, "gradient_scale", {"off", "on"}},
      {F::clip, "clip", {"off", "on"}},
      {F::limiter, "limiter", {"off", "on"}},
      {F::scale_parameter, "scale_parameter", {"false", "true"}},
      {F::parameter_norm, "parameter_norm", {"fresh", "carried", kNoPart}},
      {F::relative_step, "relative_step", {"false", "true"}},
      {F::beta2, "beta2", {"schedule", "fixed"}},
      {F::weight_decay, "weight_decay", {"off", "step_size", "lr"}},
      {F::maximize, "maximize", {"false", "true"}},
      {F::data,
       "data",
       {"gaussian", "wide", "heavy_tail", "sparse_rows", "zero_rows", "constant", "rank_one", "spike", "growing",
        "frozen", "subnormal", "extreme", "nonfinite", "zero_cols", "rare_rows", "paused", "vanishing", "outlier"}},
      {F::nonfinite, "nonfinite", {"propagate", "zero", "skip", kNoPart}},
  }};
  return table;
}

bool is_counted(int factor, int value) {
  return std::strcmp(factor_table()[size_t(factor)].values[size_t(value)], kNoPart) != 0;
}

std::string value_name(int factor, int value) {
  const FactorInfo& info = factor_table()[size_t(factor)];
  return fmt::format("{}={}", info.name, info.values[size_t(value)]);
}

std::string to_string(const Classes& classes) {
  std::string out;
  for (int f = 0; f < kFactors; ++f)
    if (classes[size_t(f)] != kOpen) out += (out.empty() ? "" : " ") + value_name(f, classes[size_t(f)]);
  return out;
}

std::optional<Classes> classify(const Problem& p) {
  if (!p.data.trace.empty()) return std::nullopt;
  const auto& o = p.options;
  const reference::Path path = p.path();
  const bool projected = path == reference::Path::projected;
  const harness::Keeping averages = p.keeping(reference::Slot::row), momentum = p.keeping(reference::Slot::momentum);
  const bool coded = averages.storage != Storage::fp32, keeps = o.beta1.has_value();
  const bool momentum_rounds = keeps && momentum.storage != Storage::fp32;

  Classes c{};
  at(c, F::shape) = int8_t(shape_class(p));
  at(c, F::moment) = int8_t(path == reference::Path::factored                        ? 0
                            : path == reference::Path::full                          ? 1
                            : o.projection_scale_by == reference::ScaleType::channel ? 2
                                                                                     : 3);
  at(c, F::low_rank) = projected ? int8_t(o.projection_factored) : 2;
  at(c, F::storage) = int8_t(averages.storage);
  at(c, F::rounding) = coded ? int8_t(averages.rounding) : 3;
  at(c, F::block) = coded ? int8_t(p.block < 2048) : 2;
  at(c, F::momentum) = int8_t(!keeps ? 0 : !p.of_update() ? 1 : p.confident() ? 3 : 2);
  at(c, F::momentum_storage) =
      int8_t(!keeps                              ? 4
             : momentum.storage == Storage::fp32 ? 0
                                                 : int(momentum.storage) - int(Storage::bf16) + 1);
  at(c, F::momentum_rounding) = momentum_rounds ? int8_t(momentum.rounding) : 3;
  at(c, F::momentum_block) = momentum_rounds && has_codes(momentum.storage) ? int8_t(p.momentum_block > 0) : 2;
  at(c, F::param) = type_class(p.parameter);
  at(c, F::parameter_rounding) =
      p.parameter == DType::float32 ? 2 : int8_t(p.parameter_rounding == Rounding::stochastic);
  at(c, F::grad) = type_class(p.gradient);
  at(c, F::gradient_scale) = int8_t(p.gradient_scale != 1);
  at(c, F::clip) = int8_t(o.clip > 0);
  at(c, F::limiter) = int8_t(o.limiter_margin.has_value());
  at(c, F::scale_parameter) = int8_t(o.scale_parameter);
  at(c, F::parameter_norm) = o.scale_parameter ? int8_t(p.carried_norm) : 2;
  at(c, F::relative_step) = int8_t(o.relative_step);
  at(c, F::beta2) = int8_t(o.beta2.has_value());
  at(c, F::weight_decay) = int8_t(o.weight_decay <= 0                                     ? 0
                                  : o.weight_decay_by == reference::DecayScale::step_size ? 1
                                                                                          : 2);
  at(c, F::maximize) = int8_t(o.maximize);
  at(c, F::data) = int8_t(p.data.regime);
  at(c, F::nonfinite) = p.data.regime == harness::Regime::nonfinite ? int8_t(o.nonfinite) : 3;
  return c;
}

Literals parse_literals(std::string_view text) {
  Literals out;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(' ', start), text.size());
    const std::string_view word = text.substr(start, end - start);
    start = end + 1;
    const size_t equals = word.find('=');
    if (equals == 0 || equals == word.npos) throw harness::InputError(fmt::format("'{}': expected factor=value", word));
    const bool negated = word[equals - 1] == '!';
    const std::string_view name = word.substr(0, equals - (negated ? 1 : 0));
    int factor = 0;
    while (factor < kFactors && name != factor_table()[size_t(factor)].name) ++factor;
    if (factor == kFactors) throw harness::InputError(fmt::format("'{}': no such factor", name));
    uint32_t values = 0;
    for (size_t at = equals + 1; at <= word.size();) {
      const size_t stop = std::min(word.find('|', at), word.size());
      const std::string_view value = word.substr(at, stop - at);
      int v = 0;
      while (v < values_of(factor) && value != factor_table()[size_t(factor)].values[size_t(v)]) ++v;
      if (v == values_of(factor)) throw harness::InputError(fmt::format("'{}': no such value of {}", value, name));
      values |= uint32_t{1} << v;
      at = stop + 1;
    }
    const uint32_t all = (uint32_t{1} << values_of(factor)) - 1;
    out.of.emplace_back(factor, negated ? all & ~values : values);
  }
  return out;
}

bool holds(const Literals& literals, const Classes& classes) {
  for (const auto& [factor, values] : literals.of) {
    const int8_t value = classes[size_t(factor)];
    if (value == kOpen || !(values >> value & 1)) return false;
  }
  return true;
}

}  // namespace plumbline::properties
