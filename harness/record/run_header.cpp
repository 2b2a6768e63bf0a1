#include "harness/record/run_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/error.h"
#include "harness/record/strict_json.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 5> kStorageNames = {"nearest", "stochastic", "compensated", "master", "split"};
constexpr int64_t kMostSteps = 1'000'000'000;

// Reads the words of one object and knows where it is, for messages.
class WordReader {
 public:
  WordReader(std::string where, const json& object, std::vector<std::string_view> known)
      : where_(std::move(where)), object_(object) {
    if (!object.is_object()) throw InputError(fmt::format("{}: expected a JSON object", where_));
    for (const auto& [name, value] : object.items())
      if (std::find(known.begin(), known.end(), name) == known.end())
        throw InputError(
            fmt::format("{}: unknown word '{}': expected one of {}", where_, name, fmt::join(known, ", ")));
  }
  bool has(const char* name) const { return object_.contains(name); }
  const json& operator[](const char* name) const { return object_[name]; }

  int64_t integer(const char* name, int64_t low, int64_t high) const {
    const json& value = object_[name];
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(high)) ||
        value.get<int64_t>() < low || value.get<int64_t>() > high)
      throw refused(name, fmt::format("an integer from {} to {}", low, high));
    return value.get<int64_t>();
  }
  std::string text(const char* name) const {
    if (!object_[name].is_string()) throw refused(name, "a string");
    return object_[name].get<std::string>();
  }
  // Places in a run: ascending, none twice.
  std::vector<int64_t> steps(const char* name, int64_t last) const {
    return steps_of(where_ + ": " + name, object_[name], last);
  }
  static std::vector<int64_t> steps_of(const std::string& where, const json& list, int64_t last) {
    std::vector<int64_t> out;
    const auto refuse = [&] { return InputError(fmt::format("{}: expected steps from 1 to {}", where, last)); };
    if (!list.is_array()) throw refuse();
    for (const json& step : list) {
      if (!step.is_number_unsigned() || step.get<uint64_t>() < 1 || step.get<uint64_t>() > uint64_t(last))
        throw refuse();
      out.push_back(step.get<int64_t>());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  InputError refused(const char* name, const std::string& expected) const {
    return InputError(fmt::format("{}: {}: expected {}", where_, name, expected));
  }

 private:
  std::string where_;
  const json& object_;
};

ParameterStorage parse_storage(const std::string& where, const std::string& text) {
  for (size_t i = 0; i < kStorageNames.size(); ++i)
    if (text == kStorageNames[i]) return static_cast<ParameterStorage>(i);
  throw InputError(fmt::format("{}: storage '{}': expected one of {}", where, text, fmt::join(kStorageNames, ", ")));
}

// "pkg.Class 0.4.6 (torch 2.11)": what record_torch.py wrote before there was a word for it.
std::string release_in(const std::string& source) {
  const size_t first = source.find(' ');
  if (first == source.npos) return {};
  const std::string word = source.substr(first + 1, source.find(' ', first + 1) - first - 1);
  const bool digits = !word.empty() && word.find_first_not_of("0123456789.") == word.npos;
  return digits && word.front() != '.' && word.find('.') != word.npos ? word : std::string();
}

Assumptions parse_assumptions(const std::string& where, const json& object) {
  const WordReader words(where, object,
                         {"results", "accumulation", "hyperparameters", "subnormals", "rsqrt_ulps", "division_ulps",
                          "exp2_ulps", "log2_ulps"});
  Assumptions out;
  const auto type = [&](const char* name, std::optional<DType>& to) {
    if (words.has(name)) to = parse_dtype(words.text(name));
  };
  const auto ulps = [&](const char* name, double& to) {
    if (!words.has(name)) return;
    if (!words[name].is_number()) throw words.refused(name, "a number of ulps");
    to = words[name].get<double>();
    if (!(to >= 0.5 && to <= 1024)) throw words.refused(name, "ulps from 0.5 to 1024");
  };
  type("results", out.results);
  type("accumulation", out.accumulation);
  type("hyperparameters", out.hyperparameters);
  ulps("rsqrt_ulps", out.rsqrt_ulps);
  ulps("division_ulps", out.division_ulps);
  ulps("exp2_ulps", out.exp2_ulps);
  ulps("log2_ulps", out.log2_ulps);
  if (words.has("subnormals")) {
    const std::string what = words.text("subnormals");
    if (what != "kept" && what != "flushed") throw words.refused("subnormals", "kept or flushed");
    out.flushed = what == "flushed";
  }
  return out;
}

std::vector<int64_t> parse_shape(const std::string& where, const json& list, bool any) {
  if (!list.is_array() || (list.empty() && !any)) throw InputError(fmt::format("{}: expected a shape", where));
  std::vector<int64_t> shape;
  for (const json& extent : list) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > uint64_t{1} << 53 ||
        (extent.get<uint64_t>() < 1 && !any))
      throw InputError(fmt::format("{}: expected a shape of {} extents", where, any ? "non-negative" : "positive"));
    shape.push_back(extent.get<int64_t>());
  }
  if (shape.empty()) shape.push_back(1);
  return shape;
}

