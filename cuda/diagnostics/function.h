// The functions of one float32 that a scan goes through, and what is promised of each.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace plumbline::diagnostics {

enum class Function : uint8_t {
  log2,            // core::log2, of normal positive numbers
  exp2,            // core::exp2, of the numbers whose result is normal
  exp2_subnormal,  // the same, of those whose result is subnormal
  sqrt,
  reciprocal,
  divide,  // by one of kDivisors
  to_bfloat16,
  to_float16,
  to_e4m3,     // FP8, finite range 448, saturating; NaN stays NaN
  to_e5m2,     // FP8, saturating at 57344
  chip_rsqrt,  // the GPU's own approximations: nothing of ours uses them
  chip_exp2,
  chip_log2,
};
inline constexpr int kFunctions = 13;

enum class Promise : uint8_t {
  certified,    // at most `bound` ulp from the truth
  nearest,      // correctly rounded, every special value included
  information,  // measured and reported
};

struct FunctionRow {
  Function function;
  std::string_view name;
  Promise promise;
  double bound;            // ulps
  uint32_t worst_input;    // certified: where the largest error was found
  uint64_t full_checksum;  // certified: of the scan over all inputs; else 0
  bool chip_only;          // has no host form
  int first_major;         // compute capability from which a GPU has it, 10 major + minor
};
std::span<const FunctionRow> function_table();
const FunctionRow& row_of(Function function);

// Divisors of the division scan: those of the codecs, odd small ones, the largest and a middling mantissa, a
// subnormal.
inline constexpr float kDivisors[] = {3.0f,   7.0f,     10.0f,          127.0f,          254.0f,
                                      255.0f, 65534.0f, 0x1.fffffep+0f, 0x1.6a09e6p-60f, 0x1.8p-127f};

// One scan: a function, and for divide the divisor.
struct ScanSubject {
  Function function{};
  float divisor = 1;
};
std::string to_string(const ScanSubject& subject);  // "log2", "divide by 254", ...

}  // namespace plumbline::diagnostics
