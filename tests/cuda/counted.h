// A scalar that carries, beside its value, the number of float32 roundings on its longest path: what a first-order
// relative error bound of K u reads off. Operations with an exact 0 or 1 do not round.
#pragma once
#include <algorithm>
#include <cmath>

namespace plumbline::counting {

struct Counted {
  float value = 0;
  double roundings = 0;  // a square root halves what enters it

  Counted() = default;
  explicit Counted(float exact) : value(exact) {}
  explicit Counted(double rounded) : value(float(rounded)), roundings(1) {}
  Counted(float x, double k) : value(x), roundings(k) {}
  Counted operator-() const { return {-value, roundings}; }
};

inline Counted operator+(Counted a, Counted b) {
  if (a.value == 0) return b;
  if (b.value == 0) return a;
  return {a.value + b.value, std::max(a.roundings, b.roundings) + 1};
}
inline Counted operator*(Counted a, Counted b) {
  if (std::fabs(a.value) == 1 && a.roundings == 0) return {a.value * b.value, b.roundings};
  if (std::fabs(b.value) == 1 && b.roundings == 0) return {a.value * b.value, a.roundings};
  return {a.value * b.value, a.roundings + b.roundings + 1};
}
inline Counted operator/(Counted a, Counted b) { return {a.value / b.value, a.roundings + b.roundings + 1}; }
inline Counted sqrt(Counted a) { return {std::sqrt(a.value), a.roundings / 2 + 1}; }
inline Counted fma(Counted a, Counted b, Counted c) {
  const double product = a.roundings + b.roundings, value = double(a.value) * double(b.value);
  if (value == 0) return c;
  const double longest = c.value == 0 ? product : std::max(product, c.roundings);
  return {std::fma(a.value, b.value, c.value), longest + 1};
}

}  // namespace plumbline::counting