RunHeader::Tensor parse_tensor(const std::string& file, const std::string& name, const json& entry, int version,
                               int64_t steps, int64_t groups, int64_t steps_before, ParameterStorage storage) {
  RunHeader::Tensor out;
  out.name = name;
  out.steps_before = steps_before;
  out.storage = storage;
  const std::string where = fmt::format("{}: tensor {}", file, name);
  try {
    if (!entry.is_object() || !entry.contains("shape")) throw InputError(fmt::format("{}: expected a shape", where));
    out.shape = parse_shape(where, entry["shape"], true);
    if (entry.contains("regime") && entry["regime"].is_string()) out.regime = entry["regime"].get<std::string>();
    if (version == 1) return out;
    const WordReader words(where, entry, {"shape", "regime", "group", "steps_before", "skipped", "storage"});
    if (words.has("group")) out.group = words.integer("group", 0, groups - 1);
    if (words.has("steps_before")) out.steps_before = words.integer("steps_before", 0, kMostSteps);
    if (words.has("skipped")) out.skipped = words.steps("skipped", steps);
    if (words.has("storage")) out.storage = parse_storage(where, words.text("storage"));
  } catch (const InputError& e) {
    out.error = e.what();
    out.shape = {1};
  }
  return out;
}

}  // namespace

const char* to_string(ParameterStorage storage) { return kStorageNames[size_t(storage)]; }

bool RunHeader::Tensor::empty() const {
  return std::any_of(shape.begin(), shape.end(), [](int64_t extent) { return extent == 0; });
}

