// JSON that others wrote. The library reads any depth and then copies, compares and writes level by level on the stack,
// so that a small file of nested lists would end the program: nothing that this project reads nests deeper than
// kDeepestJson.
#pragma once
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "harness/error.h"

namespace plumbline::harness {

inline constexpr int kDeepestJson = 64;

// What Json::parse gives: a discarded value for what is not JSON, or its exception. Throws InputError that begins with
// `name` for what nests deeper.
template <class Json>
Json parse_json(std::string_view text, std::string_view name, bool exceptions) {
  const auto shallow = [&](int depth, typename Json::parse_event_t, Json&) {
    if (!(depth <= kDeepestJson)) throw InputError(fmt::format("{}: nests deeper than {} levels", name, kDeepestJson));
    return true;
  };
  return Json::parse(text.begin(), text.end(), shallow, exceptions);
}

}  // namespace plumbline::harness
