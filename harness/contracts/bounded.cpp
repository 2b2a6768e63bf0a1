#include "harness/contracts/bounded.h"

#include <algorithm>

namespace plumbline::harness {
namespace {

constexpr double kReferenceUnit = 0x1p-53;
// |sum of n - 1 independent roundings of mean zero| <= 7 sqrt(n - 1) u but for a probability of 2 exp(-49/2) = 5e-11
constexpr double kDeviations = 7;

double smallest_normal(DType type) { return smallest_subnormal(type) / (2 * unit_roundoff(type)); }

}  // namespace

double half_ulp(DType type, double magnitude) {
  const double smallest = smallest_subnormal(type) / 2;
  if (!(magnitude < std::numeric_limits<double>::infinity())) return TypeRounding::kAnything;
  if (magnitude < smallest_normal(type)) return smallest;
  return std::ldexp(1.0, std::ilogb(magnitude) - significand_bits(type));
}

TypeRounding::TypeRounding(DType type, bool flushed, double division)
    : unit_(unit_roundoff(type) + kReferenceUnit),
      tiny_(flushed ? smallest_normal(type) : smallest_subnormal(type) / 2),
      smallest_normal_(smallest_normal(type)),
      overflow_(largest_finite(type)),
      division_(division) {}

Bounded at_least(Bounded floor, Bounded x) {
  const double value = x.value < floor.value ? floor.value : x.value;
  const double low = std::fmax(floor.value - floor.error, x.value - x.error);
  const double high = std::fmax(floor.value + floor.error, x.value + x.error);
  return {value, std::fmax(value - low, high - value)};
}

PeerArithmetic::PeerArithmetic(const Options& options)
    : options_(options),
      values_(options.results, options.flushed, 2 * options.division_ulps),
      sums_(options.accumulation           ? *options.accumulation
            : size_of(options.results) < 4 ? DType::float32
                                           : options.results,
            options.flushed),
      scalars_(options.scalars) {}

Bounded PeerArithmetic::total(const BoundedSum& sum) const {
  const double additions = std::max<double>(0, double(sum.terms() - 1));
  const double roundings = options_.probable ? std::min(additions, kDeviations * std::sqrt(additions)) : additions;
  Bounded x =
      sums_.rounded({sum.value(), sum.error() + compose_roundings(roundings, sums_.unit()) * sum.magnitude()}, 0);
  return size_of(options_.results) < 4 ? values_.rounded(x) : x;
}

// Division by the count, or a product with its rounded inverse.
Bounded PeerArithmetic::mean(const BoundedSum& sum, int64_t count) const {
  const Bounded x = total(sum);
  if (count == 1) return x;
  const auto n = double(count);
  return values_.rounded({x.value / n, x.error / n}, 2);
}

Bounded PeerArithmetic::stored(Bounded x, DType type) const {
  if (x.exactly(0)) return x;
  const bool wider = significand_bits(type) > significand_bits(options_.results);
  if (type != options_.results) x = values_.rounded(x);
  if (wider) return x;
  const double m = x.magnitude();
  x.error += half_ulp(type, m) + kReferenceUnit * m;
  if (options_.flushed && m < 2 * smallest_normal(type)) x.error += std::min(m, smallest_normal(type));
  if (!(x.error < TypeRounding::kAnything) || !(m < largest_finite(type))) x.error = TypeRounding::kAnything;
  return x;
}

}  // namespace plumbline::harness
