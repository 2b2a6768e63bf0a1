// JSON of files that others may have written.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

namespace plumbline {

// A discarded value for what is not JSON, or nests deeper than anything that a checkpoint has: the library's copies and
// destructors work level by level, and a small file of nested lists would end the program.
inline nlohmann::json parse_shallow(std::string_view text) {
  constexpr int kDeepest = 64;
  bool shallow = true;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    shallow &= depth <= kDeepest;
    return shallow;  // what lies deeper is passed over
  };
  nlohmann::json value = nlohmann::json::parse(text.begin(), text.end(), watch, false);
  return shallow ? value : nlohmann::json(nlohmann::json::value_t::discarded);
}

}  // namespace plumbline
