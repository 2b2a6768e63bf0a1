// How parameters outlive a step when they are kept in fewer bits than they are stepped in: what the next step reads,
// what is recorded, and whether that follows from it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "harness/contracts/bounded.h"
#include "harness/format.h"
#include "harness/record/run_header.h"
#include "reference/tensor.h"

namespace plumbline::harness {

// Of a stochastic rounding y of x between its neighbours a < b, with p = (x - a)/(b - a) and B = 1 where y = b:
//   S = sum B - p            is 0 in the mean: no bias
//   T = sum (B - p)(p - 1/2) is 0 in the mean: rounding to nearest has 1/24 a value instead
//   U = sum (B - p) sign(x - before) is 0 in the mean: what does not move has -|x - before|/(b - a) a value instead
// All are sums of independent terms of at most 1, 1/2 and 1 in size, so |S - mean| exceeds L M/3 + sqrt((L M/3)^2 + 2 L
// V), V the variance, M the largest term, with probability below 2 exp(-L)                             [Bernstein 1924]
class StochasticTest {
 public:
  // False alarms: at most this, for each of the three sums of one tensor.
  static constexpr double kLevel = 1e-9;

  // x within `error`, before the step `before`; the draw may have 16 bits: p is right within 2^-16.
  void add(double got, double before, double x, double error, double below, double above);
  // What is wrong, in one line; empty where nothing is.
  std::string fault() const;
  // Values enough to tell rounding to nearest from this, and a mean bias of half a grain.
  bool telling() const;
  // Updates enough to tell a parameter that stays where it is.
  bool tells_idle() const;
  int64_t values() const { return values_; }

 private:
  struct Sum {
    double sum = 0, variance = 0, allowed = 0, largest = 1;
    double limit() const;
  };
  Sum bias_{}, shape_{0, 0, 0, 0.5}, motion_{};
  double if_nearest_ = 0;  // T of the same values rounded to nearest
  double if_idle_ = 0;     // U of the same values left where they were
  int64_t values_ = 0;
};

class ParameterStore {
 public:
  // `type`: of the recorded parameters; `results`: of the peer's elementwise results.
  ParameterStore(ParameterStorage how, DType type, DType results);

  ParameterStorage how() const { return how_; }
  // The type in which the stepped parameter is before it is stored.
  DType stepped() const { return how_ == ParameterStorage::nearest ? type_ : results_; }

  // What the first step reads: the recorded parameter, what is known to be exact, or whatever rounds to the parameter.
  void start(const reference::Vector& recorded, const std::optional<reference::Vector>& exact);
  // What the next step reads.
  const BoundedVector& read() const { return read_; }
  // What is kept of what the step left, and what may be recorded of it: bounded by how storing moves it.
  BoundedVector carried(const BoundedVector& stepped) const;
  BoundedVector stored(const BoundedVector& stepped) const;
  // The step left `stepped`, bounded, and `recorded` is what is kept of it; `shown` the value that is stepped, where
  // the recording has it (master, or parameter with its compensation or correction).
  void left(const BoundedVector& stepped, const reference::Vector& recorded,
            const std::optional<reference::Vector>& shown);
  const StochasticTest& test() const { return test_; }
  // Rounding to nearest, step by step, would have been found.
  bool acted() const { return how_ == ParameterStorage::stochastic ? test_.telling() : acted_; }

 private:
  Bounded kept(Bounded stepped, double read) const;

  ParameterStorage how_;
  DType type_, results_;
  BoundedVector read_;
  reference::Vector before_;  // as recorded
  StochasticTest test_;
  bool acted_ = false;
};

// Neighbours of the format: the largest value <= x and the smallest >= x.
double round_down(DType type, double x);
double round_up(DType type, double x);

}  // namespace plumbline::harness
