#include "harness/drift/promise.h"

#include <cmath>

#include "harness/contracts/grids.h"

namespace plumbline::harness {
namespace {

using reference::Vector;

constexpr double kDraw = 0x1p-16;  // of a cell: random numbers have 16 bits

struct OneStore {
  double reach = 0;     // how far it may go
  double variance = 0;  // of a random rounding
  double off = 0;       // how far its mean may be from the value: what float32 and draws of 16 bits do
};

double decode_error(const LogGrid& grid, int code) { return grid.decode_error(code); }
double decode_error(const LinearGrid& grid, int) { return grid.decode_error(); }

template <class Grid>
OneStore store_of(const Grid& grid, Rounding rounding, double v) {
  if (grid.is_zero(v)) return {};
  const Position at = grid.position(v, 0);
  const double inside = std::clamp(at.code, grid.first, grid.last);
  const double k = std::clamp(std::floor(at.code), grid.first, grid.last - 1);
  const double low = grid.decode(int(k)), high = grid.decode(int(k) + 1);
  const double decoded = std::max(std::fabs(low), std::fabs(high)) * decode_error(grid, int(k) + 1);
  const double outside = at.band + std::fabs(at.code - inside);
  OneStore out;
  out.reach = grid.distance(v, (rounding == Rounding::stochastic ? 1 : 0.5) + outside) + decoded;
  // linear_u8 has nothing between 0 and half a step
  out.off = grid.distance(v, outside + kDraw) + decoded + std::max(low - v, 0.0) + std::max(v - high, 0.0);
  if (rounding == Rounding::stochastic) out.variance = std::max((high - v) * (v - low), 0.0);
  if (rounding == Rounding::dither) out.variance = grid.distance(v, 0.5) * grid.distance(v, 0.5) / 3;  // even in a cell
  return out;
}

}  // namespace

void PromiseMeter::step(double old_weight, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
                        std::span<const float> used, const Vector& stored, const Vector& exact) {
  const auto n = Eigen::Index(used.size());
  if (moved_.size() == 0) moved_ = allowed_ = variance_ = Vector::Zero(n);
  moved_ *= old_weight;
  allowed_ *= old_weight;
  variance_ *= old_weight * old_weight;
  sum_variance_ *= old_weight * old_weight;
  largest_step_ *= old_weight;
  off_ *= old_weight;
  const reference::RoundingStream stream = stream_of(slot, seed);
  for_each_block(slot, [&](const Block& b) {
    const double offset = dither_offset(slot, stream, b);
    const auto add = [&](const auto& grid) {
      double deviations = 0, furthest = 0, variance = 0, largest = 0;
      for (int64_t i = b.begin; i < b.end; ++i) {
        const double v = double(used[size_t(i)]);
        const OneStore s = store_of(grid, slot.rounding, v);
        moved_[i] += stored[i] - v;
        allowed_[i] += s.reach;
        variance_[i] += s.variance;
        off_ += s.off;
        variance += s.variance;
        deviations += std::sqrt(s.variance);
        furthest += s.reach;
        largest = std::max(largest, s.reach);
      }
      const bool shared = slot.rounding == Rounding::dither;  // one draw a block
      sum_variance_ += shared ? deviations * deviations : variance;
      largest_step_ = std::max(largest_step_, shared ? furthest : largest);
    };
    if (is_log(slot.storage)) {
      const reference::LogScale scale{slot.scales[size_t(2 * b.index)], slot.scales[size_t(2 * b.index + 1)]};
      add(LogGrid(slot, scale, arithmetic, offset));
    } else {
      add(LinearGrid(slot, slot.scales[size_t(b.index)], arithmetic, offset));
    }
  });
  // a ratio of 0 to 0 is a value that codes keep as it is
  for (Eigen::Index i = 0; i < n; ++i)
    if (const double r = moved_[i] == 0 ? 0 : std::fabs(moved_[i]) / allowed_[i]; !(r <= result_.worst))
      result_.worst = r;
  const double norm = std::sqrt(exact.square().sum());
  result_.stored = std::sqrt(moved_.square().sum()) / norm;
  result_.allowed = std::sqrt(allowed_.square().sum()) / norm;
  if (slot.rounding == Rounding::nearest) return;
  result_.expected = std::sqrt(variance_.sum()) / norm;
  // x with x^2 = 2 L (V + b x/3)
  const double level = std::log(2 / kBiasLevel), half = level * largest_step_ / 3;
  const double bound = half + std::sqrt(half * half + 2 * level * sum_variance_) + off_;
  if (const double r = moved_.sum() == 0 ? 0 : std::fabs(moved_.sum()) / bound; !(r <= result_.bias)) result_.bias = r;
}

}  // namespace plumbline::harness
