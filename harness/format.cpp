#include "harness/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

struct Layout {
  const char* name;
  size_t bytes;
  int significand;   // with the hidden one
  int min_exponent;  // of the smallest normal number
  int max_exponent;  // of the largest finite number
};
constexpr std::array<Layout, kDTypes> kLayout = {
    Layout{"f64", 8, 53, -1022, 1023}, {"f32", 4, 24, -126, 127}, {"bf16", 2, 8, -126, 127}, {"f16", 2, 11, -14, 15}};

const Layout& layout(DType type) { return kLayout[static_cast<size_t>(type)]; }

// 2^e of a normal number, without a call.
constexpr double power_of_two(int e) { return std::bit_cast<double>(uint64_t(e + 1023) << 52); }
constexpr double largest_of(const Layout& f) {
  return (2.0 - power_of_two(1 - f.significand)) * power_of_two(f.max_exponent);
}
constexpr std::array<double, kDTypes> kLargest = {largest_of(kLayout[0]), largest_of(kLayout[1]),
                                                  largest_of(kLayout[2]), largest_of(kLayout[3])};

// A 16-bit pattern as a double: sign, exponent, fraction of the given widths.
double from_bits16(uint16_t bits, int fraction_bits, int bias) {
  const int exponent_bits = 15 - fraction_bits;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  double x;
  if (exponent == (1 << exponent_bits) - 1)
    x = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  else if (exponent == 0)
    x = std::ldexp(fraction, 1 - bias - fraction_bits);
  else
    x = std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
  return bits >> 15 ? -x : x;
}

// Rounds to nearest even in integers: shifts the significand to the format's grid, subnormals included, and lets a
// carry run into the exponent.
uint16_t to_bits16(double x, int fraction_bits, int bias) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const auto sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  const uint64_t infinity = (uint64_t{1} << 15) - (uint64_t{1} << fraction_bits);
  const int exponent = int(bits >> 52 & 0x7ff) - 1023;
  const uint64_t fraction = bits & 0xfffffffffffffu;
  if (exponent == 1024)
    return static_cast<uint16_t>(sign | infinity | (fraction ? uint64_t{1} << (fraction_bits - 1) : 0));
  if (exponent == -1023) return sign;  // a double's subnormals are far below
  const bool normal = exponent >= 1 - bias;
  const int drop = 52 - fraction_bits + (normal ? 0 : 1 - bias - exponent);
  if (drop > 53) return sign;  // less than half the smallest subnormal
  const uint64_t significand = fraction | uint64_t{1} << 52, half = uint64_t{1} << (drop - 1),
                 rest = significand & (2 * half - 1);
  uint64_t kept = significand >> drop;
  kept += rest > half || (rest == half && (kept & 1) != 0);
  const uint64_t encoded = normal ? kept + (uint64_t(exponent + bias - 1) << fraction_bits) : kept;
  return static_cast<uint16_t>(sign | std::min(encoded, infinity));
}

// All 2^16 values of a format.
std::vector<double> table16(double (*widen)(uint16_t)) {
  std::vector<double> all(1 << 16);
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = widen(static_cast<uint16_t>(i));
  return all;
}

// bfloat16 is the upper half of a float32.
double widen_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
double widen_f16(uint16_t bits) { return from_bits16(bits, 10, 15); }

const std::vector<double>& values16(DType type) {
  static const std::vector<double> brain = table16(widen_bf16), half = table16(widen_f16);
  return type == DType::bfloat16 ? brain : half;
}
uint16_t encode16(DType type, double x) {
  return type == DType::bfloat16 ? to_bits16(x, 7, 127) : to_bits16(x, 10, 15);
}

}  // namespace

const char* to_string(DType type) { return layout(type).name; }

DType parse_dtype(std::string_view text) {
  for (int i = 0; i < kDTypes; ++i)
    if (text == kLayout[size_t(i)].name) return static_cast<DType>(i);
  throw InputError(fmt::format("type '{}': expected f64, f32, bf16 or f16", text));
}

size_t size_of(DType type) { return layout(type).bytes; }
int significand_bits(DType type) { return layout(type).significand; }
double unit_roundoff(DType type) { return power_of_two(-layout(type).significand); }
double smallest_subnormal(DType type) {
  return std::ldexp(1.0, layout(type).min_exponent - layout(type).significand + 1);
}
double largest_finite(DType type) { return kLargest[static_cast<size_t>(type)]; }

double round_to(DType type, double x) {
  switch (type) {
    case DType::float64:
      return x;
    case DType::float32:
      return static_cast<float>(x);
    default:
      return values16(type)[encode16(type, x)];
  }
}

void store(DType type, std::span<const double> values, std::byte* out) {
  switch (type) {
    case DType::float64:
      std::memcpy(out, values.data(), values.size_bytes());
      return;
    case DType::float32:
      for (size_t i = 0; i < values.size(); ++i) {
        const float x = static_cast<float>(values[i]);
        std::memcpy(out + 4 * i, &x, 4);
      }
      return;
    case DType::bfloat16:
    case DType::float16:
      for (size_t i = 0; i < values.size(); ++i) {
        const uint16_t bits = encode16(type, values[i]);
        std::memcpy(out + 2 * i, &bits, 2);
      }
  }
}

void load(DType type, const std::byte* bytes, std::span<double> out) {
  switch (type) {
    case DType::float64:
      std::memcpy(out.data(), bytes, out.size_bytes());
      return;
    case DType::float32:
      for (size_t i = 0; i < out.size(); ++i) {
        float x;
        std::memcpy(&x, bytes + 4 * i, 4);
        out[i] = x;
      }
      return;
    case DType::bfloat16:  // no table: half a megabyte would not stay in the cache
      for (size_t i = 0; i < out.size(); ++i) {
        uint16_t x;
        std::memcpy(&x, bytes + 2 * i, 2);
        out[i] = widen_bf16(x);
      }
      return;
    case DType::float16: {
      const std::vector<double>& values = values16(type);
      for (size_t i = 0; i < out.size(); ++i) {
        uint16_t x;
        std::memcpy(&x, bytes + 2 * i, 2);
        out[i] = values[x];
      }
    }
  }
}

Interval rounding_interval(DType type, double v) {
  const Layout& f = layout(type);
  if (type == DType::float64) return {v, v};
  const double largest = largest_finite(type);
  const double threshold = largest + power_of_two(f.max_exponent - f.significand);  // from here on: infinity
  if (std::isinf(v)) return v > 0 ? Interval{threshold, INFINITY} : Interval{-INFINITY, -threshold};
  const double a = std::fabs(v);
  // the exponent of a, as the format's value that a is: normal in double
  const int e = a == 0 ? f.min_exponent : std::max(int(std::bit_cast<uint64_t>(a) >> 52) - 1023, f.min_exponent);
  const double ulp = power_of_two(e - f.significand + 1);
  const bool power = a == power_of_two(e) && e > f.min_exponent;  // the neighbour below is half as far
  const double low = a - (power ? ulp / 4 : ulp / 2), high = std::min(a + ulp / 2, threshold);
  return v < 0 || (v == 0 && std::signbit(v)) ? Interval{-high, -low} : Interval{low, high};
}

std::string admitted(double expected, double bound) {
  if (std::isnan(bound)) return fmt::format("{:.9g}, without a bound", std::isnan(expected) ? NAN : expected);
  return fmt::format("{:.9g} +- {:.3g}", std::isnan(expected) ? NAN : expected, bound);
}

}  // namespace plumbline::harness
