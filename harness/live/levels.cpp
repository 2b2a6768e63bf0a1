#include "harness/live/levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/live/problem.h"

namespace plumbline::harness::live {
namespace {

using nlohmann::json;

constexpr size_t kMostValues = 5;

// Numbers beside a default, nearer ones first; some may lie outside of the option's range.
std::vector<double> beside(double x, bool whole) {
  if (whole) return {x + 1, 1, 2, 2 * x, 0};
  if (x == 0) return {0.1, 0.01, -0.1, 1};
  if (x > 0.5 && x < 1) return {1 - 4 * (1 - x), 0.5, 1 - (1 - x) / 2, 0};  // the weight of an average
  if (std::fabs(x) < 1e-5) return {1e-3, 1e-6, 0};                          // a floor: where it would act
  return {x / 2, 2 * x, 64 * x, 0};  // far enough for a cap that depends on the step
}

// Values of one option other than its default, as JSON; not all of them valid.
std::vector<json> candidates(const json& value, const std::string& valid) {
  std::vector<json> out;
  const bool whole = valid.starts_with("integer");
  const auto number = [&](double x) -> json { return whole ? json(int64_t(x)) : json(x); };
  if (value.is_boolean()) {
    out.push_back(!value.get<bool>());
  } else if (value.is_number()) {
    for (const double x : beside(value.get<double>(), whole)) out.push_back(number(x));
    out.push_back(nullptr);
  } else if (value.is_null()) {
    for (const double x : {0.5, 0.1, 0.9, 1e-3, 2.0}) out.push_back(number(x));
    out.push_back(true);
  } else if (value.is_array()) {
    for (size_t k = 0; k < value.size(); ++k) {
      std::vector<json> items = candidates(value[k], "");
      for (size_t i = 0; i < std::min<size_t>(items.size(), 2); ++i) {
        json changed = value;
        changed[k] = items[i];
        out.push_back(changed);
      }
    }
  } else if (value.is_string()) {
    for (size_t at = 0; at <= valid.size();) {
      const size_t end = std::min(valid.find('|', at), valid.size());
      out.push_back(valid.substr(at, end - at));
      at = end + 1;
    }
  }
  return out;
}

// Whether the rule takes a value, all others at their defaults, for a matrix.
bool valid_value(const reference::Dialect& dialect, const std::string& name, const json& value) {
  try {
    dialect.make(live_options(json({{name, value}}).dump()), {4, 6}, {});
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

bool within(const OptionLimits& limits, const json& value) {
  if (!value.is_number()) return true;
  const double x = value.get<double>();
  return (!limits.low || x >= *limits.low) && (!limits.high || x <= *limits.high);
}

}  // namespace

std::string json_of(const std::string& text) {
  if (text == "none") return "null";
  std::string list = text;
  if (text.starts_with('['))
    for (size_t at; (at = list.find("none")) != list.npos;) list.replace(at, 4, "null");
  const json parsed = json::parse(list, nullptr, false);
  return parsed.is_discarded() ? json(text).dump() : parsed.dump();
}

std::vector<OptionLevels> option_levels(const reference::Dialect& dialect, const Capabilities& capabilities,
                                        std::vector<LeftOut>& left_out) {
  std::vector<OptionLevels> out;
  for (const reference::OptionRow& row : dialect.options()) {
    const json value = json::parse(json_of(row.default_value));
    OptionLevels levels{row.name, {value.dump()}, value.dump()};
    const OptionLimits* limits = nullptr;
    if (capabilities.options) {
      const auto at = capabilities.options->find(row.name);
      if (at == capabilities.options->end()) {
        left_out.push_back({row.name, fmt::format("not among the subject's options: {} always", value.dump())});
        out.push_back(std::move(levels));
        continue;
      }
      limits = &at->second;
    }
    if (limits && !limits->values.empty()) {
      levels.values.clear();
      for (const std::string& text : limits->values) {
        if (valid_value(dialect, row.name, json::parse(text)))
          levels.values.push_back(text);
        else
          left_out.push_back({fmt::format("{}={}", row.name, text), "the dialect does not take it"});
      }
      if (levels.values.empty()) levels.values.push_back(value.dump());
      if (std::find(levels.values.begin(), levels.values.end(), value.dump()) == levels.values.end())
        left_out.push_back(
            {fmt::format("{}={}", row.name, value.dump()), "the dialect's default; the subject says other values"});
    } else {
      for (const json& candidate : candidates(value, row.valid)) {
        const std::string text = candidate.dump();
        if (levels.values.size() >= kMostValues) break;
        if (std::find(levels.values.begin(), levels.values.end(), text) != levels.values.end()) continue;
        if (!valid_value(dialect, row.name, candidate)) continue;
        if (limits && !within(*limits, candidate)) {
          left_out.push_back({fmt::format("{}={}", row.name, text), "beyond the limits that the subject states"});
          continue;
        }
        levels.values.push_back(text);
      }
    }
    out.push_back(std::move(levels));
  }
  return out;
}

std::string options_text(const std::vector<OptionLevels>& options, const std::vector<int>& levels) {
  std::string out;
  for (size_t k = 0; k < options.size(); ++k) {
    const std::string& value = options[k].values[size_t(levels[k])];
    if (value == options[k].standard) continue;
    out += fmt::format("{}{}:{}", out.empty() ? "" : ",", json(options[k].name).dump(), value);
  }
  return "{" + out + "}";
}

}  // namespace plumbline::harness::live
