// A moving average that is stored and read back at every step: how far it drifts from the exact one, and whether it
// moves at all. Theory: reference/CODECS.md.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "harness/codecs/figures.h"
#include "harness/codecs/storage.h"

namespace plumbline::harness::codecs {

// 128 values under scales half a decade wide; x <- (1 - w) x + w sample, from the samples' own mean on. Pinned: two
// values of each 64 stay where they are, far below and above the others, so that block ranges do not move.
struct AverageScenario {
  std::string name;   // "second moment, steady"
  std::string brief;  // "V"
  StateKind kind = StateKind::second_moment;
  double weight = 1e-3;  // w
  int columns = 1;       // samples are means of so many squares (second moments)
  double fall = 1;  // the samples' mean against the start's (second moments): 1 steady, 0.01 where gradients fell to
                    // a tenth
  double mean = 0;  // of the samples, in standard deviations (momentum)
  bool pinned = false;
  int64_t steps = 5000;
};
// Second moments and row averages, steady and falling; momentum of gradients without and with a mean.
const std::vector<AverageScenario>& average_scenarios();

inline constexpr size_t kPinnedEvery = 64;
// The samples of one scenario over its mean, shared by all storages: [step][value].
struct AverageSamples {
  AverageScenario scenario;
  std::vector<double> scale;  // of each value: mean of its samples at the start; momentum: standard deviation
  std::vector<float> samples;
  bool pinned(size_t i) const { return scenario.pinned && i % kPinnedEvery < 2; }
};
AverageSamples draw_samples(const AverageScenario& scenario, uint64_t seed);

struct AverageFigures {
  // After the last step, over values that are not pinned. Second moments: RMS of x'/x - 1; momentum: ||x' - x||/||x||.
  // Bound: rounding errors of one step, each at its largest, summed with the average's own weights.
  Figure drift;
  double expected = 0;   // the same where rounding errors have mean 0 (stochastic, dither): from the variance of each,
                         // which its place between codes tells; NaN for nearest
  double bias = 0;       // mean of x'/x - 1; momentum: of (x' - x)/scale
  Figure update;         // RMS of sqrt(x/x') - 1; not of momentum. Infinite bound: a value may have drifted to 0
  double stale = 0;      // share of values that moved by less than half the exact change within ceil(1/w) steps
  double predicted = 0;  // the same, from scale, step of the code and w alone, at fixed block ranges
};
AverageFigures run_average(const Storage& storage, const AverageSamples& samples, uint64_t seed);

}  // namespace plumbline::harness::codecs
