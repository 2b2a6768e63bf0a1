#include "reference/options.h"

#include <array>
#include <charconv>
#include <cmath>

namespace plumbline::reference {

bool Range::contains(double x) const {
  return std::isfinite(x) && (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high);
}

std::string Range::text() const {
  const bool open_low = low_open || std::isinf(low), open_high = high_open || std::isinf(high);
  return option_text::concat(
      {open_low ? "(" : "[", option_text::print(low), ", ", option_text::print(high), open_high ? ")" : "]"});
}

namespace option_text {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

std::string concat(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const auto part : parts) out += part;
  return out;
}

std::string print(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  (void)error;  // the shortest form of a double has at most 24 characters
  return {buffer.data(), end};
}

std::string print(const std::optional<double>& value) { return value ? print(*value) : "none"; }

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::vector<std::optional<double>>> parse_list(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::vector<std::optional<double>> values;
  for (;;) {
    const size_t comma = text.find(',');
    const std::string_view item = trim(text.substr(0, comma));
    const auto value = parse_number(item);
    if (!value && item != "none" && item != "null") return std::nullopt;
    values.push_back(value);
    if (comma == std::string_view::npos) return values;
    text.remove_prefix(comma + 1);
  }
}

std::string join(std::span<const std::string_view> names) {
  std::string out;
  for (const auto name : names) out += concat({out.empty() ? "" : "|", name});
  return out;
}

void refuse(std::string_view name, std::string_view value, std::string_view valid) {
  throw std::invalid_argument(concat({"option ", name, ": value ", value, ", valid: ", valid}));
}

void unknown(std::string_view name, const std::vector<OptionRow>& known) {
  std::string list;
  for (const auto& row : known) list += concat({list.empty() ? "" : ", ", row.name});
  throw std::invalid_argument(concat({"option ", name, ": unknown, known: ", list}));
}

}  // namespace option_text
}  // namespace plumbline::reference
