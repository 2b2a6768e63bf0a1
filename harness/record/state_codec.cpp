#include "harness/record/state_codec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>

#include "harness/error.h"
#include "harness/record/strict_json.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;
using Levels = StateCodec::Levels;

// Roundings that may stand between a value and its place among the codes, and back: division by the extent, product by
// the steps, the divisor; softsign has three more, a root one.
constexpr double kLinearRoundings = 4, kSoftsignRoundings = 3, kRootRoundings = 1;
// Levels are held in float32, and made in it.
constexpr double kLevelRoundings = 4;

// Decades 10^(1 - exponent_bits) ... 1, the i-th of 2^i (unsigned 2^(i+1)) midpoints of even intervals of [0.1, 1],
// times 2^(bits - 1 - exponent_bits); and 0 and 1.                [Dettmers 2016, arXiv 1511.04561; Dettmers et al.
// 2022]
std::vector<double> dynamic_levels(bool is_signed, int exponent_bits, int bits) {
  std::vector<double> levels = {0, 1};
  for (int i = 0; i < exponent_bits; ++i) {
    const int midpoints = 1 << (i + bits - 1 - exponent_bits + (is_signed ? 0 : 1));
    const double decade = std::pow(10.0, i - (exponent_bits - 1));
    for (int k = 0; k < midpoints; ++k) {
      const double level = decade * (0.1 + 0.9 * (k + 0.5) / midpoints);
      levels.push_back(level);
      if (is_signed) levels.push_back(-level);
    }
  }
  std::sort(levels.begin(), levels.end());
  return levels;
}

// What adafactor8bit 0.2.4 and 0.2.5 call NF4: symmetric but for its top, not the published table.
constexpr std::array<double, 16> kNearlyNormalFloat4 = {
    -1,         -0.6961928, -0.52507306, -0.3895074, -0.27408478, -0.17286907, -0.07958022, 0,
    0.07958022, 0.17286907, 0.27408478,  0.3895074,  0.52507306,  0.6961928,   0.8641379,   1};

// All 256 patterns of OCP E4M3 without infinities, over the largest; the two NaN stay NaN.
std::vector<double> e4m3_levels() {
  std::vector<double> levels(256);
  for (int code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15, fraction = code & 7;
    double x = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
    if (exponent == 15 && fraction == 7) x = std::numeric_limits<double>::quiet_NaN();
    levels[size_t(code)] = (code >> 7 ? -x : x) / 448;
  }
  return levels;
}

StateCodec linear(int bits, int64_t zero, int64_t low, int64_t high, double steps) {
  StateCodec codec;
  codec.bits = bits;
  codec.zero = zero;
  codec.low = low;
  codec.high = high;
  codec.steps = steps;
  return codec;
}
StateCodec logarithmic(int bits, bool zero_code) {
  StateCodec codec;
  codec.levels = Levels::logarithmic;
  codec.bits = bits;
  codec.zero_code = zero_code;
  codec.low = zero_code ? 1 : 0;
  codec.high = (int64_t{1} << bits) - 1;
  codec.steps = double(codec.high - codec.low);
  return codec;
}
StateCodec by_table(int bits, const std::vector<double>& levels, bool keeps_sign) {
  StateCodec codec;
  codec.levels = Levels::table;
  codec.bits = bits;
  codec.set_table(levels);
  codec.keeps_sign = keeps_sign;
  return codec;
}

