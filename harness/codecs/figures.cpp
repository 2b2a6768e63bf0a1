#include "harness/codecs/figures.h"

#include <algorithm>
#include <vector>

namespace plumbline::harness::codecs {
namespace {

using reference::Interval;

// ||error|| / ||value|| of what was measured and of what the bounds allow.
struct Norms {
  double error = 0, bound = 0, value = 0;
  void add(double e, double b, double v) {
    error += e * e;
    bound += b * b;
    value += v * v;
  }
  Figure figure() const {
    if (!(value > 0)) return {};
    return {std::sqrt(error / value), std::sqrt(bound / value)};
  }
};

// Nearest rank: the smallest value that a share q of them does not exceed.
double percentile(std::vector<double>& values, double q) {
  const auto nan = [](double x) { return std::isnan(x); };
  if (values.empty() || std::any_of(values.begin(), values.end(), nan)) return std::numeric_limits<double>::quiet_NaN();
  const auto rank = size_t(std::ceil(q * double(values.size())));
  const auto place = values.begin() + int64_t(std::max<size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

// Each element's measured error is at most its bound, so each percentile is at most that of the bounds.
void add_percentiles(Figures& out, std::vector<double>& errors, std::vector<double>& bounds) {
  if (errors.empty()) return;
  out.half = {percentile(errors, 0.5), percentile(bounds, 0.5)};
  out.p99 = {percentile(errors, 0.99), percentile(bounds, 0.99)};
  out.worst = {percentile(errors, 1), percentile(bounds, 1)};
}

double furthest(double x, Interval r) { return std::max(std::abs(r.low - x), std::abs(r.high - x)); }

// Of a function that falls with v.
template <class F>
double furthest(F f, double v, Interval r) {
  return std::max(std::abs(f(std::max(r.low, 0.0)) - f(v)), std::abs(f(r.high) - f(v)));
}

Figures measure_second_moment(std::span<const double> values, std::span<const double> gradient,
                              const StoredValues& stored) {
  const auto with_eps = [](double v) { return 1 / (std::sqrt(v) + kEps); };
  Norms value, update, update_eps;
  std::vector<double> errors, bounds;
  errors.reserve(values.size());
  bounds.reserve(values.size());
  double lost = 0, may_be_lost = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double v = values[i], got = stored.decoded[i], g = gradient[i];
    const Interval r = stored.reach[i];
    const double u = inverse_root(v), error = inverse_root(got) - u, bound = furthest(inverse_root, v, r);
    update.add(g * error, g * bound, g * u);
    update_eps.add(g * (with_eps(got) - with_eps(v)), g * furthest(with_eps, v, r), g * with_eps(v));
    if (v == 0) continue;
    value.add(got - v, furthest(v, r), v);
    errors.push_back(std::abs(error) / u);
    bounds.push_back(bound / u);
    lost += got == 0;
    may_be_lost += r.low <= 0;
  }
  Figures out;
  out.values = value.figure();
  out.update = update.figure();
  out.update_eps = update_eps.figure();
  if (!errors.empty()) out.false_zeros = {lost / double(errors.size()), may_be_lost / double(errors.size())};
  add_percentiles(out, errors, bounds);
  return out;
}

Figures measure_momentum(std::span<const double> values, const StoredValues& stored) {
  Norms nonzero, all;
  double squares = 0, lost = 0, may_be_lost = 0, count = 0;
  for (const double v : values) squares += v * v;
  const double rms = std::sqrt(squares / double(values.size()));
  std::vector<double> errors, bounds;
  for (size_t i = 0; i < values.size(); ++i) {
    const double v = values[i], got = stored.decoded[i], error = got - v, bound = furthest(v, stored.reach[i]);
    all.add(error, bound, v);
    errors.push_back(std::abs(error) / rms);
    bounds.push_back(bound / rms);
    if (v == 0) continue;
    nonzero.add(error, bound, v);
    ++count;
    lost += got == 0;
    may_be_lost += stored.reach[i].low <= 0 && stored.reach[i].high >= 0;
  }
  Figures out;
  out.values = nonzero.figure();
  out.update = all.figure();
  if (count > 0) out.false_zeros = {lost / count, may_be_lost / count};
  if (rms > 0) add_percentiles(out, errors, bounds);
  return out;
}

}  // namespace

double inverse_root(double v) { return 1 / std::sqrt(std::max(v, kFloorOfRoot)); }

bool Figures::within() const {
  for (const Figure& f : {values, update, update_eps, half, p99, worst, false_zeros})
    if (!f.within()) return false;
  return true;
}

Figures measure(StateKind kind, std::span<const double> values, std::span<const double> gradient,
                const StoredValues& stored) {
  return kind == StateKind::momentum ? measure_momentum(values, stored)
                                     : measure_second_moment(values, gradient, stored);
}

}  // namespace plumbline::harness::codecs
