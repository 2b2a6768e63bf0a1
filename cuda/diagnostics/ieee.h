// IEEE 754 operations on operands chosen to be hard: what a chip must get bit for bit.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/core/number.h"
#include "cuda/core/ops.h"

namespace plumbline::diagnostics {

enum class Operation : uint8_t { add, multiply, fused, divide, sqrt, narrow };  // narrow: float64 to float32
inline constexpr int kOperations = 6;
enum class Hardness : uint8_t {
  special,       // every pair (triple) of a list of zeros, infinities, NaN, subnormals, powers of two and extremes
  tie,           // halfway between two results, or one unit in the last place of an operand beside it
  subnormal,     // results around and below the smallest normal number
  cancellation,  // differences that lose all leading bits, or all but one
  overflow,      // results on either side of the largest number
  random,        // bit patterns
};
inline constexpr int kHardnesses = 6;
const char* to_string(Operation operation);
const char* to_string(Hardness hardness);

struct Operands {
  uint64_t a, b, c;  // bits of float32 or float64; unused ones are 0
};
struct IeeeVectors {
  Operation operation{};
  bool wide = false;  // float64
  std::vector<Operands> operands;
  std::vector<Hardness> hardness;  // of each
};
// The fixed vectors of one operation; narrow is wide only.
IeeeVectors ieee_vectors(Operation operation, bool wide);
std::string to_string(const IeeeVectors& vectors);  // "float32 add"

// One operation with the arithmetic of the machine that runs it; a NaN result is the canonical one.
PLUMBLINE_HD uint64_t apply_ieee(Operation operation, bool wide, Operands x) {
  if (operation == Operation::narrow) {
    const auto y = float(core::from_bits64(x.a));
    return core::to_bits(core::canonical(y));
  }
  if (wide) {
    const double a = core::from_bits64(x.a), b = core::from_bits64(x.b), c = core::from_bits64(x.c);
    const double y = operation == Operation::add        ? a + b
                     : operation == Operation::multiply ? a * b
                     : operation == Operation::fused    ? core::fma(a, b, c)
                     : operation == Operation::divide   ? a / b
                                                        : core::sqrt(a);
    const double z = core::canonical(y);
#ifdef __CUDA_ARCH__
    return uint64_t(__double_as_longlong(z));
#else
    uint64_t bits;
    std::memcpy(&bits, &z, sizeof bits);
    return bits;
#endif
  }
  const float a = core::from_bits(uint32_t(x.a)), b = core::from_bits(uint32_t(x.b)),
              c = core::from_bits(uint32_t(x.c));
  const float y = operation == Operation::add        ? a + b
                  : operation == Operation::multiply ? a * b
                  : operation == Operation::fused    ? core::fma(a, b, c)
                  : operation == Operation::divide   ? a / b
                                                     : core::sqrt(a);
  return core::to_bits(core::canonical(y));
}

// Results on a backend, in the vectors' order.
std::vector<uint64_t> run_ieee(const IeeeVectors& vectors, Backend backend, int device);

// Whether an operation of this backend flushes subnormal operands or results to zero.
struct FlushToZero {
  bool operands = false, results = false;
};
FlushToZero detect_flush(Operation operation, bool wide, Backend backend, int device);

}  // namespace plumbline::diagnostics
