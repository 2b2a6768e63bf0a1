// What a live subject says of itself: the JSON object of describe(). Whatever it does not say is found by asking.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/format.h"

namespace plumbline::harness::live {

// Values of one option that the subject takes: all of the dialect's, an interval of them, or some.
struct OptionLimits {
  std::optional<double> low, high;
  std::vector<std::string> values;  // JSON; empty: any within the interval
};

struct Capabilities {
  std::string dialect;                          // empty: not said
  std::vector<DType> parameter, gradient;       // empty: not said
  std::optional<int64_t> largest;               // elements of a tensor
  std::optional<std::pair<int, int>> rank;      // axes, both ends included
  std::optional<std::pair<int, int>> exponent;  // gradients are drawn about 2^exponent
  std::optional<int64_t> steps;                 // most of a session
  int64_t alignment = 1;                        // bytes, of addresses that it is given
  // Options that it has, under the dialect's names; the others keep their defaults. Not said: all.
  std::optional<std::map<std::string, OptionLimits>> options;
  std::map<std::string, std::string> state;  // its name of a slot -> the dialect's, or "projection"
  std::optional<DType> results;              // of elementwise operations
  bool flush = false;                        // subnormal results become zero
  std::set<std::string> promises;            // "same_bits", "resume"
};

// Throws InputError, beginning with `subject`, for what is no such object, contradicts itself, or names a dialect, an
// option or a slot that is unknown.
Capabilities parse_capabilities(std::string_view json, const std::string& subject);

}  // namespace plumbline::harness::live
