#include "cuda/api/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <variant>

#include "cuda/core/power.h"

namespace plumbline {
namespace {

using Member = std::variant<double GroupOptions::*, std::optional<double> GroupOptions::*, bool GroupOptions::*,
                            int GroupOptions::*, int64_t GroupOptions::*, Nonfinite GroupOptions::*,
                            Storage GroupOptions::*, DecayScale GroupOptions::*, ParameterNorm GroupOptions::*,
                            MomentumOf GroupOptions::*, ProjectionScale GroupOptions::*, Rounding GroupOptions::*>;

struct Entry {
  std::string_view name;
  Member member;
  std::string_view valid;  // an interval that low and high repeat, or the names of an enumeration in its order
  double low = 0, high = 0;
  const uint8_t* numbers = nullptr;  // of the names' enumerators, where they are not 0, 1, 2, ...
};

// Below 1: the largest double, so that [0, 1) is a closed interval of doubles.
constexpr double kBelowOne = 1.0 - 0x1p-53;
constexpr double kLargest = 1e6;
constexpr double kSeeds = 0x1p32 - 1;
constexpr uint8_t kMomentumStorages[] = {uint8_t(Storage::fp32), uint8_t(Storage::bf16), uint8_t(Storage::uf8),
                                         uint8_t(Storage::uf4)};

constexpr Entry kEntries[] = {
    {"lr", &GroupOptions::lr, "[0, 1e6]", 0, kLargest},
    {"relative_step", &GroupOptions::relative_step, "false|true"},
    {"scale_parameter", &GroupOptions::scale_parameter, "false|true"},
    {"beta2_decay", &GroupOptions::beta2_decay, "[-1, 0]", -1, 0},
    {"beta2", &GroupOptions::beta2, "none or [0, 1)", 0, kBelowOne},
    {"eps1", &GroupOptions::eps1, "[2^-100, 1]", 0x1p-100, 1},
    {"eps2", &GroupOptions::eps2, "[0, 1e6]", 0, kLargest},
    {"clip", &GroupOptions::clip, "0 (off) or [1e-6, 1e6]", 0, kLargest},
    {"weight_decay", &GroupOptions::weight_decay, "[0, 1e6]", 0, kLargest},
    {"weight_decay_by", &GroupOptions::weight_decay_by, "step_size|lr"},
    {"maximize", &GroupOptions::maximize, "false|true"},
    {"factored", &GroupOptions::factored, "false|true"},
    {"beta1", &GroupOptions::beta1, "none or [0, 1)", 0, kBelowOne},
    {"momentum_of", &GroupOptions::momentum_of, "gradient|update"},
    {"beta3", &GroupOptions::beta3, "none or [0, 1)", 0, kBelowOne},
    {"eps_came", &GroupOptions::eps_came, "[2^-100, 1]", 0x1p-100, 1},
    {"limiter_margin", &GroupOptions::limiter_margin, "none or [0, 1e6]", 0, kLargest},
    {"projection_rank", &GroupOptions::projection_rank, "0 (off) or [1, 4096]", 0, 4096},
    {"projection_refresh", &GroupOptions::projection_refresh, "[1, 2^31]", 1, 0x1p31},
    {"projection_scale_by", &GroupOptions::projection_scale_by, "channel|tensor"},
    {"projection_scale", &GroupOptions::projection_scale, "(0, 1e6]", 0x1p-1074, kLargest},
    {"projection_scale_first", &GroupOptions::projection_scale_first, "false|true"},
    {"projection_eps", &GroupOptions::projection_eps, "[1e-30, 1]", 1e-30, 1},
    {"projection_factored", &GroupOptions::projection_factored, "false|true"},
    {"projection_seed", &GroupOptions::projection_seed, "[0, 2^32)", 0, kSeeds},
    {"nonfinite", &GroupOptions::nonfinite, "propagate|zero|skip"},
    {"storage", &GroupOptions::storage, "fp32|al8|log_u8|linear_u8|al16"},
    {"block", &GroupOptions::block, "a power of two in [64, 2048]", 64, 2048},
    {"rounding", &GroupOptions::rounding, "nearest|stochastic|dither"},
    {"momentum_storage", &GroupOptions::momentum_storage, "fp32|bf16|uf8|uf4", 0, 0, kMomentumStorages},
    {"momentum_block", &GroupOptions::momentum_block, "0 (automatic) or a power of two in [64, 2048]", 0, 2048},
    {"momentum_rounding", &GroupOptions::momentum_rounding, "nearest|stochastic|dither"},
    {"parameter_rounding", &GroupOptions::parameter_rounding, "nearest|stochastic"},
    {"seed", &GroupOptions::seed, "[0, 2^32)", 0, kSeeds},
    {"min_quantized_size", &GroupOptions::min_quantized_size, "[0, 2^53]", 0, 0x1p53},
    {"parameter_norm", &GroupOptions::parameter_norm, "fresh|carried"},
};

[[noreturn]] void reject(const Entry& entry, std::string_view value) {
  throw OptionError(fmt::format("option {}: '{}', expected {}", entry.name, value, entry.valid));
}

const Entry& find(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry;
  }
  std::string known;
  for (const Entry& entry : kEntries) known += fmt::format("{}{}", known.empty() ? "" : ", ", entry.name);
  throw OptionError(fmt::format("option '{}': unknown, expected one of {}", name, known));
}

// Position of `value` among names separated by '|', or -1.
int position(std::string_view names, std::string_view value) {
  for (int i = 0;; ++i) {
    const size_t bar = names.find('|');
    if (names.substr(0, bar) == value) return i;
    if (bar == std::string_view::npos) return -1;
    names.remove_prefix(bar + 1);
  }
}
std::string_view name_at(std::string_view names, int at) {
  for (; at > 0; --at) names.remove_prefix(std::min(names.find('|'), names.size() - 1) + 1);
  return names.substr(0, names.find('|'));
}
int count_names(std::string_view names) { return 1 + int(std::count(names.begin(), names.end(), '|')); }
int number_at(const Entry& entry, int at) { return entry.numbers == nullptr ? at : int(entry.numbers[at]); }
// Where an enumerator stands among the names, or -1.
template <class E>
int position_of(const Entry& entry, E value) {
  const int names = count_names(entry.valid);
  for (int at = 0; at < names; ++at) {
    if (number_at(entry, at) == int(value)) return at;
  }
  return -1;
}

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Whether a value lies in its range; NaN does not.
bool in_range(const Entry& entry, double value) {
  if (entry.name == "clip" && value != 0.0 && !(value >= 1e-6)) return false;
  return entry.low <= value && value <= entry.high;
}
bool in_range(const Entry& entry, int64_t value) {
  const bool block = entry.name == "block" || entry.name == "momentum_block";
  if (block && ((value & (value - 1)) != 0 || (value != 0 && value < 64))) return false;
  return int64_t(entry.low) <= value && value <= int64_t(entry.high);
}
bool in_range(const Entry& entry, int value) { return in_range(entry, int64_t(value)); }
bool in_range(const Entry& entry, const std::optional<double>& value) { return !value || in_range(entry, *value); }
bool in_range(const Entry&, bool) { return true; }
template <class E>
requires std::is_enum_v<E>
bool in_range(const Entry& entry, E value) { return position_of(entry, value) >= 0; }

template <class T>
bool read(const Entry&, std::string_view text, T& value) {
  return parse(text, value);
}
bool read(const Entry&, std::string_view text, std::optional<double>& value) {
  if (text == "none") {
    value.reset();
    return true;
  }
  return parse(text, value.emplace());
}
bool read(const Entry& entry, std::string_view text, bool& value) {
  const int at = position(entry.valid, text);
  value = at == 1;
  return at >= 0;
}
template <class E>
requires std::is_enum_v<E>
bool read(const Entry& entry, std::string_view text, E& value) {
  const int at = position(entry.valid, text);
  if (at >= 0) value = E(number_at(entry, at));
  return at >= 0;
}

std::string print(const Entry&, double value) { return fmt::format("{}", value); }
std::string print(const Entry&, int value) { return fmt::format("{}", value); }
std::string print(const Entry&, int64_t value) { return fmt::format("{}", value); }
std::string print(const Entry&, bool value) { return value ? "true" : "false"; }
std::string print(const Entry& entry, const std::optional<double>& value) {
  return value ? print(entry, *value) : "none";
}
template <class E>
requires std::is_enum_v<E> std::string print(const Entry& entry, E value) {
  if (!in_range(entry, value)) return fmt::format("{}", int(value));
  return std::string(name_at(entry.valid, position_of(entry, value)));
}

void check_domain(const GroupOptions& options) {
  // eps1 w_t is the least that an average gains; w_t falls with t. It has to stay a normal float32.
  constexpr double kLastStep = 0x1p31;
  const double weight = options.beta2 ? 1.0 - *options.beta2 : core::decay_power(kLastStep, options.beta2_decay).w;
  const double least = double(float(options.eps1)) * double(float(weight));
  if (!(least >= 0x1p-126)) {
    throw OptionError(
        fmt::format("option eps1: '{}' times the least weight of a new sample, {:.3g} by {} = {}, is {:.3g}, "
                    "expected >= 2^-126",
                    options.eps1, weight, options.beta2 ? "beta2" : "beta2_decay",
                    get_option(options, options.beta2 ? "beta2" : "beta2_decay"), least));
  }
  if (!options.beta3) return;
  const double confidence = double(float(options.eps_came)) * double(float(1.0 - *options.beta3));
  if (!(confidence >= 0x1p-126)) {
    throw OptionError(fmt::format("option eps_came: '{}' times 1 - beta3 at beta3 = {} is {:.3g}, expected >= 2^-126",
                                  options.eps_came, *options.beta3, confidence));
  }
}

// Dither of logarithmic codes multiplies what it stores by random factors. The second moment of an average of weight w
// stays finite only while a^2 < 6 w, a half a step of the codes in natural logarithms; 252 octaves are the most that a
// block spans. For al16 that holds down to w = 3e-7.                                       (reference/CODECS.md)
void check_dithered_moments(const GroupOptions& options) {
  if (options.rounding != Rounding::dither || options.storage == Storage::fp32 || options.storage == Storage::al16)
    return;
  if (options.storage == Storage::log_u8)
    throw OptionError(
        "option rounding: 'dither' with storage log_u8 multiplies its own noise over a hundred octaves, expected "
        "nearest or stochastic, or storage al16");
  constexpr double kLeast = 0.02, kLastStep = 0x1p31;
  double weight = options.beta2 ? 1.0 - *options.beta2 : core::decay_power(kLastStep, options.beta2_decay).w;
  if (options.beta3) weight = std::min(weight, 1.0 - *options.beta3);
  if (!(weight >= kLeast))
    throw OptionError(
        fmt::format("option rounding: 'dither' with storage al8 and a new sample's weight of {:.3g} multiplies its own "
                    "noise, expected weights of at least {} (beta2, beta2_decay, beta3), or storage al16",
                    weight, kLeast));
}

// Zero has to be read as zero, and reached, where momentum is divided by what may be as small.
void check_momentum_rounding(const GroupOptions& options) {
  const double beta1 = *options.beta1;
  const bool to_nearest = options.momentum_rounding == Rounding::nearest;
  if (options.momentum_storage == Storage::bf16) {
    // M that is let go of falls by M (1 - beta1): less than half an ulp, 2^-8 M, is nothing.
    if (to_nearest && !(1.0 - beta1 > 0x1p-8))
      throw OptionError(
          fmt::format("option momentum_rounding: 'nearest' with momentum_storage bf16 never lets go of a value at "
                      "beta1 = {} (sticking), expected stochastic, or beta1 < 1 - 2^-8",
                      beta1));
    return;
  }
  const bool coded = options.momentum_storage == Storage::uf8 || options.momentum_storage == Storage::uf4;
  const bool divided = options.momentum_of == MomentumOf::gradient || options.beta3.has_value();
  if (!coded || !divided) return;
  if (options.momentum_rounding == Rounding::dither)
    throw OptionError(
        fmt::format("option momentum_rounding: 'dither' with momentum_storage {} reads zero as up to half a step, a "
                    "residue that the update divides by the root of nothing, expected stochastic, or momentum_of "
                    "update without beta3",
                    get_option(options, "momentum_storage")));
  // A code k sticks where round(k beta1) is k: at 1/2, code 1 goes to the even 0.
  if (to_nearest && beta1 > 0.5)
    throw OptionError(
        fmt::format("option momentum_rounding: 'nearest' with momentum_storage {} never lets go of codes below {:.3g} "
                    "at beta1 = {} (sticking): what has no gradient any more moves on, expected stochastic, beta1 <= "
                    "0.5, or momentum_of update without beta3",
                    get_option(options, "momentum_storage"), 0.5 / (1.0 - beta1), beta1));
}

void check_combinations(const GroupOptions& options) {
  // what `name` is set to takes for granted
  const auto needs = [&](std::string_view name, bool given, std::string_view what) {
    if (!given) throw OptionError(fmt::format("option {}: '{}' needs {}", name, get_option(options, name), what));
  };
  const bool momentum = options.beta1.has_value(), projection = options.projection_rank > 0;
  if (options.momentum_of != MomentumOf::gradient) {
    needs("momentum_of", momentum, "beta1");
    needs("momentum_of", !projection, "projection_rank 0: a projection takes the momentum of its gradient");
  }
  if (options.beta3) {
    needs("beta3", momentum, "beta1");
    needs("beta3", options.momentum_of == MomentumOf::update, "momentum_of update");
    needs("beta3", options.factored, "factored true");
    needs("beta3", !projection, "projection_rank 0");
  }
  if (options.rounding == Rounding::dither)
    needs("rounding", options.storage != Storage::linear_u8,
          "another storage than linear_u8: values would turn negative");
  if (options.momentum_rounding == Rounding::dither)
    needs("momentum_rounding", options.momentum_storage != Storage::bf16,
          "another momentum_storage than bf16: no blocks");
  check_dithered_moments(options);
  if (momentum) check_momentum_rounding(options);
}

}  // namespace

