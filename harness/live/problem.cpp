#include "harness/live/problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

constexpr std::array<const char*, kLiveRegimes> kRegimeNames = {
    "gaussian", "wide", "heavy_tail", "sparse_rows", "zero_rows", "constant", "rank_one", "spike", "growing", "frozen"};
constexpr int64_t kMostElements = int64_t{1} << 31;
constexpr int kMostExponent = 30;
constexpr int64_t kMostBeside = 16;

template <class Int>
Int parse_integer(const std::string& name, std::string_view text, Int low, Int high) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    throw InputError(fmt::format("{}={}: expected a whole number from {} to {}", name, text, low, high));
  return value;
}

std::vector<int64_t> parse_extents(const std::string& name, std::string_view text, int64_t least) {
  std::vector<int64_t> out;
  for (;;) {
    const size_t at = text.find('x');
    out.push_back(parse_integer<int64_t>(name, text.substr(0, at), least, kMostElements));
    if (at == text.npos) return out;
    text.remove_prefix(at + 1);
  }
}

LiveRegime parse_regime(std::string_view text) {
  for (size_t k = 0; k < kRegimeNames.size(); ++k)
    if (kRegimeNames[k] == text) return static_cast<LiveRegime>(k);
  throw InputError(fmt::format("data={}: expected one of {}", text, fmt::join(kRegimeNames, ", ")));
}

// One word: no spaces between tokens, those within strings escaped.
std::string compact(const nlohmann::json& options) {
  std::string out;
  for (const char c : options.dump(-1, ' ', true)) {
    if (c == ' ')
      out += "\\u0020";
    else
      out += c;
  }
  return out;
}

nlohmann::json parse_options(std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw InputError(fmt::format("options={}: expected a JSON object", text));
  return json;
}

}  // namespace

const char* to_string(LiveRegime regime) { return kRegimeNames[size_t(regime)]; }

int64_t LiveProblem::elements() const {
  int64_t n = 1;
  for (const int64_t extent : shape) n *= extent;
  return n;
}

std::string to_string(const LiveProblem& p) {
  const LiveProblem none;
  std::string line = fmt::format("live dialect={} shape={}", p.dialect,
                                 p.shape.empty() ? "scalar" : fmt::format("{}", fmt::join(p.shape, "x")));
  if (p.options != none.options) line += fmt::format(" options={}", p.options);
  if (!p.from.empty()) line += fmt::format(" from={}", fmt::join(p.from, "x"));
  if (p.parameter != none.parameter) line += fmt::format(" param={}", to_string(p.parameter));
  if (p.gradient != none.gradient) line += fmt::format(" grad={}", to_string(p.gradient));
  if (p.regime != none.regime) line += fmt::format(" data={}", to_string(p.regime));
  if (p.exponent != none.exponent) line += fmt::format(" exponent={}", p.exponent);
  if (p.parameter_exponent != none.parameter_exponent) line += fmt::format(" param_exponent={}", p.parameter_exponent);
  if (p.beside != none.beside) line += fmt::format(" beside={}", p.beside);
  return line + fmt::format(" steps={} seed={}", p.steps, p.seed);
}

LiveProblem parse_live_problem(std::string_view line) {
  LiveProblem p;
  bool shaped = false;
  std::vector<std::string> seen;
  std::istringstream words{std::string(line)};
  std::string word;
  words >> word;  // the family
  while (words >> word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals), value = equals == word.npos ? "" : word.substr(equals + 1);
    if (value.empty()) throw InputError(fmt::format("'{}': expected name=value", word));
    for (const std::string& other : seen)
      if (other == name) throw InputError(fmt::format("'{}' is given twice", name));
    seen.push_back(name);
    if (name == "dialect") {
      p.dialect = value;
    } else if (name == "shape") {
      shaped = true;
      p.shape = value == "scalar" ? std::vector<int64_t>{} : parse_extents(name, value, 1);
    } else if (name == "options") {
      p.options = compact(parse_options(value));
    } else if (name == "from") {
      p.from = parse_extents(name, value, 0);
    } else if (name == "param") {
      p.parameter = parse_dtype(value);
    } else if (name == "grad") {
      p.gradient = parse_dtype(value);
    } else if (name == "data") {
      p.regime = parse_regime(value);
    } else if (name == "exponent") {
      p.exponent = parse_integer(name, value, -kMostExponent, kMostExponent);
    } else if (name == "param_exponent") {
      p.parameter_exponent = parse_integer(name, value, -kMostExponent, kMostExponent);
    } else if (name == "beside") {
      p.beside = parse_integer<int64_t>(name, value, 0, kMostBeside);
    } else if (name == "steps") {
      p.steps = parse_integer<int64_t>(name, value, 1, 1 << 20);
    } else if (name == "seed") {
      p.seed = parse_integer<uint64_t>(name, value, 0, UINT64_MAX);
    } else {
      throw InputError(
          fmt::format("unknown word '{}': expected one of dialect, shape, options, from, param, grad, data, exponent, "
                      "param_exponent, beside, steps, seed",
                      name));
    }
  }
  if (p.dialect.empty() || !shaped) throw InputError("live: expected dialect=NAME shape=RxC");
  validate(p);
  return p;
}

std::vector<reference::NamedOption> live_options(std::string_view json) {
  std::vector<reference::NamedOption> out;
  const auto options = parse_options(json);
  for (const auto& [name, value] : options.items())
    out.push_back({name, value.is_string() ? value.get<std::string>() : value.dump()});
  return out;
}

void validate(const LiveProblem& p) {
  if (!p.from.empty() && p.from.size() != p.shape.size())
    throw InputError(fmt::format("from={}: expected as many numbers as shape has axes", fmt::join(p.from, "x")));
  int64_t elements = 1;
  for (const int64_t extent : p.shape) {
    if (extent < 1 || elements > kMostElements / extent)
      throw InputError(fmt::format("shape={}: expected 1 to 2^31 elements", fmt::join(p.shape, "x")));
    elements *= extent;
  }
  if (p.steps < 1) throw InputError(fmt::format("steps={}: expected at least 1", p.steps));
  try {
    reference::find_dialect(p.dialect).make(live_options(p.options), p.shape,
                                            {.epsilon = 2 * unit_roundoff(p.parameter)});
  } catch (const std::invalid_argument& e) {
    throw InputError(fmt::format("live dialect={}: {}", p.dialect, e.what()));
  }
}

}  // namespace plumbline::harness
