// How storing the averages of rows and columns propagates to the update of a factored second moment,
// u_ij = g_ij/sqrt(R_i C_j/mean R): relative errors of R_i, C_j and mean R halve and add.
#pragma once
#include <string>
#include <vector>

#include "harness/codecs/figures.h"
#include "harness/codecs/storage.h"

namespace plumbline::harness::codecs {

// Averages of one matrix and its gradient, row-major.
struct FactoredSample {
  std::string name;
  std::vector<double> row, col, gradient;
};

struct FactoredFigures {
  double row_error = 0, col_error = 0;  // largest |R'/R - 1|, |C'/C - 1|
  double halves = 0;                    // (row_error + col_error + largest of mean R)/2: to first order, the largest
                                        // relative error of u
  Figure update;                        // ||u' - u||/||u||
  Figure worst;                         // largest |u'/u - 1|
};

FactoredFigures measure_factored(const Storage& storage, const FactoredSample& sample, uint64_t seed);

// An evenly used matrix and one whose rows are rarely touched.
std::vector<FactoredSample> drawn_factored(uint64_t seed);

}  // namespace plumbline::harness::codecs
