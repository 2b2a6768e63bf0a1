#include "tests/harness/trace_fuzz.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <random>

#include "harness/error.h"
#include "harness/peer.h"
#include "harness/recorded.h"
#include "harness/recorded_steps.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string next(const TraceFile& good) {
    // Lies that are well-formed JSON get further into the reader than damaged bytes.
    if (below(2) == 0) return damaged(good.bytes());
    TraceFile file = good;
    for (size_t lies = 1 + below(3); lies > 0; --lies) lie(file);
    return below(4) == 0 ? damaged(file.bytes()) : file.bytes();
  }

 private:
  size_t below(size_t n) { return size_t(random_() % n); }

  json value() {
    static const std::array<json, 24> kValues = {0,
                                                 1,
                                                 2,
                                                 3,
                                                 6,
                                                 7,
                                                 -1,
                                                 24,
                                                 1.5,
                                                 1e308,
                                                 1ull << 31,
                                                 1ull << 32,
                                                 1ull << 62,
                                                 ~uint64_t{0},
                                                 nullptr,
                                                 true,
                                                 "F32",
                                                 "BF16",
                                                 "U8",
                                                 "",
                                                 json::array(),
                                                 json::object(),
                                                 json::array({2, 3}),
                                                 json::array({1ull << 32, 1ull << 32})};
    return kValues[below(kValues.size())];
  }

  void lie(TraceFile& file) {
    json& meta = file.header["__metadata__"];
    auto entry = file.header.begin();
    std::advance(entry, below(file.header.size()));
    switch (below(10)) {
      case 0:
        file.header.erase(entry);
        return;
      case 1:
        *entry = value();
        return;
      case 2:
        if (entry->is_object()) (*entry)["dtype"] = value();
        return;
      case 3:
      case 4:
        if (entry->is_object() && entry->contains("shape") && (*entry)["shape"].is_array()) {
          json& shape = (*entry)["shape"];
          if (below(2) == 0 || shape.empty())
            shape.push_back(value());
          else
            shape[below(shape.size())] = value();
        }
        return;
      case 5:
      case 6:
        if (entry->is_object() && entry->contains("data_offsets") && (*entry)["data_offsets"].is_array() &&
            (*entry)["data_offsets"].size() == 2)
          (*entry)["data_offsets"][below(2)] = value();
        return;
      case 7:
        if (meta.is_object()) {
          static constexpr const char* kKeys[] = {"format",  "peer",         "options", "steps",   "tensors",
                                                  "groups",  "changes",      "skipped", "storage", "codecs",
                                                  "defects", "steps_before", "clock",   "version", "arithmetic"};
          meta[kKeys[below(std::size(kKeys))]] = below(2) == 0 ? value() : json(value().dump());
        }
        return;
      case 8:
        if (meta.is_object()) {
          static constexpr const char* kOptions[] = {"lr", "eps", "d", "beta2_decay", "maximize", "weight_decay"};
          meta["options"] = json{{kOptions[below(std::size(kOptions))], value()}}.dump();
        }
        return;
      default:
        if (meta.is_object()) meta["tensors"] = json{{"w", {{"shape", {value(), value()}}}}}.dump();
    }
  }

  std::string damaged(std::string bytes) {
    static constexpr const char* kTokens[] = {
        "0", "-1", "1e9",  "18446744073709551615", "[]", "{}",   "null",    "\"", ",", ":", "]", "}", "F64", "BF16",
        "@", "2",  "9999", "9223372036854775808",  "[0", "true", "\\u0000", "[[["};
    const size_t whole = bytes.size();
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    for (size_t edits = 1 + below(3); edits > 0 && bytes.size() > 9; --edits) {
      const size_t at = below(4) == 0 ? below(bytes.size()) : 8 + below(std::min(length, bytes.size() - 8));
      switch (below(7)) {
        case 0:
          bytes[at] = char(bytes[at] ^ (1 << below(8)));
          break;
        case 1:
          bytes[at] = char(random_());
          break;
        case 2:
          bytes.erase(at, 1 + below(16));
          break;
        case 3:
          bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(32)));
          break;
        case 4:
          bytes.replace(at, 1 + below(4), kTokens[below(std::size(kTokens))]);
          break;
        case 5: {  // another number where one is
          const size_t digit = bytes.find_first_of("0123456789", at);
          if (digit != bytes.npos) bytes[digit] = char('0' + below(10));
          break;
        }
        default:
          bytes.resize(at);
      }
    }
    if (bytes.size() >= 8 && below(2) == 0) {  // a header length that fits, so that what follows is reached
      const uint64_t fitting = std::min<uint64_t>(length + bytes.size() - whole, bytes.size() - 8);
      std::memcpy(bytes.data(), &fitting, 8);
    }
    return bytes;
  }

  std::mt19937_64 random_;
};

