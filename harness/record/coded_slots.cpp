#include "harness/record/coded_slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "harness/error.h"
#include "harness/recorded_steps.h"

namespace plumbline::harness {
namespace {

constexpr std::string_view kCodes = "_q", kScale = "_scale", kLowest = "_min_log";

bool recorded(const Trace& trace, const Trace::TensorInfo& tensor, const std::string& name) {
  const std::vector<std::string> names = trace.slots(tensor.name);
  return std::find(names.begin(), names.end(), name) != names.end();
}

// adafactor8bit keeps S in S_q, S_scale and, from 0.4 on, S_min_log. Its rules:
//   averages  to 0.1.2 linear; to 0.2.0 logarithms whose extent is stored 255 times too small; to 0.3 from 2^-126 on;
//             then from the smallest value on, in 8 or 16 bits
//   momentum  to 0.3 in 4 bits: uniform with a step for a scale to 0.2.2, a table to 0.2.5, uniform with the
//   largest
//             value for a scale; then as m_quant_type says, uf8 unless it says so
class Adafactor8bitCodes {
 public:
  Adafactor8bitCodes(const Trace& trace, const Trace::TensorInfo& tensor) : trace_(trace), tensor_(tensor) {}

  std::vector<CodedSlot> find() const {
    std::vector<CodedSlot> out;
    for (const std::string& name : trace_.slots(tensor_.name)) {
      if (!name.ends_with(kCodes)) continue;
      CodedSlot slot;
      slot.slot = name.substr(0, name.size() - kCodes.size());
      slot.codes = name;
      slot.scales = slot.slot + std::string(kScale);
      const std::string lowest = slot.slot + std::string(kLowest);
      const bool adaptive = recorded(trace_, tensor_, lowest);
      slot.codec = built_in_codec(slot.slot == "m" || slot.slot == "m_low" ? momentum() : average(adaptive, name));
      if (adaptive) slot.lowest = lowest;
      out.push_back(std::move(slot));
    }
    return out;
  }

 private:
  std::string average(bool adaptive, const std::string& codes) const {
    if (adaptive) {
      for (int64_t t = 0; t <= trace_.steps(); ++t)
        if (const std::string array = state_array(tensor_.name, codes, t); trace_.has(array))
          return trace_.stored_type(array) == "U8" ? "al8" : "al16";
      return "al8";
    }
    const std::string& release = trace_.header().release();
    if (trace_.peer() == "adafactor8bit-0.1" || before(release, "0.1.3")) return "linear_u8";
    return before(release, "0.2.1") ? "log_u8_shrunk" : "log_u8";
  }
  std::string momentum() const {
    const auto options = nlohmann::json::parse(trace_.header().options(tensor_.group, 1));
    if (options.contains("m_quant_type") && options["m_quant_type"].is_string())
      return options["m_quant_type"].get<std::string>();
    const std::vector<std::string> names = trace_.slots(tensor_.name);
    const bool adaptive =
        std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(kLowest); });
    const std::string& release = trace_.header().release();
    if (adaptive || (!release.empty() && !before(release, "0.4.0"))) return "uf8";
    return before(release, "0.2.3") ? "uf4_step" : before(release, "0.2.6") ? "nearly_nf4" : "uf4";
  }
  // Nothing is before what is not said.
  static bool before(const std::string& release, const std::string& other) {
    if (release.empty()) return false;
    int a[3] = {}, b[3] = {};
    std::sscanf(release.c_str(), "%d.%d.%d", &a[0], &a[1], &a[2]);
    std::sscanf(other.c_str(), "%d.%d.%d", &b[0], &b[1], &b[2]);
    return std::lexicographical_compare(a, a + 3, b, b + 3);
  }

  const Trace& trace_;
  const Trace::TensorInfo& tensor_;
};

}  // namespace

std::vector<CodedSlot> coded_slots(const Trace& trace, const Trace::TensorInfo& tensor) {
  std::vector<CodedSlot> out;
  for (CodedSlot& slot : parse_coded_slots(trace.file(), trace.header().codecs())) {
    if (!recorded(trace, tensor, slot.codes)) continue;
    if (!slot.table.empty()) {
      std::string array;
      for (int64_t t = 0; t <= trace.steps() && array.empty(); ++t)
        if (const std::string name = state_array(tensor.name, slot.table, t); trace.has(name)) array = name;
      if (array.empty())
        throw InputError(fmt::format("{}: codecs: {}: no array {}", trace.file(), slot.slot,
                                     state_array(tensor.name, slot.table, 1)));
      const reference::Vector levels = trace.load(array).data;
      slot.codec.set_table({levels.data(), size_t(levels.size())});
    }
    out.push_back(std::move(slot));
  }
  if (out.empty() && trace.peer().starts_with("adafactor8bit")) return Adafactor8bitCodes(trace, tensor).find();
  return out;
}

StoredCodes load_stored_codes(const Trace& trace, const Trace::TensorInfo& tensor, const CodedSlot& slot, int64_t t) {
  StoredCodes out;
  out.codes = slot.codec.unpack(trace.load_codes(state_array(tensor.name, slot.codes, t)));
  const auto numbers = [&](const std::string& name) {
    const reference::Vector values = trace.load(state_array(tensor.name, name, t)).data;
    return std::vector<double>(values.begin(), values.end());
  };
  out.scales = numbers(slot.scales);
  if (!slot.lowest.empty()) out.lowest = numbers(slot.lowest);
  return out;
}

}  // namespace plumbline::harness
