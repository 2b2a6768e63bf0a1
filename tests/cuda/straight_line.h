// The canonical evaluation order written as it reads (cuda/core/geometry.h), element by element and without any tiling.
// With F = float it gives production's bits; with a scalar that counts roundings it gives production's rounding counts.
#pragma once
#include <algorithm>
#include <type_traits>
#include <vector>

#include "cuda/core/average.h"
#include "cuda/core/geometry.h"
#include "cuda/core/update.h"

namespace plumbline::straight_line {

// T: padded with +0 to a power of two, adjacent pairs first.
template <class F>
F tree(std::vector<F> x) {
  size_t padded = 1;
  while (padded < x.size()) padded *= 2;
  x.resize(padded, F(0.0f));
  for (; padded > 1; padded /= 2) {
    for (size_t i = 0; i < padded / 2; ++i) x[i] = x[2 * i] + x[2 * i + 1];
  }
  return x[0];
}

// Row sums and column sums of one m x n matrix of squares; 1/R_i comes from rows as they are finished. `steps`: squares
// of a momentum's steps, below whose means nothing divides; or empty.
template <class F>
struct Averages {
  std::vector<F> row, col;            // R (m), C (n): old averages in, new ones out
  std::vector<F> weighted;            // (n) sum_i of other squares over R_i
  std::vector<F> row_used, col_used;  // as they divide
};
// max(average, mean of `of` squared steps)
template <class F>
F raised(F average, std::vector<F> steps) {
  if constexpr (std::is_same_v<F, float>)
    if (!steps.empty()) return std::max(average, tree(steps) / float(steps.size()));
  return average;
}
template <class F>
void update_averages(const std::vector<F>& squares, const std::vector<F>& weighted, int m, int n,
                     const core::Weights<F>& weights, Averages<F>& a, const std::vector<F>& steps = {}) {
  const int strips = core::strip_count(m), height = core::strip_rows(m);
  a.row_used.clear();
  a.col_used.clear();
  std::vector<std::vector<F>> c(size_t(n), std::vector<F>(size_t(strips), F(0.0f))), w = c;
  for (int i = 0; i < m; ++i) {
    const std::vector<F> s(squares.begin() + i * int64_t(n), squares.begin() + (i + 1) * int64_t(n));
    a.row[size_t(i)] = core::average(a.row[size_t(i)], tree(s), F(float(n)), weights);
    std::vector<F> of_row;
    if (!steps.empty()) of_row.assign(steps.begin() + i * int64_t(n), steps.begin() + (i + 1) * int64_t(n));
    a.row_used.push_back(raised(a.row[size_t(i)], of_row));
    const F inverse = core::inverse_row(a.row_used.back());
    for (size_t j = 0; j < size_t(n); ++j) {
      F &cj = c[j][size_t(i / height)], &wj = w[j][size_t(i / height)];
      cj = cj + s[j];
      wj = core::add_weighted(weighted[size_t(i) * size_t(n) + j], inverse, wj);
    }
  }
  a.weighted.clear();
  for (size_t j = 0; j < size_t(n); ++j) {
    a.col[j] = core::average(a.col[j], tree(c[j]), F(float(m)), weights);
    // in strips as well: rows one after the other, then their tree
    std::vector<F> of_strips;
    for (size_t i = 0; i < size_t(m) && !steps.empty(); ++i) {
      if (i % size_t(height) == 0) of_strips.push_back(F(0.0f));
      of_strips.back() = of_strips.back() + steps[i * size_t(n) + j];
    }
    a.col_used.push_back(a.col[j]);
    if constexpr (std::is_same_v<F, float>)
      if (!steps.empty()) a.col_used.back() = std::max(a.col[j], tree(of_strips) / float(m));
    a.weighted.push_back(tree(w[j]));
  }
}
template <class F>
void update_averages(const std::vector<F>& squares, int m, int n, const core::Weights<F>& weights, Averages<F>& a) {
  update_averages(squares, squares, m, n, weights, a);
}

}  // namespace plumbline::straight_line
