// Values stored in 16 bits, to nearest or stochastically: accepted when they are the rounding of some value within the
// bound.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "harness/format.h"
#include "harness/judge.h"
#include "harness/problem.h"
#include "reference/codecs/rounding.h"

namespace plumbline::harness {

// All reals that round to v: of nearest [v - s/2, v + s/2], s the spacing to the neighbour on that side; of a draw u,
// where p + u >= 1 rounds a magnitude up, [|v| - u s, |v| + (1 - u) s].
Interval drawn_interval(DType type, double v, double u);

void judge_rounded(QuantityJudge& judge, int64_t step, int64_t index, DType type, Rounding rounding, double draw,
                   double got, double expected, double bound);

// The draws of a step's parameters: element i in memory order takes u in (0, 1) of slot 15.
class ParameterDraws {
 public:
  ParameterDraws(const Problem& problem, int64_t steps_before);
  double operator()(int64_t i) const;

 private:
  reference::RoundingStream stream_;
  int64_t row_, slice_;
};

// A value as a draw u rounds it to a type of 16 bits.
double drawn(DType type, double value, double u);

// Parameters of a step that were rounded stochastically: draws of slot 15 with the number of steps before as its
// writes. Returns how many differ from what rounding to nearest would have given.
int64_t judge_drawn_parameters(QuantityJudge& judge, int64_t step, const Problem& problem, int64_t steps_before,
                               std::span<const std::byte> got, std::span<const double> expected,
                               std::span<const double> bound);

}  // namespace plumbline::harness
