// JSON of a stranger in which every name of an object stands once, and no deeper than kDeepestJson.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace plumbline::harness {

// Throws InputError "<where>: <what> ..." for text that is not JSON, a repeated name and deeper levels.
nlohmann::json parse_strict_json(const std::string& where, const std::string& what, std::string_view text);

}  // namespace plumbline::harness
