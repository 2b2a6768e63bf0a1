#include "harness/problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

constexpr std::array<const char*, kStorages> kStorageNames = {"fp32", "al8",  "log_u8", "linear_u8",
                                                              "al16", "bf16", "uf8",    "uf4"};
constexpr std::array<const char*, 3> kRoundingNames = {"nearest", "stochastic", "dither"};
constexpr std::array<const char*, kRegimes> kRegimeNames = {
    "gaussian", "wide",      "heavy_tail", "sparse_rows", "zero_rows", "constant",  "rank_one", "spike",     "growing",
    "frozen",   "subnormal", "extreme",    "nonfinite",   "zero_cols", "rare_rows", "paused",   "vanishing", "outlier"};
constexpr std::array<const char*, kFeatures> kFeatureNames = {"clip",
                                                              "eps1",
                                                              "eps2",
                                                              "weight_decay",
                                                              "relative_step",
                                                              "scale_parameter",
                                                              "maximize",
                                                              "nonfinite",
                                                              "beta2",
                                                              "momentum",
                                                              "momentum_of",
                                                              "confidence",
                                                              "eps_came",
                                                              "bias",
                                                              "limiter",
                                                              "projection",
                                                              "projection_refresh",
                                                              "projection_scale_by",
                                                              "projection_scale",
                                                              "projection_scale_first",
                                                              "projection_eps",
                                                              "projection_factored",
                                                              "projection_seed",
                                                              "rounding",
                                                              "momentum_rounding",
                                                              "parameter_rounding",
                                                              "gradient_scale"};

template <class Enum, size_t N>
Enum parse_name(std::string_view what, std::string_view text, const std::array<const char*, N>& names) {
  for (size_t i = 0; i < N; ++i)
    if (text == names[i]) return static_cast<Enum>(i);
  throw InputError(fmt::format("{}={}: expected one of {}", what, text, fmt::join(names, ", ")));
}

using Options = reference::PlumblineOptions;
const std::vector<reference::OptionRow>& option_rows() {
  static const auto rows = reference::option_table<Options>();
  return rows;
}

template <class Int>
Int parse_integer(std::string_view what, std::string_view text, Int low, Int high) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    throw InputError(fmt::format("{}={}: expected an integer in [{}, {}]", what, text, low, high));
  return value;
}

std::vector<int64_t> parse_shape(std::string_view text) {
  std::vector<int64_t> shape;
  int64_t elements = 1;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('x', at), text.size());
    shape.push_back(parse_integer<int64_t>("shape", text.substr(at, end - at), 1, int64_t{1} << 32));
    if (elements > (int64_t{1} << 32) / shape.back())
      throw InputError(fmt::format("shape={}: expected at most 2^32 elements", text));
    elements *= shape.back();
    at = end + 1;
  }
  return shape;
}

bool is_block(int block) { return block >= 64 && block <= 2048 && (block & (block - 1)) == 0; }

// What storing may do to an update has a bound (reference/CODECS.md), or production refuses it, and so do cases.
void check_promised(const Problem& p) {
  const auto& o = p.options;
  if (p.rounding == Rounding::dither && p.storage == Storage::log_u8)
    throw InputError("rounding=dither: expected nearest or stochastic with storage=log_u8, its noise multiplies");
  if (p.rounding == Rounding::dither && p.storage == Storage::al8) {
    double weight = o.beta2 ? 1 - *o.beta2 : std::pow(0x1p31, o.beta2_decay);
    if (o.beta3) weight = std::min(weight, 1 - *o.beta3);
    if (!(weight >= 0.02))
      throw InputError(
          fmt::format("rounding=dither: expected weights of new samples of at least 0.02 with storage=al8, or its "
                      "noise multiplies: the least is {:.3g} (beta2, beta2_decay, beta3)",
                      weight));
  }
  if (!o.beta1) return;
  if (p.momentum_storage == Storage::bf16 && p.momentum_rounding == Rounding::nearest && !(1 - *o.beta1 > 0x1p-8))
    throw InputError("momentum_rounding=nearest: expected beta1 < 1 - 2^-8 with momentum_storage=bf16, or it sticks");
  const bool divided = !p.of_update() || o.beta3;
  if (!divided || (p.momentum_storage != Storage::uf8 && p.momentum_storage != Storage::uf4)) return;
  if (p.momentum_rounding == Rounding::dither)
    throw InputError(
        fmt::format("momentum_rounding=dither: expected stochastic with momentum_storage={} of what is divided: zero "
                    "is read as a residue",
                    to_string(p.momentum_storage)));
  if (p.momentum_rounding == Rounding::nearest && *o.beta1 > 0.5)
    throw InputError(
        fmt::format("momentum_rounding=nearest: expected stochastic, or beta1 <= 0.5, with momentum_storage={} of what "
                    "is divided: codes stick",
                    to_string(p.momentum_storage)));
}

