// Running error analysis: a real number together with how far an evaluation in a peer's arithmetic may be from it. No
// order of evaluation is assumed; the rules and what they assume are in harness/ERRORS.md.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "harness/format.h"

namespace plumbline::harness {

// Whatever a peer holds where the mathematics have `value`, it lies within `error` of it. An infinite error: anything.
struct Bounded {
  double value = 0;
  double error = 0;

  bool exactly(double x) const { return value == x && error == 0; }
  double magnitude() const { return std::fabs(value) + error; }
};
using BoundedVector = std::vector<Bounded>;

// k roundings of unit u compose to a relative error of at most k u / (1 - k u).
inline double compose_roundings(double k, double unit) {
  const double x = k * unit;
  return x < 1 ? x / (1 - x) : std::numeric_limits<double>::infinity();
}

// Half an ulp of the format at this magnitude, subnormals included.
double half_ulp(DType type, double magnitude);

// What results of one format lose. The reference computes the same real function in double, in some order of its own:
// its unit is added to the peer's.
class TypeRounding {
 public:
  // flushed: a subnormal result may become zero. A quotient is rounded so many times.
  explicit TypeRounding(DType type, bool flushed = false, double division = 1);

  double unit() const { return unit_; }
  // x after so many roundings to this format.
  Bounded rounded(Bounded x, double roundings = 1) const {
    const double m = x.magnitude();
    if (m == 0) return x;
    double e = x.error + compose_roundings(roundings, unit_) * m;
    if (m < 2 * smallest_normal_) e += std::fmin(roundings * tiny_, m);  // never more than itself
    return {x.value, m < overflow_ && e < kAnything ? e : kAnything};    // a NaN is anything too
  }
  Bounded sum(Bounded a, Bounded b) const {
    if (b.exactly(0)) return a;
    if (a.exactly(0)) return b;
    return rounded({a.value + b.value, a.error + b.error});
  }
  Bounded difference(Bounded a, Bounded b) const { return sum(a, {-b.value, b.error}); }
  Bounded product(Bounded a, Bounded b) const {
    if (a.exactly(1)) return b;
    if (b.exactly(1)) return a;
    return rounded(
        {a.value * b.value, std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error});
  }
  Bounded quotient(Bounded a, Bounded b) const {
    if (b.exactly(1)) return a;
    const double value = a.value / b.value, rest = std::fabs(b.value) - b.error;
    if (!(rest > 0)) return {value, kAnything};
    return rounded({value, (a.error + std::fabs(value) * b.error) / rest}, division_);
  }
  Bounded root(Bounded x) const {
    const double value = std::sqrt(x.value);
    const double below = value - std::sqrt(std::fmax(0, x.value - x.error));  // further off than the value above
    const double above = std::sqrt(x.value + x.error) - value;
    return rounded({value, x.error == 0 ? 0 : std::fmax(below, above)});
  }
  Bounded square(Bounded x) const { return product(x, x); }

  static constexpr double kAnything = std::numeric_limits<double>::infinity();

 private:
  double unit_, tiny_, smallest_normal_, overflow_, division_;
};

// max(floor, x): where all that x may be lies below, x does not matter. NaN stays NaN.
Bounded at_least(Bounded floor, Bounded x);

// The terms of a sum, before anything is said of the order in which they are added.
class BoundedSum {
 public:
  void add(Bounded x) {
    if (x.exactly(0)) return;  // adding zero does not round
    value_ += x.value;
    error_ += x.error;
    magnitude_ += x.magnitude();
    ++terms_;
  }
  double value() const { return value_; }
  double error() const { return error_; }
  double magnitude() const { return magnitude_; }
  int64_t terms() const { return terms_; }

 private:
  double value_ = 0, error_ = 0, magnitude_ = 0;
  int64_t terms_ = 0;
};

// What a peer is assumed to compute with.
class PeerArithmetic {
 public:
  struct Options {
    DType results = DType::float32;       // elementwise results are rounded to it; sums too, once, at their end
    DType scalars = DType::float64;       // hyperparameters, and what is computed of them and of t alone
    bool flushed = false;                 // subnormal results may become zero
    bool probable = false;                // sums of n: 7 sqrt(n - 1) roundings instead of n - 1
    std::optional<DType> accumulation{};  // of sums; none: as results, at least float32
    double division_ulps = 0.5;           // of a quotient: half an ulp where it is rounded to nearest
    double reciprocal_root_ulps = 2;      // of 1/sqrt(x): the most that CUDA's tables admit for rsqrtf
  };
  explicit PeerArithmetic(const Options& options);

  const TypeRounding& values() const { return values_; }
  const TypeRounding& scalars() const { return scalars_; }
  // A scalar where it meets a tensor.
  Bounded at_use(Bounded scalar) const {
    const bool exact = scalar.error == 0 && round_to(options_.results, scalar.value) == scalar.value;
    return exact ? scalar : values_.rounded(scalar);
  }
  // The sum in any order, accumulated in float32 where results are shorter.
  Bounded total(const BoundedSum& sum) const;
  Bounded mean(const BoundedSum& sum, int64_t count) const;
  // Roundings that stand for one reciprocal root.
  double reciprocal_root() const { return 2 * options_.reciprocal_root_ulps; }
  // Does the type hold every elementwise result?
  bool holds(DType type) const {
    return type == options_.results || (type == DType::float64 && options_.results != DType::float64) ||
           (type == DType::float32 && size_of(options_.results) < 4);
  }
  // x as it is stored in some type, the operation that made it included.
  Bounded stored(Bounded x, DType type) const;

 private:
  Options options_;
  TypeRounding values_, sums_, scalars_;
};

}  // namespace plumbline::harness
