#include "harness/judge.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace plumbline::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Rounding intervals of all 2^16 values of a 16-bit type.
const std::vector<Interval>& intervals(DType type) {
  auto build = [](DType t) {
    std::vector<Interval> all(1 << 16);
    for (uint32_t i = 0; i < all.size(); ++i) {
      const auto bits = static_cast<uint16_t>(i);
      std::byte raw[2];
      std::memcpy(raw, &bits, 2);
      double v = 0;
      load(t, raw, {&v, 1});
      all[i] = std::isnan(v) ? Interval{v, v} : rounding_interval(t, v);
    }
    return all;
  };
  static const std::vector<Interval> brain = build(DType::bfloat16), half = build(DType::float16);
  return type == DType::bfloat16 ? brain : half;
}

}  // namespace

namespace {

// The common case of error_ratio: both finite, a bound above zero. Negative: not that case.
inline double finite_ratio(double got, double expected, double bound) {
  const double error = std::fabs(got - expected);
  if (!(error < kInfinity) || !(bound > 0)) return -1;
  return error / bound;
}

}  // namespace

double error_ratio(double got, double expected, double bound, double overflow) {
  if (std::isnan(expected)) return std::isnan(got) ? 0 : kInfinity;
  if (std::isinf(got) || std::isinf(expected)) {
    if (got == expected) return 0;
    if (!std::isinf(got)) return kInfinity;
    return (got > 0 ? expected + bound >= overflow : expected - bound <= -overflow) ? 0 : kInfinity;
  }
  const double error = std::fabs(got - expected);
  if (error == 0) return std::isnan(bound) ? kInfinity : 0;
  const double ratio = error / bound;
  return bound > 0 && ratio >= 0 ? ratio : kInfinity;
}

void QuantityJudge::record(int64_t step, int64_t index, double got, double expected, double bound, double ratio) {
  if (!(ratio >= 0)) ratio = kInfinity;
  result_.ratios.add(ratio);
  if (!touched_ || ratio > result_.worst.ratio) result_.worst = {step, index, got, expected, bound, ratio};
  touched_ = true;
  if (!(ratio <= 1)) {
    if (result_.outside++ == 0) first_broken_step_ = step;
  }
}

void QuantityJudge::quick(int64_t step, int64_t index, double got, double expected, double bound) {
  const double ratio = finite_ratio(got, expected, bound);
  if (touched_ && ratio >= 0 && ratio <= result_.worst.ratio && ratio <= 1)
    result_.ratios.add(ratio);
  else
    element(step, index, got, expected, bound);
}

void QuantityJudge::array(int64_t step, std::span<const float> got, std::span<const double> expected,
                          std::span<const double> bound) {
  for (size_t i = 0; i < expected.size(); ++i)
    quick(step, int64_t(i), i < got.size() ? double(got[i]) : std::numeric_limits<double>::quiet_NaN(), expected[i],
          bound[i]);
}

void QuantityJudge::array(int64_t step, std::span<const double> got, std::span<const double> expected,
                          std::span<const double> bound) {
  for (size_t i = 0; i < expected.size(); ++i)
    quick(step, int64_t(i), i < got.size() ? got[i] : std::numeric_limits<double>::quiet_NaN(), expected[i], bound[i]);
}

void QuantityJudge::stored(int64_t step, DType type, std::span<const std::byte> got, std::span<const double> expected,
                           std::span<const double> bound) {
  const size_t count = std::min(expected.size(), got.size() / size_of(type));
  for (size_t i = count; i < expected.size(); ++i)  // missing
    element(step, int64_t(i), std::numeric_limits<double>::quiet_NaN(), expected[i], bound[i]);
  if (type == DType::float32) {
    for (size_t i = 0; i < count; ++i) {
      float x;
      std::memcpy(&x, got.data() + 4 * i, 4);
      quick(step, int64_t(i), x, expected[i], bound[i]);
    }
    return;
  }
  const std::vector<Interval>& all = intervals(type);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, got.data() + 2 * i, 2);
    const Interval in = all[bits];
    double value = 0, ratio;
    load(type, got.data() + 2 * i, {&value, 1});
    if (std::isnan(value) || std::isnan(expected[i])) {
      ratio = error_ratio(value, expected[i], bound[i]);
    } else if (std::isinf(expected[i])) {
      ratio = error_ratio(value, expected[i], bound[i], largest_finite(type));
    } else {  // distance from the expected value to the reals that round to what is stored
      const double distance = std::max({in.low - expected[i], expected[i] - in.high, 0.0});
      ratio = distance == 0 ? (std::isnan(bound[i]) ? kInfinity : 0.0) : error_ratio(distance, 0, bound[i]);
    }
    record(step, int64_t(i), value, expected[i], bound[i], ratio);
  }
}

}  // namespace plumbline::harness
