#include "harness/contracts/stored_update.h"

#include <cmath>

#include "harness/contracts/grids.h"
#include "harness/contracts/rounded.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
using reference::Vector;

constexpr double kSlack = 0x1p-40;  // what double loses

double decode_error_of(const LogGrid& grid, int code) { return grid.decode_error(code); }
double decode_error_of(const LinearGrid& grid, int) { return grid.decode_error(); }

// In cells: how far a store may go, and the subject's own evaluation, and what lies outside of all codes.
// Where it may take the wrong pair of neighbours to draw between, it may be a cell further.
double cells_of(Rounding rounding, const Position& at, double first, double last) {
  const bool random = rounding == Rounding::stochastic;
  return (random ? 1 : 0.5) + (random && at.band > 0.5 ? 1 : 0) + at.band +
         std::fabs(at.code - std::clamp(at.code, first, last));
}

// How far value v may be read back from where it was.
template <class Grid>
double reach_of(const Grid& grid, Rounding rounding, double v) {
  if (grid.is_zero(v)) return 0;
  const Position at = grid.position(v, 0);
  const double reach = grid.distance(v, cells_of(rounding, at, grid.first, grid.last));
  const int beyond = int(std::clamp(std::ceil(at.code), grid.first, grid.last));
  return reach + (std::fabs(v) + reach) * decode_error_of(grid, beyond);
}

// |sqrt(v/v') - 1| at most, of an average.
// A cell is as many octaves down as up, of which up is further; but dither decodes to what a factor below 1 makes of
// it, and its way down is only known to be no further than that up.
double factor_of(const LogGrid& grid, Rounding rounding, double v) {
  const double reach = reach_of(grid, rounding, v) / v;
  if (rounding != Rounding::dither) return std::sqrt(1 + reach) - 1;
  return reach < 1 ? 1 / std::sqrt(1 - reach) - 1 : HUGE_VAL;
}
// An even grid: between the codes next to v, or the nearer one; its smallest is not zero.
double factor_of(const LinearGrid& grid, Rounding rounding, double v) {
  const Position at = grid.position(v, 0);
  const double half = rounding == Rounding::stochastic ? 0 : 0.5, error = grid.decode_error();
  const int low = int(std::clamp(std::floor(at.code - at.band + half), grid.first, grid.last));
  const int high = int(std::clamp(std::ceil(at.code + at.band - half), grid.first, grid.last));
  const double least = grid.decode(low) * (1 - error), most = grid.decode(high) * (1 + error);
  return std::max(std::sqrt(v / least) - 1, 1 - std::sqrt(v / most)) + kSlack;
}

// f(grid, values of a block)
template <class F>
void for_each_grid(const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed, F f) {
  const reference::RoundingStream stream = stream_of(slot, seed);
  for_each_block(slot, [&](const Block& b) {
    const double offset = dither_offset(slot, stream, b);
    if (!is_log(slot.storage)) return f(LinearGrid(slot, slot.scales[size_t(b.index)], arithmetic, offset), b);
    const reference::LogScale s{slot.scales[size_t(2 * b.index)], slot.scales[size_t(2 * b.index + 1)]};
    f(LogGrid(slot, s, arithmetic, offset), b);
  });
}

bool finite_block(const SlotState& slot, const std::span<const float> used) {
  for (const float s : slot.scales)
    if (!std::isfinite(s)) return false;
  for (const float x : used)
    if (!std::isfinite(x)) return false;
  return true;
}

}  // namespace

void judge_stored_average(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
                          std::span<const float> used, const Tensor& stored, QuantityJudge& judge, StoredUpdate& sum) {
  if (!has_codes(slot.storage) || !finite_block(slot, used)) return;  // what a NaN does is judged as a code
  for_each_grid(slot, arithmetic, seed, [&](const auto& grid, const Block& b) {
    for (int64_t i = b.begin; i < b.end; ++i) {
      const double v = double(used[size_t(i)]);
      if (v < 0x1p-126) continue;  // below all codes: eps1 keeps averages above, and a lack of it is another stage
      const double got = std::sqrt(v / stored.data[i]), bound = factor_of(grid, slot.rounding, v);
      judge.record(step, i, got, 1, bound, bound <= 1 + 2 * kSlack ? error_ratio(got, 1, bound) : std::nan(""));
      sum.add(got - 1, 1, false);
    }
  });
}

void promise_full(const Vector& step, MomentumUnits& units) { units.worth.setConstant(step.size(), 1); }

void promise_factored(const Vector& step, double bias, const Tensor& row, const Tensor& col, const Vector& row_mean,
                      MomentumUnits& units) {
  const Eigen::Index slices = row.shape[0], m = row.shape[1], n = col.shape[1];
  units.worth.resize(step.size());
  for (Eigen::Index s = 0; s < slices; ++s) {
    const Vector q = bias * step.segment(s * m * n, m * n);
    Vector row_square = Vector::Zero(m), col_square = Vector::Zero(n);
    for (Eigen::Index i = 0; i < m; ++i) {
      const auto line = q.segment(i * n, n).square();
      row_square[i] = line.mean();
      col_square += line / double(m);
    }
    for (Eigen::Index i = 0; i < m; ++i)
      for (Eigen::Index j = 0; j < n; ++j) {
        const double r = row.data[s * m + i], c = col.data[s * n + j];
        units.worth[(s * m + i) * n + j] =
            q[i * n + j] * std::sqrt(row_mean[s] / std::max(r * col_square[j], c * row_square[i]));
      }
  }
}

void judge_stored_momentum(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
                           std::span<const float> used, const Tensor& stored, const Vector& resolution,
                           const MomentumUnits& units, QuantityJudge& judge, StoredUpdate& sum) {
  if (slot.storage == Storage::fp32 || !finite_block(slot, used)) return;
  const bool promised = units.worth.size() > 0 && resolution.size() > 0;
  const auto element = [&](int64_t i, double reach) {
    const double m = double(used[size_t(i)]), unit = units.unit[i], phi = units.lifted[i];
    const double u = m * unit, got = stored.data[i] * unit, bound = reach * unit + 0x1p-40 * std::fabs(u);
    const bool kept = !promised || resolution[i] * unit <= units.worth[i] * (1 + 0x1p-30);
    judge.record(step, i, got, u, bound, kept ? error_ratio(got, u, bound) : std::nan(""));
    sum.add(got - u / phi, u / phi, phi < 1 - 0x1p-30);
  };
  if (slot.storage == Storage::bf16) {
    const double spacings = slot.rounding == Rounding::stochastic ? 2 : 1;
    for (size_t i = 0; i < used.size(); ++i)
      element(int64_t(i), spacings * std::max(std::fabs(double(used[i])) * 0x1p-8, 0x1p-134));
    return;
  }
  for_each_grid(slot, arithmetic, seed, [&](const auto& grid, const Block& b) {
    for (int64_t i = b.begin; i < b.end; ++i) element(i, reach_of(grid, slot.rounding, double(used[size_t(i)])));
  });
}

}  // namespace plumbline::harness