struct BuiltIn {
  const char* name;
  std::function<StateCodec()> make;
};
const std::vector<BuiltIn>& built_ins() {
  static const std::vector<BuiltIn> all = {
      // adafactor8bit
      {"linear_u8", [] { return linear(8, 0, 0, 255, 255); }},
      {"log_u8",
       [] {
         StateCodec codec = logarithmic(8, false);
         codec.lowest = -126;
         return codec;
       }},
      {"log_u8_shrunk",  // of 0.1.3 to 0.2.0: stored and read as 1/255 of itself, so that nearly all codes are 255
       [] {
         StateCodec codec = logarithmic(8, false);
         codec.lowest = -126;
         codec.shrunk = 255;
         return codec;
       }},
      {"al8", [] { return logarithmic(8, true); }},
      {"al16", [] { return logarithmic(16, true); }},
      {"uf4", [] { return linear(4, 8, -8, 7, 8); }},
      {"uf4_step",  // of 0.2.1 and 0.2.2: a step is stored, the largest value has the code 7
       [] {
         StateCodec codec = linear(4, 8, -8, 7, 7);
         codec.divisor = 7;
         return codec;
       }},
      {"nearly_nf4",
       [] {
         return by_table(4, {kNearlyNormalFloat4.begin(), kNearlyNormalFloat4.end()}, false);
       }},  // of 0.2.4 and 0.2.5
      {"uf8", [] { return linear(8, 128, -128, 127, 128); }},
      {"d8", [] { return by_table(8, dynamic_levels(true, 7, 8), true); }},
      {"d4", [] { return by_table(4, dynamic_levels(true, 3, 4), true); }},
      // bitsandbytes: blocks without values have the extent 0
      {"dynamic8",
       [] {
         StateCodec codec = by_table(8, dynamic_levels(true, 7, 8), true);
         codec.smallest = 0;
         return codec;
       }},
      {"dynamic8_unsigned",
       [] {
         StateCodec codec = by_table(8, dynamic_levels(false, 7, 8), false);
         codec.smallest = 0;
         return codec;
       }},
      // torchao
      {"torchao8", [] { return by_table(8, dynamic_levels(true, 7, 8), false); }},
      {"torchao8_unsigned", [] { return by_table(8, dynamic_levels(false, 7, 8), false); }},
      {"torchao4", [] { return by_table(4, dynamic_levels(true, 3, 4), false); }},
      {"torchao4_unsigned",
       [] {
         std::vector<double> levels(16);
         for (size_t i = 0; i < 16; ++i) levels[i] = double(i + 1) / 16;
         return by_table(4, levels, false);
       }},
      {"torchao_fp8",
       [] {
         StateCodec codec = by_table(8, e4m3_levels(), false);
         codec.divisor = 448;
         return codec;
       }},
      // FlashOptim
      {"flash_momentum",
       [] {
         StateCodec codec = linear(8, 0, -127, 127, 127);
         codec.softsign = true;
         return codec;
       }},
      {"flash_variance",
       [] {
         StateCodec codec = linear(8, 0, 0, 255, 255);
         codec.power = 2;
         return codec;
       }},
  };
  return all;
}

// y of a code's place, and back.
double companded(double y) { return 2 * y / (1 + std::fabs(y)); }
double expanded(double y) { return y / (2 - std::fabs(y)); }

}  // namespace

void StateCodec::set_table(std::span<const double> by_code) {
  table.clear();
  for (const double level : by_code)
    if (std::isfinite(level)) table.push_back(level);
  std::sort(table.begin(), table.end());
  table.erase(std::unique(table.begin(), table.end()), table.end());
  ranks.assign(by_code.size(), -1);
  for (size_t code = 0; code < by_code.size(); ++code)
    if (std::isfinite(by_code[code]))
      ranks[code] = int32_t(std::lower_bound(table.begin(), table.end(), by_code[code]) - table.begin());
}

std::optional<double> StateCodec::place_of(int64_t code) const {
  if (levels == Levels::table) {
    if (code < 0 || code >= int64_t(ranks.size()) || ranks[size_t(code)] < 0) return std::nullopt;
    return ranks[size_t(code)];
  }
  if (code < low || code > high) return std::nullopt;
  return double(code);
}

Bounded StateCodec::decode(int64_t code, const BlockScale& scale, const CodecArithmetic& a) const {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (levels == Levels::logarithmic) {
    if (zero_code && code == 0) return {0, 0};
    if (code < low || code > high) return {kNone, 0};
    const double above = double(code - low) / steps * scale.extent, l = above + scale.lowest;
    const double value = std::exp2(l);
    // product, quotient (or a rounded constant's product), sum; then the power
    const double moved = a.unit * (4 * std::fabs(above) + std::fabs(l));
    return {value, value * (std::expm1(std::numbers::ln2 * moved) + 2 * a.unit * a.exp2_ulps)};
  }
  if (levels == Levels::table) {
    const auto place = place_of(code);
    if (!place) return {kNone, 0};
    const double value = table[size_t(*place)] * scale.extent;
    return {value, std::fabs(value) * a.unit * kLevelRoundings};
  }
  if (code < low || code > high) return {kNone, 0};
  double y = double(code) / steps;
  if (softsign) y = expanded(y);
  const double x = y * scale.extent;
  const double roundings = kLinearRoundings + (softsign ? kSoftsignRoundings : 0);
  if (power == 1) return {x, std::fabs(x) * a.unit * roundings};
  const double value = std::copysign(std::pow(std::fabs(x), power), x);
  return {value, std::fabs(value) * a.unit * (power * roundings + 1)};
}

