#include "harness/record/strict_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "harness/error.h"
#include "harness/json_text.h"

namespace plumbline::harness {

nlohmann::json parse_strict_json(const std::string& where, const std::string& what, std::string_view text) {
  using nlohmann::json;
  std::vector<std::set<std::string>> names;  // of the objects that are open
  const auto look = [&](int depth, json::parse_event_t event, const json& value) {
    if (!(depth <= kDeepestJson))
      throw InputError(fmt::format("{}: {}: nests deeper than {} levels", where, what, kDeepestJson));
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      names.emplace_back();
    } else if (event == json::parse_event_t::object_end || event == json::parse_event_t::array_end) {
      names.pop_back();
    } else if (event == json::parse_event_t::key && !names.back().insert(value.get<std::string>()).second) {
      throw InputError(fmt::format("{}: {} has the name {} twice", where, what, value.dump(-1, ' ', true)));
    }
    return true;
  };
  json value = json::parse(text.begin(), text.end(), look, false);
  if (value.is_discarded()) throw InputError(fmt::format("{}: {} is not JSON", where, what));
  return value;
}

}  // namespace plumbline::harness