// Two steps of one tensor, with state: a run that a judge takes.
TraceFile small_run() {
  TraceFile file = small_training();
  file.header["__metadata__"]["peer"] = "torch";
  file.header["__metadata__"]["options"] = R"({"lr": 0.01, "eps": [null, 0.001]})";
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    size_t size = 1;
    for (const int64_t extent : shape) size *= size_t(extent);
    file.add(name, "F32", std::move(shape), std::string(4 * size, '\0'));
  };
  for (const char* at : {"@1", "@2"}) {
    add(std::string("param/w") + at, {2, 3});
    add(std::string("state/w/row_var") + at, {2, 1});
    add(std::string("state/w/col_var") + at, {1, 3});
  }
  return file;
}

// The same in the words of format 2: state in codes, a step that was skipped, options that change.
TraceFile small_run_of_words() {
  TraceFile file = small_run();
  nlohmann::json& meta = file.header["__metadata__"];
  meta["format"] = "optimizer-trace/2";
  meta["version"] = "2.11.0";
  meta["groups"] = R"([{}, {"lr": 0.5}])";
  meta["changes"] = R"([{"step": 2, "group": 0, "options": {"lr": 0.02}}])";
  meta["skipped"] = "[2]";
  meta["storage"] = "stochastic";
  meta["arithmetic"] = R"({"results": "f32", "rsqrt_ulps": 2, "subnormals": "flushed"})";
  meta["codecs"] = R"({"row_var": {"codec": {"levels": "table", "table": [0, 0.5, 1]}, "block": 2},
                       "col_var": {"codec": "al8", "codes": "c", "scales": "s", "lowest": "l"}})";
  meta["tensors"] = R"({"w": {"shape": [2, 3], "group": 0, "storage": "nearest", "skipped": [1], "steps_before": 0}})";
  for (const char* at : {"@1", "@2"}) {
    for (const char* slot : {"row_var", "col_var"}) file.header.erase(std::string("state/w/") + slot + at);
    file.add(std::string("state/w/row_var_q") + at, "U8", {2}, std::string("\1\2"));
    file.add(std::string("state/w/row_var_scale") + at, "F32", {1}, std::string(4, '\0'));
    file.add(std::string("state/w/c") + at, "U8", {3}, std::string("\1\2\3"));
    for (const char* name : {"s", "l"}) file.add(std::string("state/w/") + name + at, "F32", {1}, std::string(4, '\0'));
  }
  return file.packed();
}

}  // namespace

FuzzCounts fuzz_reader(uint64_t files, uint64_t seed) {
  const TraceFile goods[] = {small_run(), small_run_of_words()};
  Mutator mutator(seed);
  FuzzCounts counts;
  for (uint64_t i = 0; i < files; ++i) {
    const std::string bytes = mutator.next(goods[i % 2]);
    try {
      const Trace trace(SafeTensors::parse(as_bytes(bytes), "file"));
      for (const auto& info : trace.tensors()) {
        trace.tensor(info.name);
        for (int64_t t = 1; t <= std::min<int64_t>(trace.steps(), 3); ++t) trace.gradient(info.name, t);
        trace.parameter(info.name, 0);
        trace.slots(info.name);
      }
      ++counts.read;
      for (const auto& info : trace.tensors()) {
        RecordedSteps steps(trace, info.name);
        check_steps(steps);
      }
      ++counts.judged;
      if (i % 16 == 0)
        for (const auto& info : trace.tensors()) judge_recorded(trace, {"file", info.name});
    } catch (const InputError& e) {
      ++counts.refused;
      if (std::string_view(e.what()).find('\n') != std::string_view::npos) {
        counts.broken = "file " + std::to_string(i) + ": more than one line: " + e.what();
        return counts;
      }
    } catch (const std::exception& e) {
      counts.broken = "file " + std::to_string(i) + ": " + e.what();
      return counts;
    }
  }
  return counts;
}

}  // namespace plumbline::harness
