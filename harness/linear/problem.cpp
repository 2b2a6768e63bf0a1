#include "harness/linear/problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <sstream>
#include <vector>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

using reference::Fp8ScaleKind;

constexpr std::array<const char*, kLayerModes> kModes = {"int8", "fp8"};
constexpr std::array<const char*, kWeightSources> kSources = {"fp8", "f32", "bf16", "f16", "codes"};
constexpr std::array<const char*, 3> kKinds = {"tensor", "channel", "block"};
constexpr std::array<const char*, kLayerRegimes> kRegimes = {
    "gaussian", "heavy_tail", "outlier_channel", "wide_tokens", "zero_tokens", "ties", "integers", "tiny", "nonfinite"};
constexpr std::array<const char*, 11> kWords = {"tokens", "inputs", "outputs", "mode", "type", "weight",
                                                "scales", "block",  "bias",    "data", "seed"};
constexpr const char* kFamily = "w8a8";

template <class Enum, size_t N>
Enum parse_name(std::string_view what, std::string_view text, const std::array<const char*, N>& names) {
  for (size_t i = 0; i < N; ++i)
    if (text == names[i]) return static_cast<Enum>(i);
  throw InputError(fmt::format("{}={}: expected one of {}", what, text, fmt::join(names, ", ")));
}

template <class Int>
Int parse_integer(std::string_view what, std::string_view text, Int low, Int high) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    throw InputError(fmt::format("{}={}: expected an integer in [{}, {}]", what, text, low, high));
  return value;
}

void set_word(LinearProblem& p, std::string_view name, std::string_view value) {
  constexpr int64_t kMost = int64_t{1} << 24;
  if (name == "tokens") {
    p.tokens = parse_integer<int64_t>(name, value, 1, kMost);
  } else if (name == "inputs") {
    p.inputs = parse_integer<int64_t>(name, value, 1, kMost);
  } else if (name == "outputs") {
    p.outputs = parse_integer<int64_t>(name, value, 1, kMost);
  } else if (name == "mode") {
    p.mode = parse_name<LayerMode>(name, value, kModes);
  } else if (name == "type") {
    p.type = parse_dtype(value);
  } else if (name == "weight") {
    p.weight = parse_name<WeightSource>(name, value, kSources);
  } else if (name == "scales") {
    p.scales = parse_name<Fp8ScaleKind>(name, value, kKinds);
  } else if (name == "block") {
    p.block = parse_integer<int64_t>(name, value, 1, kMost);
  } else if (name == "bias") {
    if (value != "true" && value != "false") throw InputError(fmt::format("bias={}: expected true or false", value));
    p.bias = value == "true";
  } else if (name == "data") {
    const size_t colon = value.find(':');
    p.regime = parse_name<LayerRegime>(name, value.substr(0, colon), kRegimes);
    if (colon != value.npos) p.exponent = parse_integer<int>("data exponent", value.substr(colon + 1), -140, 100);
  } else if (name == "layer") {
    p.layer = value;
  } else if (name == "seed") {
    p.seed = parse_integer<uint64_t>(name, value, 0, std::numeric_limits<uint64_t>::max());
  } else {
    throw InputError(fmt::format("unknown option '{}': expected one of {}, layer", name, fmt::join(kWords, ", ")));
  }
}

}  // namespace

const char* to_string(LayerMode mode) { return kModes[size_t(mode)]; }
const char* to_string(WeightSource source) { return kSources[size_t(source)]; }
const char* to_string(Fp8ScaleKind kind) { return kKinds[size_t(kind)]; }
const char* to_string(LayerRegime regime) { return kRegimes[size_t(regime)]; }

std::string to_string(const LinearProblem& p) {
  const LinearProblem defaults;
  std::string line = fmt::format("{} tokens={} inputs={} outputs={}", kFamily, p.tokens, p.inputs, p.outputs);
  auto add = [&](bool differs, std::string_view name, const auto& value) {
    if (differs) line += fmt::format(" {}={}", name, value);
  };
  add(p.mode != defaults.mode, "mode", to_string(p.mode));
  add(p.type != defaults.type, "type", to_string(p.type));
  add(p.weight != defaults.weight, "weight", to_string(p.weight));
  add(p.scales != defaults.scales, "scales", to_string(p.scales));
  add(p.block != defaults.block, "block", p.block);
  add(p.bias != defaults.bias, "bias", p.bias);
  if (p.layer.empty())
    line += fmt::format(" data={}:{}", to_string(p.regime), p.exponent);
  else
    line += fmt::format(" layer={}", p.layer);
  return line + fmt::format(" seed={}", p.seed);
}

LinearProblem parse_linear_problem(std::string_view line) {
  LinearProblem problem;
  std::vector<std::string> seen;
  std::istringstream words{std::string(line)};
  std::string word;
  if (!(words >> word) || word != kFamily) throw InputError(fmt::format("'{}': expected a line of w8a8", line));
  while (words >> word) {
    const size_t equals = word.find('=');
    if (equals == word.npos || equals == 0 || equals + 1 == word.size())
      throw InputError(fmt::format("'{}': expected name=value", word));
    const std::string name = word.substr(0, equals);
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      throw InputError(fmt::format("'{}' is given twice", name));
    seen.push_back(name);
    set_word(problem, name, std::string_view(word).substr(equals + 1));
  }
  validate(problem);
  return problem;
}

void validate(const LinearProblem& p) {
  if (p.tokens < 1 || p.inputs < 1 || p.outputs < 1)
    throw InputError(
        fmt::format("{} tokens, {} inputs, {} outputs: expected at least 1 of each", p.tokens, p.inputs, p.outputs));
  if (double(p.tokens) * double(p.inputs) * double(p.outputs) > 0x1p40)
    throw InputError("tokens x inputs x outputs: expected at most 2^40");
  if (p.mode == LayerMode::int8 && p.inputs > reference::kExactAccumulatorInputs)
    throw InputError(fmt::format("inputs={}: expected at most {} in mode int8, where the accumulator is exact",
                                 p.inputs, reference::kExactAccumulatorInputs));
  if (p.type == DType::float64) throw InputError("type=f64: expected one of f32, bf16, f16");
  if (p.mode == LayerMode::fp8 && p.weight != WeightSource::fp8)
    throw InputError(fmt::format("weight={}: mode fp8 takes an FP8 weight alone", to_string(p.weight)));
  const bool blocks = p.weight == WeightSource::fp8 && p.scales == Fp8ScaleKind::block;
  if (blocks && (p.block < 1 || p.inputs % p.block != 0))
    throw InputError(fmt::format("block={}: expected a divisor of the {} inputs", p.block, p.inputs));
  if (!blocks && p.block != 0) throw InputError(fmt::format("block={}: only with weight=fp8 scales=block", p.block));
  if (p.regime == LayerRegime::integers && p.layer.empty() && (p.weight != WeightSource::codes || p.inputs > 1000))
    throw InputError("data=integers: expected weight=codes and at most 1000 inputs");
}

}  // namespace plumbline::harness
