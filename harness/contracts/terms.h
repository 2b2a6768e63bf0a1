// What error contracts are composed of: the rules of harness/ERRORS.md.
#pragma once
#include <algorithm>
#include <cmath>

#include "reference/tensor.h"

namespace plumbline::harness {

inline constexpr double kUnit = 0x1p-24;        // unit roundoff of float32
inline constexpr double kUnderflow = 0x1p-150;  // largest absolute error of one rounding below the normal range
// Scalar algebra in double on both sides: quotients, roots, products, a few operations each.
inline constexpr double kScalar = 0x1p-50;

// k roundings compose to a relative error of at most k u / (1 - k u).
constexpr double gamma(double k) { return k * kUnit / (1 - k * kUnit); }
// (1 + a)(1 + b) - 1
constexpr double compose(double a, double b) { return a + b + a * b; }
template <class... More>
constexpr double compose(double a, double b, More... more) {
  return compose(compose(a, b), more...);
}

// The reference's own error: a sum of n non-negative doubles in any order that Eigen may choose, at most one chain per
// lane.
inline double double_sum(double n) { return (n / 4 + 4 + std::log2(n)) * 0x1p-53; }
// The same in order, one after the other.
inline double double_chain(double n) { return (n + 4) * 0x1p-53; }

// Of a root whose argument is off by a relative x either way: 1 - sqrt(1 - x) below, which is more than what is above;
// from 1 on, nothing is left below.
inline double root_relative(double x) {
  return x >= 1 ? std::max(1.0, x / (1 + std::sqrt(1 + x))) : x / (1 + std::sqrt(1 - x));
}

// Largest relative error of any element, as seen from the computed value: e / (x - e).
inline double largest_relative(const reference::Vector& value, const reference::Vector& bound, int64_t begin,
                               int64_t count) {
  double worst = 0;
  for (int64_t i = begin; i < begin + count; ++i) {
    const double rest = value[i] - bound[i];
    worst = std::max(worst, rest > 0 ? bound[i] / rest : HUGE_VAL);
  }
  return worst;
}

// a / b where a = 0 stays 0
inline double safe_ratio(double a, double b) { return a == 0 ? 0 : a / b; }

}  // namespace plumbline::harness