double StateCodec::position(double value, const BlockScale& scale) const {
  if (levels == Levels::logarithmic) {
    if (!(value > 0)) return -std::numeric_limits<double>::infinity();
    return (std::log2(value) - scale.lowest) / scale.extent * steps + double(low);
  }
  double x = power == 1 ? value : std::copysign(std::pow(std::fabs(value), 1 / power), value);
  if (levels == Levels::linear) {
    const double y = scale.extent == 0 && x == 0 ? 0 : x / scale.extent;
    return (softsign ? companded(y) : y) * steps;
  }
  x = scale.extent == 0 && x == 0 ? 0 : x / scale.extent;
  const auto above = std::upper_bound(table.begin(), table.end(), x);
  if (above == table.begin()) return 0;
  if (above == table.end()) return double(table.size()) - 1;
  const auto below = above - 1;
  return double(below - table.begin()) + (x - *below) / (*above - *below);
}

double StateCodec::position_error(double value, const BlockScale& scale, const CodecArithmetic& a) const {
  if (levels == Levels::logarithmic) {
    if (!(value > 0)) return 0;
    const double l = std::log2(value), above = std::fabs(l - scale.lowest);
    // an ulp of a logarithm near 0 is taken as one of 1: approximations have an absolute error
    const double moved = a.unit * (2 * a.log2_ulps * std::fmax(std::fabs(l), 1) + above);
    return steps / scale.extent * moved + a.unit * (2 + 2 * a.division_ulps) * above / scale.extent * steps;
  }
  const double roundings =
      kLinearRoundings + 2 * a.division_ulps + (softsign ? kSoftsignRoundings : 0) + (power == 1 ? 0 : kRootRoundings);
  if (levels == Levels::linear) return a.unit * roundings * std::fabs(position(value, scale));
  const double off = std::fabs(value) * a.unit * (roundings + kLevelRoundings);
  const double at = position(value, scale);
  return std::fmax(position(value + off, scale) - at, at - position(value - off, scale));
}

std::vector<int64_t> StateCodec::unpack(std::span<const int64_t> stored) const {
  std::vector<int64_t> out;
  if (bits == 4) {
    out.reserve(2 * stored.size());
    for (const int64_t byte : stored) {
      const int64_t upper = byte >> 4 & 15, lower = byte & 15;
      out.push_back((high_first ? upper : lower) - zero);
      out.push_back((high_first ? lower : upper) - zero);
    }
    return out;
  }
  out.reserve(stored.size());
  // a code of 16 bits may be stored in a signed type
  for (const int64_t code : stored) out.push_back((low >= 0 && code < 0 ? code + (int64_t{1} << bits) : code) - zero);
  return out;
}

StateCodec built_in_codec(std::string_view name) {
  for (const BuiltIn& codec : built_ins())
    if (name == codec.name) {
      StateCodec made = codec.make();
      made.name = name;
      return made;
    }
  throw InputError(
      fmt::format("codec '{}': expected an object, or one of {}", name, fmt::join(built_in_codecs(), ", ")));
}

std::vector<std::string> built_in_codecs() {
  std::vector<std::string> names;
  for (const BuiltIn& codec : built_ins()) names.emplace_back(codec.name);
  return names;
}

namespace {

class CodecReader {
 public:
  CodecReader(std::string where, const json& object) : where_(std::move(where)), object_(object) {}

  StateCodec read() const {
    if (object_.is_string()) try {
        return built_in_codec(object_.get<std::string>());
      } catch (const InputError& e) {
        throw InputError(fmt::format("{}: {}", where_, e.what()));
      }
    if (!object_.is_object()) throw refused("a name or an object");
    static constexpr std::array<std::string_view, 18> kKnown = {
        "levels", "bits",    "packing",  "zero",      "low",   "high",       "steps",    "power", "softsign",
        "lowest", "divisor", "smallest", "zero_code", "table", "keeps_sign", "rounding", "name",  "shrunk"};
    for (const auto& [key, value] : object_.items())
      if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
        throw refused(fmt::format("one of {}, not '{}'", fmt::join(kKnown, ", "), key));
    StateCodec codec;
    codec.name = text("name", "own", {});
    const std::string levels = text("levels", "linear", {"linear", "table", "logarithmic"});
    codec.levels = levels == "linear" ? Levels::linear : levels == "table" ? Levels::table : Levels::logarithmic;
    codec.bits = int(number("bits", 8, 4, 16));
    if (codec.bits != 4 && codec.bits != 8 && codec.bits != 16) throw refused("bits of 4, 8 or 16");
    codec.high_first = text("packing", "high_first", {"high_first", "low_first"}) == "high_first";
    codec.zero = whole("zero", 0);
    codec.zero_code = flag("zero_code");
    codec.low = whole("low", codec.zero_code ? 1 : 0);
    codec.high = whole("high", (int64_t{1} << codec.bits) - 1);
    if (codec.low >= codec.high) throw refused("low below high");
    codec.steps = number("steps", double(codec.high - codec.low), 0x1p-20, 0x1p20);
    codec.power = number("power", 1, 1, 4);
    codec.softsign = flag("softsign");
    codec.keeps_sign = flag("keeps_sign");
    codec.stochastic = text("rounding", "nearest", {"nearest", "stochastic"}) == "stochastic";
    if (object_.contains("lowest")) codec.lowest = number("lowest", 0, -1100, 1100);
    codec.divisor = number("divisor", 1, 0x1p-40, 0x1p40);
    codec.shrunk = number("shrunk", 1, 1, 0x1p20);
    codec.smallest = number("smallest", 1e-12, 0, 1);
    if (object_.contains("table") && object_["table"].is_array()) {
      std::vector<double> by_code;
      for (const json& level : object_["table"]) {
        if (!level.is_number() && !level.is_null()) throw refused("a table of numbers");
        by_code.push_back(level.is_null() ? std::numeric_limits<double>::quiet_NaN() : level.get<double>());
      }
      codec.set_table(by_code);
      if (codec.table.size() < 2) throw refused("a table of two levels or more");
    } else if (codec.levels == Levels::table && !object_.contains("table")) {
      throw refused("a table: its numbers, or the name of an array");
    }
    return codec;
  }

