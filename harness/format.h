// Storage formats of parameters and gradients, as the harness understands them: independent of any subject's
// conversions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline::harness {

enum class DType : uint8_t { float64, float32, bfloat16, float16 };
inline constexpr int kDTypes = 4;

const char* to_string(DType type);         // "f64", "f32", "bf16", "f16"
DType parse_dtype(std::string_view text);  // throws InputError listing the known ones
size_t size_of(DType type);
int significand_bits(DType type);  // with the hidden one: 53, 24, 8, 11
double unit_roundoff(DType type);  // 2^-significand_bits
double smallest_subnormal(DType type);
double largest_finite(DType type);

// Nearest value of the format, ties to even; beyond the largest finite by half an ulp or more: infinity.
double round_to(DType type, double x);
// Rounds values into storage.
void store(DType type, std::span<const double> values, std::byte* out);
void load(DType type, const std::byte* bytes, std::span<double> out);

// What is admitted, in words: "0.25 +- 1.2e-09"; where the bound is not a number, "0.25, without a bound".
std::string admitted(double expected, double bound);

// All reals that round to the stored value v: [low, high]. Of an infinity, everything from the overflow threshold on.
struct Interval {
  double low, high;
};
Interval rounding_interval(DType type, double v);

}  // namespace plumbline::harness
