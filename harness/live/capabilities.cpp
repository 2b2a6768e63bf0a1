#include "harness/live/capabilities.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/error.h"
#include "reference/dialects/dialect.h"

namespace plumbline::harness::live {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 13> kMembers = {"name",    "dialect", "parameter", "gradient", "place",
                                                  "largest", "rank",    "exponent",  "steps",    "alignment",
                                                  "options", "state",   "arithmetic"};
constexpr std::array<const char*, 2> kPromises = {"same_bits", "resume"};

class Reader {
 public:
  explicit Reader(const std::string& subject) : subject_(subject) {}

  [[noreturn]] void refuse(const std::string& what) const {
    throw InputError(fmt::format("subject {}: describe(): {}", subject_, what));
  }

  std::vector<DType> types(const std::string& name, const json& value) const {
    std::vector<DType> out;
    if (!value.is_array() || value.empty()) refuse(fmt::format("{}: {}: expected a list of types", name, value.dump()));
    for (const json& item : value) {
      if (!item.is_string()) refuse(fmt::format("{}: {}: expected a list of types", name, value.dump()));
      try {
        out.push_back(parse_dtype(item.get<std::string>()));
      } catch (const InputError& e) {
        refuse(fmt::format("{}: {}", name, e.what()));
      }
    }
    return out;
  }

  int64_t count(const std::string& name, const json& value, int64_t least, int64_t most) const {
    if (!value.is_number_integer() || value.get<int64_t>() < least || value.get<int64_t>() > most)
      refuse(fmt::format("{}: {}: expected a whole number from {} to {}", name, value.dump(), least, most));
    return value.get<int64_t>();
  }

  std::pair<int, int> interval(const std::string& name, const json& value, int least, int most) const {
    if (!value.is_array() || value.size() != 2)
      refuse(fmt::format("{}: {}: expected [least, most]", name, value.dump()));
    const std::pair<int, int> out(int(count(name, value[0], least, most)), int(count(name, value[1], least, most)));
    if (out.first > out.second) refuse(fmt::format("{}: {}: nothing lies between these", name, value.dump()));
    return out;
  }

  OptionLimits limits(const std::string& name, const json& value) const {
    OptionLimits out;
    if (value.is_object()) {
      for (const auto& [end, number] : value.items()) {
        if ((end != "min" && end != "max") || !number.is_number())
          refuse(fmt::format("options: {}: {}: expected {{}}, {{\"min\": x, \"max\": y}}, or a list of values", name,
                             value.dump()));
        (end == "min" ? out.low : out.high) = number.get<double>();
      }
      if (out.low && out.high && !(*out.low <= *out.high))
        refuse(fmt::format("options: {}: {}: nothing lies between these", name, value.dump()));
    } else if (value.is_array()) {
      for (const json& item : value) out.values.push_back(item.dump());
      if (out.values.empty()) refuse(fmt::format("options: {}: no values", name));
    } else {
      out.values.push_back(value.dump());
    }
    return out;
  }

 private:
  const std::string& subject_;
};

template <class Names>
bool among(const std::string& name, const Names& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Capabilities parse_capabilities(std::string_view text, const std::string& subject) {
  const Reader reader(subject);
  Capabilities out;
  const json said = json::parse(text, nullptr, false);
  if (!said.is_object())
    reader.refuse(fmt::format("'{}': expected a JSON object", text.substr(0, std::min<size_t>(text.size(), 60))));
  for (const auto& [name, value] : said.items()) {
    if (name == "dialect") {
      if (!value.is_string()) reader.refuse(fmt::format("dialect: {}: expected a name", value.dump()));
      out.dialect = value;
    } else if (name == "parameter") {
      out.parameter = reader.types(name, value);
    } else if (name == "gradient") {
      out.gradient = reader.types(name, value);
    } else if (name == "place") {
      // What a worker stages to a device it stages itself.
      if (value != "host" && value != "cuda")
        reader.refuse(fmt::format("place: {}: expected host or cuda", value.dump()));
    } else if (name == "largest") {
      out.largest = reader.count(name, value, 1, int64_t{1} << 31);
    } else if (name == "rank") {
      out.rank = reader.interval(name, value, 0, 8);
    } else if (name == "exponent") {
      out.exponent = reader.interval(name, value, -30, 30);
    } else if (name == "steps") {
      out.steps = reader.count(name, value, 1, 1 << 20);
    } else if (name == "alignment") {
      out.alignment = reader.count(name, value, 1, 4096);
      if ((out.alignment & (out.alignment - 1)) != 0)
        reader.refuse(fmt::format("alignment: {}: expected a power of two", out.alignment));
    } else if (name == "options") {
      if (!value.is_object()) reader.refuse(fmt::format("options: {}: expected an object", value.dump()));
      out.options.emplace();
      for (const auto& [option, limits] : value.items()) (*out.options)[option] = reader.limits(option, limits);
    } else if (name == "state") {
      if (!value.is_object()) reader.refuse(fmt::format("state: {}: expected an object", value.dump()));
      for (const auto& [mine, slot] : value.items()) {
        const json& theirs = slot.is_object() && slot.contains("slot") ? slot["slot"] : slot;
        if (!theirs.is_string()) reader.refuse(fmt::format("state: {}: {}: expected a slot's name", mine, slot.dump()));
        out.state[mine] = theirs;
      }
    } else if (name == "arithmetic") {
      if (!value.is_object()) reader.refuse(fmt::format("arithmetic: {}: expected an object", value.dump()));
      for (const auto& [what, how] : value.items()) {
        if (what == "results")
          out.results = reader.types("arithmetic: results", json::array({how})).front();
        else if (what == "flush" && how.is_boolean())
          out.flush = how;
        else
          reader.refuse(
              fmt::format("arithmetic: {}: {}: expected results (a type) or flush (true or false)", what, how.dump()));
      }
    } else if (name == "promises") {
      if (!value.is_array()) reader.refuse(fmt::format("promises: {}: expected a list", value.dump()));
      for (const json& promise : value) {
        if (!promise.is_string() || !among(promise.get<std::string>(), kPromises))
          reader.refuse(fmt::format("promises: {}: unknown, known: {}", promise.dump(), fmt::join(kPromises, ", ")));
        out.promises.insert(promise.get<std::string>());
      }
    } else if (!among(name, kMembers)) {
      reader.refuse(fmt::format("{}: unknown, known: {}, promises", name, fmt::join(kMembers, ", ")));
    }
  }
  return out;
}

}  // namespace plumbline::harness::live