void check_keeping(const Problem& p) {
  if (!is_block(p.block)) throw InputError(fmt::format("block={}: expected a power of two in [64, 2048]", p.block));
  if (p.momentum_block != 0 && !is_block(p.momentum_block))
    throw InputError(fmt::format("momentum_block={}: expected 0 or a power of two in [64, 2048]", p.momentum_block));
  if (!keeps_averages(p.storage))
    throw InputError(fmt::format("storage={}: expected fp32, al8, log_u8, linear_u8 or al16", to_string(p.storage)));
  if (!keeps_momentum(p.momentum_storage))
    throw InputError(
        fmt::format("momentum_storage={}: expected fp32, bf16, uf8 or uf4", to_string(p.momentum_storage)));
  if (p.rounding == Rounding::dither && p.storage == Storage::linear_u8)
    throw InputError("rounding=dither: expected nearest or stochastic with storage=linear_u8");
  if (p.momentum_rounding == Rounding::dither && p.momentum_storage == Storage::bf16)
    throw InputError("momentum_rounding=dither: expected nearest or stochastic with momentum_storage=bf16");
  check_promised(p);
  if (p.parameter_rounding == Rounding::dither)
    throw InputError("parameter_rounding=dither: expected nearest or stochastic");
  if (!(p.gradient_scale > 0 && p.gradient_scale <= std::numeric_limits<float>::max()) ||
      p.gradient_scale != double(float(p.gradient_scale)))
    throw InputError(fmt::format("gradient_scale={}: expected a finite float32 above 0", p.gradient_scale));
}

const char* known_words() {
  return "shape, param, grad, storage, rounding, block, momentum_storage, momentum_rounding, momentum_block, "
         "parameter_rounding, gradient_scale, min_quantized_size, parameter_norm, place, data, init, trace, tensor, "
         "repeat, steps, "
         "seed, focus";
}

void set_word(Problem& p, std::string_view name, std::string_view value) {
  constexpr int64_t kMany = int64_t{1} << 40;
  if (name == "shape") {
    p.shape = parse_shape(value);
  } else if (name == "param") {
    p.parameter = parse_dtype(value);
  } else if (name == "grad") {
    p.gradient = parse_dtype(value);
  } else if (name == "storage") {
    p.storage = parse_name<Storage>(name, value, kStorageNames);
  } else if (name == "rounding") {
    p.rounding = parse_name<Rounding>(name, value, kRoundingNames);
  } else if (name == "block") {
    p.block = parse_integer<int>(name, value, 64, 2048);
    if (!is_block(p.block)) throw InputError(fmt::format("block={}: expected a power of two in [64, 2048]", value));
  } else if (name == "momentum_storage") {
    p.momentum_storage = parse_name<Storage>(name, value, kStorageNames);
  } else if (name == "momentum_rounding") {
    p.momentum_rounding = parse_name<Rounding>(name, value, kRoundingNames);
  } else if (name == "momentum_block") {
    p.momentum_block = parse_integer<int>(name, value, 0, 2048);
  } else if (name == "parameter_rounding") {
    p.parameter_rounding = parse_name<Rounding>(name, value, kRoundingNames);
  } else if (name == "gradient_scale") {
    const auto number = reference::option_text::parse_number(value);
    if (!number) throw InputError(fmt::format("gradient_scale={}: expected a finite float32 above 0", value));
    p.gradient_scale = *number;
  } else if (name == "min_quantized_size") {
    p.min_quantized_size = parse_integer<int64_t>(name, value, 0, kMany);
  } else if (name == "parameter_norm") {
    if (value != "fresh" && value != "carried")
      throw InputError(fmt::format("parameter_norm={}: expected fresh or carried", value));
    p.carried_norm = value == "carried";
  } else if (name == "place") {
    p.place = parse_integer<int>(name, value, 0, 4096);
  } else if (name == "data") {
    const size_t colon = value.find(':');
    p.data.regime = parse_name<Regime>(name, value.substr(0, colon), kRegimeNames);
    if (colon != value.npos) p.data.exponent = parse_integer<int>("data exponent", value.substr(colon + 1), -140, 60);
  } else if (name == "init") {
    p.data.parameter_exponent = parse_integer<int>(name, value, -140, 60);
  } else if (name == "trace") {
    p.data.trace = value;
  } else if (name == "tensor") {
    p.data.tensor = value;
  } else if (name == "repeat") {
    if (value != "true" && value != "false") throw InputError(fmt::format("repeat={}: expected true or false", value));
    p.data.repeat = value == "true";
  } else if (name == "steps") {
    p.steps = parse_integer<int64_t>(name, value, 1, 1'000'000);
  } else if (name == "seed") {
    p.seed = parse_integer<uint64_t>(name, value, 0, std::numeric_limits<uint64_t>::max());
  } else if (name == "focus") {
    p.focus.clear();
    for (size_t at = 0; at <= value.size();) {
      const size_t end = std::min(value.find(',', at), value.size());
      p.focus.push_back(parse_name<Feature>("focus", value.substr(at, end - at), kFeatureNames));
      at = end + 1;
    }
  } else {
    const auto& table = option_rows();
    if (std::none_of(table.begin(), table.end(), [&](const auto& row) { return row.name == name; })) {
      std::string options;
      for (const auto& row : table) options += fmt::format(", {}", row.name);
      throw InputError(fmt::format("unknown option '{}': expected one of {}{}", name, known_words(), options));
    }
    try {
      reference::set_option(p.options, name, value);
    } catch (const std::invalid_argument& e) {
      throw InputError(e.what());
    }
  }
}

}  // namespace

