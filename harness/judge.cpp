#include "harness/judge.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace plumbline::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

namespace {

// RatioHistogram::bucket_of a ratio in [0, 1], without branches; of any other, some number.
inline int64_t bucket_below_one(double ratio) {
  const auto bits = std::bit_cast<int64_t>(ratio), fraction = bits & 0xfffffffffffff;
  const int64_t quarter =
      (fraction > 0) + (fraction > 0x306fe0a31b715) + (fraction > 0x6a09e667f3bcd) + (fraction > 0xae89f995ad3ad);
  const int64_t bucket = 4 * ((bits >> 52) - 1023 + 24) + quarter;
  return ratio == 0 ? 0 : bucket < 1 ? 1 : bucket;
}

}  // namespace

bool out_of_range(double got, double expected, double bound, double overflow) {
  if (std::isfinite(got)) return false;
  if (std::isnan(expected)) return std::isnan(got);
  if (!(std::fabs(expected) >= overflow)) return false;
  const bool number = std::isfinite(expected);
  if (std::isnan(got)) return std::isnan(bound) || (number && std::fabs(expected) > largest_finite(DType::float32));
  if (std::isnan(bound)) return number || got == expected;
  return got > 0 ? expected + bound >= overflow : expected - bound <= -overflow;
}

double error_ratio(double got, double expected, double bound, double overflow) {
  if (out_of_range(got, expected, bound, overflow)) return 0;
  if (std::isnan(expected)) return kInfinity;
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

bool QuantityJudge::apart(double got, double expected, double bound, double overflow) {
  if (watched_) return false;
  if (out_of_range(got, expected, bound, overflow)) {
    ++result_.out_of_range;
    return true;
  }
  if (bound < kInfinity || !std::isfinite(expected) || std::isnan(got)) return false;
  ++result_.unbounded;
  return true;
}

double QuantityJudge::element(int64_t step, int64_t index, double got, double expected, double bound, double overflow) {
  if (apart(got, expected, bound, overflow)) return 0;
  const double ratio = error_ratio(got, expected, bound, overflow);
  record(step, index, got, expected, bound, ratio);
  return ratio;
}

void QuantityJudge::record(int64_t step, int64_t index, double got, double expected, double bound, double ratio) {
  if (!(ratio >= 0)) ratio = kInfinity;
  if (watched_) {  // an untouched judge: every element comes this way
    if (index < first_watched_ || index > last_watched_) return;
    watched_->step = step;
    watched_->index.push_back(index);
    watched_->got.push_back(got);
    watched_->expected.push_back(expected);
    watched_->bound.push_back(bound);
    watched_->ratio.push_back(ratio);
    return;
  }
  result_.ratios.add(ratio);
  if (!touched_ || ratio > result_.worst.ratio) result_.worst = {step, index, got, expected, bound, ratio};
  touched_ = true;
  if (!(ratio <= 1)) {
    if (result_.outside++ == 0) first_broken_step_ = step;
  }
}

// In pieces: ratios and their buckets first, in loops that vectorise; whatever is out of the ordinary (no number, no
// bound, a new worst) goes the long way.
template <class Got>
void QuantityJudge::whole(int64_t step, std::span<const Got> got, std::span<const double> expected,
                          std::span<const double> bound) {
  constexpr size_t kPiece = 256;
  double ratio[kPiece];
  int64_t bucket[kPiece];
  const size_t count = std::min(got.size(), expected.size());
  for (size_t begin = 0; begin < count; begin += kPiece) {
    const size_t n = std::min(kPiece, count - begin);
    for (size_t i = 0; i < n; ++i)
      ratio[i] = std::fabs(double(got[begin + i]) - expected[begin + i]) / bound[begin + i] +
                 0 * bound[begin + i];  // no number where there is no bound
    for (size_t i = 0; i < n; ++i) bucket[i] = bucket_below_one(ratio[i]);
    for (size_t i = 0; i < n; ++i) {
      if (touched_ && ratio[i] >= 0 && ratio[i] <= result_.worst.ratio && ratio[i] <= 1)
        ++result_.ratios.count[size_t(bucket[i])];
      else
        element(step, int64_t(begin + i), got[begin + i], expected[begin + i], bound[begin + i]);
    }
  }
  for (size_t i = count; i < expected.size(); ++i)  // missing
    element(step, int64_t(i), std::numeric_limits<double>::quiet_NaN(), expected[i], bound[i]);
}

void QuantityJudge::array(int64_t step, std::span<const float> got, std::span<const double> expected,
                          std::span<const double> bound) {
  whole(step, got, expected, bound);
}

void QuantityJudge::array(int64_t step, std::span<const double> got, std::span<const double> expected,
                          std::span<const double> bound) {
  whole(step, got, expected, bound);
}

void QuantityJudge::stored(int64_t step, DType type, std::span<const std::byte> got, std::span<const double> expected,
                           std::span<const double> bound) {
  const size_t count = std::min(expected.size(), got.size() / size_of(type));
  for (size_t i = count; i < expected.size(); ++i)  // missing
    element(step, int64_t(i), std::numeric_limits<double>::quiet_NaN(), expected[i], bound[i]);
  if (type == DType::float32) {
    thread_local std::vector<float> singles;
    singles.resize(count);
    std::memcpy(singles.data(), got.data(), 4 * count);
    whole(step, std::span<const float>(singles), expected.first(count), bound.first(count));
    return;
  }
  thread_local std::vector<double> values;
  values.resize(count);
  load(type, got.data(), values);
  const double overflow = rounding_interval(type, kInfinity).low;
  for (size_t i = 0; i < count; ++i) {
    const double value = values[i];
    if (apart(value, expected[i], bound[i], overflow)) continue;
    double ratio;
    if (std::isnan(value) || std::isnan(expected[i])) {
      ratio = error_ratio(value, expected[i], bound[i]);
    } else if (std::isinf(expected[i])) {
      ratio = error_ratio(value, expected[i], bound[i], largest_finite(type));
    } else {  // distance from the expected value to the reals that round to what is stored
      const Interval in = rounding_interval(type, value);
      const double distance = std::max({in.low - expected[i], expected[i] - in.high, 0.0});
      ratio = distance == 0 ? (std::isnan(bound[i]) ? kInfinity : 0.0) : error_ratio(distance, 0, bound[i]);
    }
    record(step, int64_t(i), value, expected[i], bound[i], ratio);
  }
}

}  // namespace plumbline::harness