Precision precision_of(const GroupOptions& o) {
  return {o.storage,           o.block, o.rounding, o.momentum_storage, o.momentum_block, o.momentum_rounding,
          o.min_quantized_size};
}

GroupOptions with_precision(GroupOptions options, const Precision& precision) {
  options.storage = precision.storage;
  options.block = precision.block;
  options.rounding = precision.rounding;
  options.momentum_storage = precision.momentum_storage;
  options.momentum_block = precision.momentum_block;
  options.momentum_rounding = precision.momentum_rounding;
  options.min_quantized_size = precision.min_quantized_size;
  return options;
}

const std::vector<OptionRow>& option_table() {
  static const std::vector<std::string> defaults = [] {
    std::vector<std::string> texts;
    for (const Entry& entry : kEntries) texts.push_back(get_option(GroupOptions{}, entry.name));
    return texts;
  }();
  static const std::vector<OptionRow> table = [] {
    std::vector<OptionRow> rows;
    for (size_t i = 0; i < std::size(kEntries); ++i) rows.push_back({kEntries[i].name, defaults[i], kEntries[i].valid});
    return rows;
  }();
  return table;
}

void set_option(GroupOptions& options, std::string_view name, std::string_view value) {
  const Entry& entry = find(name);
  std::visit(
      [&](auto member) {
        auto parsed = options.*member;
        if (!read(entry, value, parsed) || !in_range(entry, parsed)) reject(entry, value);
        options.*member = parsed;
      },
      entry.member);
}

std::string get_option(const GroupOptions& options, std::string_view name) {
  const Entry& entry = find(name);
  return std::visit([&](auto member) { return print(entry, options.*member); }, entry.member);
}

void validate(const GroupOptions& options) {
  for (const Entry& entry : kEntries) {
    const bool good = std::visit([&](auto member) { return in_range(entry, options.*member); }, entry.member);
    if (!good) reject(entry, get_option(options, entry.name));
  }
  check_domain(options);
  check_combinations(options);
}

}  // namespace plumbline
