#include "harness/contracts/rounded.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/codecs/float_format.h"
#include "reference/codecs/rounding.h"

namespace plumbline::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint32_t kParameterStream = 15;

const reference::FloatFormat& format_of(DType type) {
  return type == DType::bfloat16 ? reference::kBfloat16 : reference::kFloat16;
}

}  // namespace

Interval drawn_interval(DType type, double v, double u) {
  const reference::FloatFormat& format = format_of(type);
  const double magnitude = std::fabs(v);
  // What is discarded is compared in units of 2^-16 of the spacing.
  constexpr double kGrain = 0x1p-16;
  double low, high;
  if (std::isinf(v)) {
    low = format.largest + (1 - u - kGrain) * format.spacing(format.largest);
    high = kInfinity;
  } else {
    const double above = format.spacing(magnitude);
    const double below = magnitude == 0 ? above : format.spacing(std::nextafter(magnitude, 0));
    low = magnitude == 0 ? -(1 - u + kGrain) * above : magnitude - (u + kGrain) * below;
    high = magnitude + (1 - u + kGrain) * above;
  }
  return std::signbit(v) ? Interval{-high, -low} : Interval{low, high};
}

void judge_rounded(QuantityJudge& judge, int64_t step, int64_t index, DType type, Rounding rounding, double draw,
                   double got, double expected, double bound) {
  double ratio;
  if (std::isnan(got) || std::isnan(expected)) {
    ratio = error_ratio(got, expected, bound);
  } else if (std::isinf(expected)) {
    ratio = error_ratio(got, expected, bound, largest_finite(type));
  } else {
    const Interval in =
        rounding == Rounding::stochastic ? drawn_interval(type, got, draw) : rounding_interval(type, got);
    const double distance = std::max({in.low - expected, expected - in.high, 0.0});
    ratio = distance == 0 ? (std::isnan(bound) ? kInfinity : 0.0) : error_ratio(distance, 0, bound);
  }
  judge.record(step, index, got, expected, bound, ratio);
}

// Rows and columns of the matrices that the tensor is read as; the full path reads one row.
ParameterDraws::ParameterDraws(const Problem& p, int64_t steps_before)
    : stream_{uint32_t(p.seed), reference::stream_number(uint32_t(p.place), kParameterStream), uint32_t(steps_before)} {
  const int64_t size = p.elements();
  const reference::Path path = p.path();
  const int64_t matrix = p.shape.size() < 2 ? size : p.shape.back() * p.shape[p.shape.size() - 2];
  slice_ = path == reference::Path::projected ? size : matrix;
  row_ = path == reference::Path::projected  ? size / p.shape[0]
         : path == reference::Path::factored ? p.shape.back()
                                             : matrix;
}

double ParameterDraws::operator()(int64_t i) const { return stream_.uniform(i % row_, i % slice_ / row_, i / slice_); }

double drawn(DType type, double value, double u) { return format_of(type).stochastic(value, u); }

int64_t judge_drawn_parameters(QuantityJudge& judge, int64_t step, const Problem& p, int64_t steps_before,
                               std::span<const std::byte> got, std::span<const double> expected,
                               std::span<const double> bound) {
  const ParameterDraws draws(p, steps_before);
  const auto size = int64_t(expected.size());
  int64_t moved = 0;
  for (int64_t i = 0; i < size; ++i) {
    double value = 0;
    load(p.parameter, got.data() + 2 * i, {&value, 1});
    judge_rounded(judge, step, i, p.parameter, Rounding::stochastic, draws(i), value, expected[size_t(i)],
                  bound[size_t(i)]);
    moved += value != round_to(p.parameter, expected[size_t(i)]);
  }
  return moved;
}

}  // namespace plumbline::harness