 private:
  InputError refused(const std::string& expected) const {
    return InputError(fmt::format("{}: codec: expected {}", where_, expected));
  }
  double number(const char* key, double otherwise, double low, double high) const {
    if (!object_.contains(key)) return otherwise;
    const json& value = object_[key];
    if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high))
      throw refused(fmt::format("{} from {:g} to {:g}", key, low, high));
    return value.get<double>();
  }
  int64_t whole(const char* key, int64_t otherwise) const {
    const double value = number(key, double(otherwise), -0x1p17, 0x1p17);
    if (value != std::floor(value)) throw refused(fmt::format("{} to be whole", key));
    return int64_t(value);
  }
  bool flag(const char* key) const {
    if (!object_.contains(key)) return false;
    if (!object_[key].is_boolean()) throw refused(fmt::format("{} to be true or false", key));
    return object_[key].get<bool>();
  }
  std::string text(const char* key, const char* otherwise, const std::vector<std::string>& known) const {
    if (!object_.contains(key)) return otherwise;
    std::string value = object_[key].is_string() ? object_[key].get<std::string>() : "";
    if (value.empty() || (!known.empty() && std::find(known.begin(), known.end(), value) == known.end()))
      throw refused(fmt::format("{} to be one of {}", key, fmt::join(known, ", ")));
    return value;
  }

  std::string where_;
  const json& object_;
};

}  // namespace

std::vector<CodedSlot> parse_coded_slots(const std::string& where, const std::string& text) {
  std::vector<CodedSlot> out;
  const json root = parse_strict_json(where, "codecs", text);
  for (const auto& [slot, entry] : root.items()) {
    const std::string here = fmt::format("{}: codecs: {}", where, slot);
    if (!entry.is_object() || !entry.contains("codec"))
      throw InputError(fmt::format("{}: expected an object with codec, codes and scales", here));
    CodedSlot coded;
    coded.slot = slot;
    coded.codes = slot + "_q";
    coded.scales = slot + "_scale";
    for (const auto& [key, value] : entry.items()) {
      std::string* to = key == "codes"    ? &coded.codes
                        : key == "scales" ? &coded.scales
                        : key == "lowest" ? &coded.lowest
                                          : nullptr;
      if (to) {
        if (!value.is_string()) throw InputError(fmt::format("{}: {}: expected the name of an array", here, key));
        *to = value.get<std::string>();
      } else if (key != "codec" && key != "block") {
        throw InputError(fmt::format("{}: unknown word '{}': expected codec, codes, scales, lowest, block", here, key));
      }
    }
    coded.codec = CodecReader(here, entry["codec"]).read();
    if (entry["codec"].is_object() && entry["codec"].contains("table") && entry["codec"]["table"].is_string())
      coded.table = entry["codec"]["table"].get<std::string>();
    if (coded.codec.needs_lowest() && coded.lowest.empty()) coded.lowest = slot + "_min_log";
    if (entry.contains("block")) {
      const json& block = entry["block"];
      if (!block.is_number_unsigned() || block.get<uint64_t>() < 1 || block.get<uint64_t>() > uint64_t{1} << 40)
        throw InputError(fmt::format("{}: block: expected a number from 1 on", here));
      coded.codec.block = block.get<int64_t>();
    }
    out.push_back(std::move(coded));
  }
  return out;
}

}  // namespace plumbline::harness
