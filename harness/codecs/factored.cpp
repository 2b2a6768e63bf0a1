#include "harness/codecs/factored.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace plumbline::harness::codecs {
namespace {

using reference::Interval;

// Interval of sqrt(x/x'), the factor that storing x puts on the update, for x' in r.
Interval factor(double x, Interval r) {
  const double infinite = std::numeric_limits<double>::infinity();
  return {std::sqrt(x / r.high), r.low > 0 ? std::sqrt(x / r.low) : infinite};
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

double largest_error(const std::vector<double>& exact, const std::vector<double>& stored) {
  double worst = 0;
  for (size_t i = 0; i < exact.size(); ++i) worst = std::max(worst, std::abs(stored[i] / exact[i] - 1));
  return worst;
}

// Averages (w = 0.01) over 400 steps of m x n gradients under scales of rows and columns; a row takes part in a step
// with the probability `seen`.
FactoredSample draw(const std::string& name, size_t m, size_t n, double seen, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  std::gamma_distribution<double> row_mean(double(n) / 2, 2.0 / double(n));
  FactoredSample out{name, std::vector<double>(m, 1e-30), std::vector<double>(n, 1e-30), std::vector<double>(m * n)};
  std::vector<double> row_scale(m), col_scale(n), column(n);
  for (double& s : row_scale) s = 1e-4 * std::pow(10.0, 0.5 * normal(random));
  for (double& s : col_scale) s = std::pow(10.0, 0.25 * normal(random));
  double squares_of_columns = 0;
  for (const double s : col_scale) squares_of_columns += s * s / double(n);
  constexpr double kWeight = 0.01;
  for (int t = 0; t < 400; ++t) {
    std::fill(column.begin(), column.end(), 1e-30);
    for (size_t i = 0; i < m; ++i) {
      const bool takes_part = uniform(random) < seen;
      const double square = takes_part ? row_scale[i] * row_scale[i] * squares_of_columns * row_mean(random) : 0;
      out.row[i] += kWeight * (square + 1e-30 - out.row[i]);
      if (takes_part)
        for (size_t j = 0; j < n; ++j)
          column[j] += row_scale[i] * row_scale[i] * col_scale[j] * col_scale[j] / double(m);
    }
    for (size_t j = 0; j < n; ++j) out.col[j] += kWeight * (column[j] - out.col[j]);
  }
  const double over = std::accumulate(out.row.begin(), out.row.end(), 0.0) / double(m);
  for (size_t i = 0; i < m; ++i)
    for (size_t j = 0; j < n; ++j)
      out.gradient[i * n + j] = std::sqrt(out.row[i] * out.col[j] / over) * normal(random);  // of the size they say
  return out;
}

}  // namespace

FactoredFigures measure_factored(const Storage& storage, const FactoredSample& sample, uint64_t seed) {
  const auto row = store_in_blocks(storage, sample.row, storage.block, {uint32_t(seed), 0, 0});
  const auto col = store_in_blocks(storage, sample.col, storage.block, {uint32_t(seed), 1, 0});
  const size_t m = sample.row.size(), n = sample.col.size();

  double low = 0, high = 0;
  for (const Interval& r : row.reach) low += r.low / double(m), high += r.high / double(m);
  const double exact_mean = mean(sample.row), stored_mean = mean(row.decoded);
  // sqrt(mean R'/mean R), and where it may lie
  const double by_mean = std::sqrt(stored_mean / exact_mean);
  const Interval mean_factor{std::sqrt(low / exact_mean), std::sqrt(high / exact_mean)};

  FactoredFigures out;
  out.row_error = largest_error(sample.row, row.decoded);
  out.col_error = largest_error(sample.col, col.decoded);
  out.halves = (out.row_error + out.col_error + std::abs(stored_mean / exact_mean - 1)) / 2;
  double error = 0, bound = 0, norm = 0, worst = 0, most = 0;
  for (size_t i = 0; i < m; ++i) {
    const Interval row_factor = factor(sample.row[i], row.reach[i]);
    for (size_t j = 0; j < n; ++j) {
      const Interval col_factor = factor(sample.col[j], col.reach[j]);
      const double u = sample.gradient[i * n + j] / std::sqrt(sample.row[i] * sample.col[j] / exact_mean);
      const double off =
          std::sqrt(sample.row[i] / row.decoded[i]) * std::sqrt(sample.col[j] / col.decoded[j]) * by_mean - 1;
      const double may = std::max(row_factor.high * col_factor.high * mean_factor.high - 1,
                                  1 - row_factor.low * col_factor.low * mean_factor.low);
      error += u * u * off * off;
      bound += u * u * may * may;
      norm += u * u;
      worst = std::max(worst, std::abs(off));
      most = std::max(most, may);
    }
  }
  out.update = {std::sqrt(error / norm), std::sqrt(bound / norm)};
  out.worst = {worst, most};
  return out;
}

std::vector<FactoredSample> drawn_factored(uint64_t seed) {
  return {draw("dense 512 x 256", 512, 256, 1, seed), draw("cold 2048 x 64", 2048, 64, 1.0 / 300, seed + 1)};
}

}  // namespace plumbline::harness::codecs
