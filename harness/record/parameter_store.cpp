#include "harness/record/parameter_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace plumbline::harness {
namespace {

constexpr double kDrawStep = 0x1p-16;
constexpr double kLeastKnown = 0.1;  // where p is less certain, a value tells nothing

double grid_step(DType type, double magnitude) { return 2 * half_ulp(type, magnitude); }

}  // namespace

double round_down(DType type, double x) {
  const double near = round_to(type, x);
  if (near <= x) return near;
  // the neighbour below: at a power of two the grid is finer on the side of zero
  const double step = grid_step(type, std::fabs(near));
  const double finer = near - step / 2;
  return near > 0 && round_to(type, finer) == finer ? finer : near - step;
}
double round_up(DType type, double x) { return -round_down(type, -x); }

double StochasticTest::Sum::limit() const {
  const double l = std::log(2 / kLevel), third = l * largest / 3;
  return allowed + third + std::sqrt(third * third + 2 * l * variance);
}

void StochasticTest::add(double got, double before, double x, double error, double below, double above) {
  if (!(above > below) || !std::isfinite(above - below)) return;  // x is of the format
  const double p = (x - below) / (above - below), off = error / (above - below) + kDrawStep;
  if (!(off <= kLeastKnown)) return;
  const double drawn = got == above ? 1 : 0, variance = p * (1 - p), side = p - 0.5;
  ++values_;
  bias_.sum += drawn - p;
  bias_.variance += variance;
  bias_.allowed += off;
  shape_.sum += (drawn - p) * side;
  shape_.variance += variance * side * side;
  shape_.allowed += 1.5 * off;  // |d/dp (B - p)(p - 1/2)| <= 3/2
  if_nearest_ += ((p > 0.5 ? 1 : 0) - p) * side;
  const double way = x > before ? 1 : x < before ? -1 : 0;
  motion_.sum += (drawn - p) * way;
  motion_.variance += variance * way * way;
  motion_.allowed += off;
  if_idle_ += std::fmax(0, std::fabs(x - before) - error) / (above - below);
}

std::string StochasticTest::fault() const {
  if (const double limit = bias_.limit(); !(std::fabs(bias_.sum) <= limit))
    return fmt::format("stochastic rounding is biased: {} of {} values too many go {}, at most {:.1f} by chance ({:g})",
                       std::round(std::fabs(bias_.sum)), values_, bias_.sum > 0 ? "up" : "down", limit, kLevel);
  if (const double limit = shape_.limit(); !(std::fabs(shape_.sum) <= limit))
    return fmt::format(
        "not rounded stochastically: sum of (up - p)(p - 1/2) over {} values is {:.2f}, at most {:.2f} by chance "
        "({:g}), {:.2f} if rounded to nearest",
        values_, shape_.sum, limit, kLevel, if_nearest_);
  if (const double limit = motion_.limit(); !(std::fabs(motion_.sum) <= limit))
    return fmt::format(
        "stochastic rounding does not follow the update: {:.1f} grains {} over {} values, at most {:.1f} by chance "
        "({:g})",
        std::fabs(motion_.sum), motion_.sum < 0 ? "too little" : "too much", values_, limit, kLevel);
  return {};
}

bool StochasticTest::tells_idle() const { return if_idle_ > 2 * motion_.limit(); }

// Of half a grain: |S| = values/2.
bool StochasticTest::telling() const {
  return if_nearest_ > 2 * shape_.limit() && 0.5 * double(values_) > 2 * bias_.limit();
}

ParameterStore::ParameterStore(ParameterStorage how, DType type, DType results)
    : how_(how), type_(type), results_(significand_bits(results) < 24 ? DType::float32 : results) {}

void ParameterStore::start(const reference::Vector& recorded, const std::optional<reference::Vector>& exact) {
  const reference::Vector& from = exact ? *exact : recorded;
  read_.resize(size_t(from.size()));
  // A master copy, or a correction, that nobody shows may have been anything that rounds to the parameter.
  const bool unknown = !exact && (how_ == ParameterStorage::master || how_ == ParameterStorage::split);
  for (size_t i = 0; i < read_.size(); ++i) {
    const double value = from[int64_t(i)];
    read_[i] = {value, unknown ? half_ulp(type_, std::fabs(value)) : 0};
  }
  before_ = recorded;
}

// A compensation of the parameter's type takes the update before it is added: two roundings of it, and of what the last
// step lost.
Bounded ParameterStore::kept(Bounded x, double read) const {
  if (how_ == ParameterStorage::compensated)
    x.error += 2 * unit_roundoff(type_) * (std::fabs(x.value - read) + grid_step(type_, std::fabs(x.value)));
  return x;
}

BoundedVector ParameterStore::carried(const BoundedVector& stepped) const {
  BoundedVector out = stepped;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = kept(out[i], read_[i].value);
    if (how_ == ParameterStorage::split) out[i].error += half_ulp(type_, out[i].magnitude()) / 127 / 2;
  }
  return out;
}

BoundedVector ParameterStore::stored(const BoundedVector& stepped) const {
  if (how_ == ParameterStorage::nearest) return stepped;  // the step's own rounding
  BoundedVector out(stepped.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const Bounded x = kept(stepped[i], read_[i].value);
    if (how_ != ParameterStorage::stochastic) {
      out[i] = {x.value, x.error + half_ulp(type_, x.magnitude())};
      continue;
    }
    const double below = round_down(type_, x.value - x.error), above = round_up(type_, x.value + x.error);
    out[i] = {x.value, std::fmax(above - x.value, x.value - below)};
  }
  return out;
}

void ParameterStore::left(const BoundedVector& stepped, const reference::Vector& recorded,
                          const std::optional<reference::Vector>& shown) {
  for (size_t i = 0; i < read_.size(); ++i) {
    const double now = recorded[int64_t(i)];
    Bounded& next = read_[i];
    if (how_ == ParameterStorage::nearest || how_ == ParameterStorage::stochastic) {
      if (how_ == ParameterStorage::stochastic) {
        const Bounded x = stepped[i];
        const double below = round_down(type_, x.value), above = round_up(type_, x.value);
        test_.add(now, before_[int64_t(i)], x.value, x.error, below, above);
      }
      next = {now, 0};
      continue;
    }
    // The same, kept in the parameter alone.
    const double lossy = round_to(type_, before_[int64_t(i)] + (stepped[i].value - next.value));
    acted_ |= !(std::fabs(lossy - stepped[i].value) <=
                kept(stepped[i], next.value).error + half_ulp(type_, stepped[i].magnitude()));
    if (shown) {
      next = {(*shown)[int64_t(i)], 0};
      if (how_ != ParameterStorage::master) next.error = half_ulp(DType::float32, std::fabs(now));
      continue;
    }
    // Nobody shows it: it is what was stepped, up to what keeping it loses, and rounds to what is recorded.
    Bounded x = kept(stepped[i], next.value);
    const double ulp = grid_step(type_, std::fabs(now));
    if (how_ == ParameterStorage::split) x.error += ulp / 2 / 127 / 2;
    const Interval rounds = rounding_interval(type_, now);
    const double low = std::fmax(x.value - x.error, rounds.low), high = std::fmin(x.value + x.error, rounds.high);
    if (low <= high && std::isfinite(low) && std::isfinite(high))
      next = {std::clamp(x.value, low, high), 0};
    else
      next = {now, ulp / 2};  // they contradict each other, which the comparison has said
    if (low <= high) next.error = std::fmax(high - next.value, next.value - low);
  }
  before_ = recorded;
}

}  // namespace plumbline::harness
