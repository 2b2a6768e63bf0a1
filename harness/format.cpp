#include "harness/format.h"

#include <fmt/format.h>

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

uint16_t to_bits16(double x, int fraction_bits, int bias) {  // x is representable
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const int top = (1 << (15 - fraction_bits)) - 1;
  if (std::isnan(x)) return static_cast<uint16_t>(sign | (top << fraction_bits) | (1 << (fraction_bits - 1)));
  const double a = std::fabs(x);
  if (std::isinf(a)) return static_cast<uint16_t>(sign | (top << fraction_bits));
  if (a == 0) return sign;
  const int e = std::ilogb(a);
  if (e < 1 - bias) return static_cast<uint16_t>(sign | int(std::ldexp(a, bias - 1 + fraction_bits)));
  const int fraction = int(std::ldexp(a, fraction_bits - e)) - (1 << fraction_bits);
  return static_cast<uint16_t>(sign | ((e + bias) << fraction_bits) | fraction);
}

// bfloat16 is the upper half of a float32.
double widen_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

}  // namespace

const char* to_string(DType type) { return layout(type).name; }

DType parse_dtype(std::string_view text) {
  for (int i = 0; i < kDTypes; ++i)
    if (text == kLayout[size_t(i)].name) return static_cast<DType>(i);
  throw InputError(fmt::format("type '{}': expected f64, f32, bf16 or f16", text));
}

size_t size_of(DType type) { return layout(type).bytes; }
int significand_bits(DType type) { return layout(type).significand; }
double unit_roundoff(DType type) { return std::ldexp(1.0, -layout(type).significand); }
double smallest_subnormal(DType type) {
  return std::ldexp(1.0, layout(type).min_exponent - layout(type).significand + 1);
}
double largest_finite(DType type) {
  const Layout& f = layout(type);
  return std::ldexp(2.0 - std::ldexp(1.0, 1 - f.significand), f.max_exponent);
}

double round_to(DType type, double x) {
  const Layout& f = layout(type);
  if (type == DType::float64 || !std::isfinite(x) || x == 0) return x;
  if (type == DType::float32) return static_cast<float>(x);
  const int e = std::max(std::ilogb(x), f.min_exponent);
  const double ulp = std::ldexp(1.0, e - f.significand + 1);
  const double r = std::nearbyint(x / ulp) * ulp;  // exact but for the one rounding: ulp is a power of two
  return std::fabs(r) > largest_finite(type) ? std::copysign(INFINITY, x) : std::copysign(r, x);
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
    case DType::float16: {
      const bool brain = type == DType::bfloat16;
      for (size_t i = 0; i < values.size(); ++i) {
        const uint16_t bits = to_bits16(round_to(type, values[i]), brain ? 7 : 10, brain ? 127 : 15);
        std::memcpy(out + 2 * i, &bits, 2);
      }
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
    case DType::bfloat16:
    case DType::float16:
      for (size_t i = 0; i < out.size(); ++i) {
        uint16_t x;
        std::memcpy(&x, bytes + 2 * i, 2);
        out[i] = type == DType::bfloat16 ? widen_bf16(x) : from_bits16(x, 10, 15);
      }
  }
}

Interval rounding_interval(DType type, double v) {
  const Layout& f = layout(type);
  if (type == DType::float64) return {v, v};
  const double largest = largest_finite(type);
  const double threshold = largest + std::ldexp(1.0, f.max_exponent - f.significand);  // from here on: infinity
  if (std::isinf(v)) return v > 0 ? Interval{threshold, INFINITY} : Interval{-INFINITY, -threshold};
  const double a = std::fabs(v);
  const int e = a == 0 ? f.min_exponent : std::max(std::ilogb(a), f.min_exponent);
  const double ulp = std::ldexp(1.0, e - f.significand + 1);
  const bool power = a == std::ldexp(1.0, e) && e > f.min_exponent;  // the neighbour below is half as far
  const double low = a - (power ? ulp / 4 : ulp / 2), high = std::min(a + ulp / 2, threshold);
  return v < 0 || (v == 0 && std::signbit(v)) ? Interval{-high, -low} : Interval{low, high};
}

}  // namespace plumbline::harness