const char* to_string(Storage storage) { return kStorageNames[static_cast<size_t>(storage)]; }
const char* to_string(Rounding rounding) { return kRoundingNames[static_cast<size_t>(rounding)]; }
const char* to_string(Regime regime) { return kRegimeNames[static_cast<size_t>(regime)]; }
const char* to_string(Feature feature) { return kFeatureNames[static_cast<size_t>(feature)]; }

int64_t Problem::elements() const {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

Keeping Problem::keeping(reference::Slot slot) const {
  using reference::Slot;
  const bool quantized = elements() >= min_quantized_size;
  if (slot != Slot::momentum && slot != Slot::low_rank_momentum) {
    if (!quantized || storage == Storage::fp32) return {};
    return {storage, block, rounding};
  }
  if (!quantized || momentum_storage == Storage::fp32) return {};
  if (momentum_storage == Storage::bf16) return {Storage::bf16, 0, momentum_rounding};
  return {momentum_storage,
          momentum_block > 0                 ? momentum_block
          : momentum_storage == Storage::uf4 ? 128
                                             : 256,
          momentum_rounding};
}

std::string to_string(const Problem& p) {
  const Problem defaults;
  std::string line = fmt::format("shape={}", fmt::join(p.shape, "x"));
  auto add = [&](bool differs, std::string_view name, const auto& value) {
    if (differs) line += fmt::format(" {}={}", name, value);
  };
  add(p.parameter != defaults.parameter, "param", to_string(p.parameter));
  add(p.gradient != defaults.gradient, "grad", to_string(p.gradient));
  add(p.storage != defaults.storage, "storage", to_string(p.storage));
  add(p.rounding != defaults.rounding, "rounding", to_string(p.rounding));
  add(p.block != defaults.block, "block", p.block);
  add(p.momentum_storage != defaults.momentum_storage, "momentum_storage", to_string(p.momentum_storage));
  add(p.momentum_rounding != defaults.momentum_rounding, "momentum_rounding", to_string(p.momentum_rounding));
  add(p.momentum_block != defaults.momentum_block, "momentum_block", p.momentum_block);
  add(p.parameter_rounding != defaults.parameter_rounding, "parameter_rounding", to_string(p.parameter_rounding));
  add(p.gradient_scale != 1, "gradient_scale", reference::option_text::print(p.gradient_scale));
  add(p.min_quantized_size != defaults.min_quantized_size, "min_quantized_size", p.min_quantized_size);
  add(p.carried_norm, "parameter_norm", "carried");
  add(p.place != 0, "place", p.place);
  for (const auto& row : option_rows()) {
    const std::string value = reference::get_option(p.options, row.name);
    add(value != row.default_value, row.name, value);
  }
  if (p.data.trace.empty()) {
    line += fmt::format(" data={}:{} init={}", to_string(p.data.regime), p.data.exponent, p.data.parameter_exponent);
  } else {
    line += fmt::format(" trace={} tensor={}", p.data.trace, p.data.tensor);
    add(p.data.repeat, "repeat", "true");
  }
  if (!p.focus.empty()) {
    std::vector<const char*> names;
    for (Feature f : p.focus) names.push_back(to_string(f));
    line += fmt::format(" focus={}", fmt::join(names, ","));
  }
  return line + fmt::format(" steps={} seed={}", p.steps, p.seed);
}

Problem parse_problem(std::string_view line) {
  Problem problem;
  std::vector<std::string> seen;
  std::istringstream words{std::string(line)};
  for (std::string word; words >> word;) {
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

void validate(const Problem& p) {
  if (p.shape.empty() || std::any_of(p.shape.begin(), p.shape.end(), [](int64_t extent) { return extent < 1; }))
    throw InputError("shape: expected at least one element");
  if (p.steps < 1) throw InputError(fmt::format("steps={}: expected at least 1", p.steps));
  check_keeping(p);
  try {
    reference::check_options(p.options);
  } catch (const std::invalid_argument& e) {
    throw InputError(e.what());
  }
  if (p.parameter == DType::float64 || p.gradient == DType::float64)
    throw InputError("param, grad: expected f32, bf16 or f16 (f64 is for traces of third parties)");
  if (p.data.trace.empty() != p.data.tensor.empty()) throw InputError("trace and tensor: expected both or neither");
  if (p.data.repeat && p.data.trace.empty()) throw InputError("repeat: expected with a trace");
  if (p.data.trace.empty() && p.data.regime == Regime::spike && p.steps < 2)
    throw InputError("data=spike: expected steps >= 2, the spike is in the second");
  if (p.options.beta2 && p.options.beta2_decay != Options{}.beta2_decay)
    throw InputError("beta2 and beta2_decay: expected one of them");
}

}  // namespace plumbline::harness
