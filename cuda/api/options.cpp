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
                            Storage GroupOptions::*, DecayScale GroupOptions::*, ParameterNorm GroupOptions::*>;

struct Entry {
  std::string_view name;
  Member member;
  std::string_view valid;  // an interval that low and high repeat, or the names of an enumeration in its order
  double low = 0, high = 0;
};

// Below 1: the largest double, so that [0, 1) is a closed interval of doubles.
constexpr double kBelowOne = 1.0 - 0x1p-53;
constexpr double kLargest = 1e6;

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
    {"nonfinite", &GroupOptions::nonfinite, "propagate|zero|skip"},
    {"storage", &GroupOptions::storage, "fp32|al8|log_u8|linear_u8"},
    {"block", &GroupOptions::block, "a power of two in [64, 2048]", 64, 2048},
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
  if (entry.name == "block" && (value & (value - 1)) != 0) return false;
  return int64_t(entry.low) <= value && value <= int64_t(entry.high);
}
bool in_range(const Entry& entry, int value) { return in_range(entry, int64_t(value)); }
bool in_range(const Entry& entry, const std::optional<double>& value) { return !value || in_range(entry, *value); }
bool in_range(const Entry&, bool) { return true; }
template <class E>
requires std::is_enum_v<E>
bool in_range(const Entry& entry, E value) { return int(value) < count_names(entry.valid); }

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
  value = E(at);
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
  return std::string(name_at(entry.valid, int(value)));
}

}  // namespace

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
}

}  // namespace plumbline
