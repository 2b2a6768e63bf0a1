// What the logarithmic codecs share: a block of second moments is stored as codes on an even grid of l = log2 v.
#pragma once
#include <cstdint>
#include <span>

namespace plumbline::reference {

// Non-zero values count as being inside [2^-126, 2^126].
inline constexpr double kSmallestLogged = 0x1p-126;
inline constexpr double kLargestLogged = 0x1p126;

// Grid of one block: the lowest l and the extent of l. Stored as two float32; a NaN in lo makes the block decode to
// NaN.
struct LogScale {
  double lo = 0;
  double r = 1;

  LogScale stored() const { return {static_cast<float>(lo), static_cast<float>(r)}; }  // rounded to nearest
  bool operator==(const LogScale&) const = default;
};

// l over the non-zero values of a block, unrounded; what its scale is made of.
struct LogRange {
  double lo = 0, hi = 0;   // meaningless when empty
  bool empty = true;       // no value but zeros
  bool nonfinite = false;  // a NaN, an infinity or a negative value
};
LogRange log_range(std::span<const double> values);

// log2 of a value >= 0 as the codecs see it: clamped to [-126, 126]; 0 gives -126; NaN stays NaN.
double clamped_log2(double value);

}  // namespace plumbline::reference