RunHeader::RunHeader(const std::string& file, const std::map<std::string, std::string>& metadata) {
  const auto word = [&](const char* key) {
    const auto at = metadata.find(key);
    return at == metadata.end() ? nullptr : &at->second;
  };
  const auto wanted = [&](const char* key) -> const std::string& {
    const std::string* found = word(key);
    if (!found)
      throw InputError(
          fmt::format("{}: metadata '{}' is missing: expected optimizer-trace/1 or optimizer-trace/2", file, key));
    return *found;
  };
  const auto parsed = [&](const char* key) {
    return parse_strict_json(file, fmt::format("metadata '{}'", key), wanted(key));
  };
  const auto where = [&](const char* key) { return fmt::format("{}: metadata '{}'", file, key); };

  const std::string& format = wanted("format");
  if (format != "optimizer-trace/1" && format != "optimizer-trace/2")
    throw InputError(fmt::format("{}: format '{}': expected optimizer-trace/1 or optimizer-trace/2", file, format));
  version_ = format.back() - '0';
  peer_ = wanted("peer");
  if (const std::string* source = word("source")) release_ = release_in(*source);
  if (word("version")) release_ = *word("version");
  if (word("defects")) {
    const json names = parsed("defects");
    const bool strings =
        names.is_array() && std::all_of(names.begin(), names.end(), [](const json& name) { return name.is_string(); });
    if (!strings) throw InputError(where("defects") + ": expected an array of names");
    defects_ = names.get<std::vector<std::string>>();
  }
  const json options = parsed("options");
  if (!options.is_object()) throw InputError(where("options") + ": expected a JSON object");
  options_ = options.dump();
  const json steps = parsed("steps");
  if (!steps.is_number_unsigned() || steps.get<uint64_t>() < 1 || steps.get<uint64_t>() > uint64_t(kMostSteps))
    throw InputError(where("steps") + ": expected a number from 1 to 10^9");
  steps_ = steps.get<int64_t>();
  groups_.push_back("{}");
  int64_t steps_before = 0;
  auto storage = ParameterStorage::nearest;

  if (version_ == 2) {
    if (word("package")) package_ = *word("package");
    if (word("path")) path_ = *word("path");
    if (word("storage")) storage = parse_storage(file, *word("storage"));
    if (const std::string* clock = word("clock")) {
      if (*clock != "tensor" && *clock != "run") throw InputError(where("clock") + ": expected tensor or run");
      clock_ = *clock == "run" ? StepClock::run : StepClock::tensor;
    }
    if (word("steps_before")) {
      const json value = parsed("steps_before");
      if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t(kMostSteps))
        throw InputError(where("steps_before") + ": expected a number from 0 to 10^9");
      steps_before = value.get<int64_t>();
    }
    if (word("skipped")) skipped_ = WordReader::steps_of(where("skipped"), parsed("skipped"), steps_);
    if (word("arithmetic")) assumptions_ = parse_assumptions(where("arithmetic"), parsed("arithmetic"));
    if (word("codecs")) {
      const json codecs = parsed("codecs");
      if (!codecs.is_object()) throw InputError(where("codecs") + ": expected a JSON object");
      codecs_ = codecs.dump();
    }
    if (word("groups")) {
      const json groups = parsed("groups");
      if (!groups.is_array() || groups.empty())
        throw InputError(where("groups") + ": expected an array of objects, options of one group each");
      groups_.clear();
      for (const json& group : groups) {
        if (!group.is_object()) throw InputError(where("groups") + ": expected an array of objects");
        groups_.push_back(group.dump());
      }
    }
    if (word("changes")) {
      const json changes = parsed("changes");
      if (!changes.is_array()) throw InputError(where("changes") + ": expected an array");
      for (const json& change : changes) {
        const WordReader words(where("changes"), change, {"step", "group", "options"});
        if (!words.has("step") || !words.has("options") || !words["options"].is_object())
          throw InputError(where("changes") + ": expected step and options of each");
        Change out{words.integer("step", 1, steps_), std::nullopt, words["options"].dump()};
        if (words.has("group")) out.group = words.integer("group", 0, int64_t(groups_.size()) - 1);
        changes_.push_back(std::move(out));
      }
      std::stable_sort(changes_.begin(), changes_.end(),
                       [](const Change& a, const Change& b) { return a.step < b.step; });
    }
  }

  const json tensors = parsed("tensors");
  if (!tensors.is_object() || tensors.empty()) throw InputError(where("tensors") + ": expected a JSON object");
  for (const auto& [name, entry] : tensors.items())
    tensors_.push_back(
        parse_tensor(file, name, entry, version_, steps_, int64_t(groups_.size()), steps_before, storage));
}

bool RunHeader::skipped(const Tensor& tensor, int64_t t) const {
  return std::binary_search(skipped_.begin(), skipped_.end(), t) ||
         std::binary_search(tensor.skipped.begin(), tensor.skipped.end(), t);
}

std::string RunHeader::options(int64_t group, int64_t t) const {
  if (version_ == 1) return options_;
  json out = json::parse(options_);
  out.update(json::parse(groups_[size_t(group)]));
  for (const Change& change : changes_)
    if (change.step <= t && (!change.group || *change.group == group)) out.update(json::parse(change.options));
  return out.dump();
}

bool RunHeader::options_change(int64_t group, int64_t t) const {
  return t > 1 && std::any_of(changes_.begin(), changes_.end(), [&](const Change& change) {
           return change.step == t && (!change.group || *change.group == group);
         });
}

}  // namespace plumbline::harness
