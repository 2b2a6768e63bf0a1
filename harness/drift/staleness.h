// How much of a quantized moving average stands still. Nearest rounding leaves a code where it is while the new sample
// is too small to carry the average half a step, so averages freeze; which ones do follows from the codec alone.
//                                                              [Topollai & Choromanska 2026, arXiv 2603.16731]
#pragma once
#include <cstdint>
#include <vector>

#include "reference/tensor.h"

namespace plumbline::harness {

using Flags = Eigen::Array<bool, Eigen::Dynamic, 1>;

// A code of a logarithmic grid with steps of h octaves, at its own value v, keeps standing under a new sample s of
// weight w exactly when   1 - (1 - 2^(-h/2))/w < s/v < 1 + (2^(h/2) - 1)/w,   scales of the block unchanged. `stored`
// and `sample` by value, `octaves` per value; zeros (no code of a logarithm) stand while the sample is zero.
Flags log_grid_freezes(const reference::Vector& stored, const reference::Vector& sample,
                       const reference::Vector& octaves, double weight);
// The same for an even grid of steps `spacing`: |s - v| < spacing/(2 w).
Flags even_grid_freezes(const reference::Vector& stored, const reference::Vector& sample,
                        const reference::Vector& spacing, double weight);

// One window of ceil(1/w) steps, the time in which an average forgets.
struct StalenessWindow {
  int64_t first = 0, last = 0;  // steps `first` (exclusive) to `last`
  int64_t moving = 0;           // values whose exact average moved: what the shares of the window are of
  double stale = 0;             // moved, decoded, by less than half of what the exact average did
  double predicted_stale = 0;   // predicted to stand still in every step of the window
  double frozen = 0;            // share of all (value, step) whose code did not change
  double predicted_frozen = 0;  // the same, predicted
};

// Follows one slot.
class StalenessMeter {
 public:
  // After step t, in which the new sample had weight w: the average of a free-running reference without storage
  // rounding, what the subject has stored (decoded), which values kept their code and which were predicted to.
  void step(int64_t t, double weight, const reference::Vector& exact, const reference::Vector& stored,
            const Flags& kept, const Flags& predicted);
  const std::vector<StalenessWindow>& windows() const { return windows_; }  // finished ones

 private:
  int64_t first_ = 0, last_ = -1;
  reference::Vector exact_, stored_;  // at the window's start
  Flags standing_;                    // predicted to have stood still since the window's start
  double frozen_ = 0, predicted_ = 0;
  std::vector<StalenessWindow> windows_;
};

}  // namespace plumbline::harness
