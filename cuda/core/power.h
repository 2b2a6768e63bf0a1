// w = t^a and 1 - w in double-double, for the decay schedule. Relative error of either below 2^-50 for 1 <= t < 2^53
// and -4 <= a <= 0; w = 1 and 1 - w = 0 exactly at t = 1 and at a = 0. Also 1 - w keeps its relative precision when w
// is near 1.
#pragma once
#include "cuda/core/ops.h"

namespace plumbline::core {

// hi + lo, |lo| <= ulp(hi)/2
struct DoubleDouble {
  double hi, lo;
};
PLUMBLINE_HD DoubleDouble two_sum(double a, double b) {
  const double s = a + b, v = s - a;
  return {s, (a - (s - v)) + (b - v)};
}
PLUMBLINE_HD DoubleDouble quick_two_sum(double a, double b) {  // |a| >= |b| or a = 0
  const double s = a + b;
  return {s, b - (s - a)};
}
PLUMBLINE_HD DoubleDouble two_product(double a, double b) {
  const double p = a * b;
  return {p, fma(a, b, -p)};
}

constexpr double kLn2Hi = 0x1.62e42fefa3800p-1;  // ln 2 to 42 bits: its product with an exponent is exact
constexpr double kLn2Lo = 0x1.ef35793c76730p-45;

// ln t for t >= 1: t = 2^e m, ln m = 2 atanh(s), s = (m - 1)/(m + 1), |s| <= 0.172. Only s itself needs two doubles:
// the rest of the series is below s/100.
PLUMBLINE_HD DoubleDouble log_dd(double t) {
  int e = 0;
  double m = t;
  while (m >= 0x1p16) {
    m *= 0x1p-16;
    e += 16;
  }
  while (m >= 0x1.6a09e667f3bcdp0) {
    m *= 0.5;
    ++e;
  }
  const double num = m - 1.0;  // exact: m in [0.7, 1.42)
  const DoubleDouble den = two_sum(m, 1.0);
  const double s = num / den.hi, rem = fma(-s, den.hi, num) - s * den.lo, s_lo = rem / den.hi;
  const double z = s * s;
  double q = 1.0 / 27.0;  // sum_k z^k / (2k + 3)
  for (int k = 11; k >= 0; --k) q = fma(q, z, 1.0 / double(2 * k + 3));
  const double tail = fma(2.0 * s, z * q, fma(2.0, s_lo, double(e) * kLn2Lo));
  const DoubleDouble main = two_sum(double(e) * kLn2Hi, 2.0 * s);
  return quick_two_sum(main.hi, main.lo + tail);
}

struct PowerResult {
  double w, one_minus_w;
};
PLUMBLINE_HD PowerResult decay_power(double t, double a) {
  // y = a ln t
  const DoubleDouble l = log_dd(t), product = two_product(a, l.hi);
  const DoubleDouble y = quick_two_sum(product.hi, fma(a, l.lo, product.lo));
  // y = k ln 2 + r, |r| <= 0.35
  const double k = round_even(y.hi * 0x1.71547652b82fep0);
  const DoubleDouble head = two_sum(fma(-k, kLn2Hi, y.hi), y.lo);
  const DoubleDouble r = quick_two_sum(head.hi, fma(-k, kLn2Lo, head.lo));
  // e^r - 1 = r + r^2 (1/2 + r/6 + ...), the second part below a sixth of the first
  double q = 1.0;
  for (int n = 16; n >= 3; --n) q = fma(q, r.hi * (1.0 / double(n)), 1.0);
  const DoubleDouble expm1 = quick_two_sum(r.hi, fma(r.hi * r.hi, 0.5 * q, fma(r.hi, r.lo, r.lo)));
  const DoubleDouble e = quick_two_sum(1.0, expm1.hi);
  double scale = 1.0;
  for (int i = int(k); i < 0; ++i) scale *= 0.5;
  const double hi = scale * e.hi, lo = scale * (e.lo + expm1.lo);
  return {hi + lo, k == 0.0 ? 0.0 - expm1.hi : (1.0 - hi) - lo};
}

}  // namespace plumbline::core
