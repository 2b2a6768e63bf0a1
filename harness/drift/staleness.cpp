#include "harness/drift/staleness.h"

#include <cmath>

namespace plumbline::harness {

using reference::Vector;

Flags log_grid_freezes(const Vector& stored, const Vector& sample, const Vector& octaves, double weight) {
  const Vector up = (octaves * (0.5 * M_LN2)).exp(), ratio = sample / stored;
  const Flags stands = ratio > 1 - (1 - 1 / up) / weight && ratio < 1 + (up - 1) / weight;
  return (stored == 0).select(sample == 0, stands);
}

Flags even_grid_freezes(const Vector& stored, const Vector& sample, const Vector& spacing, double weight) {
  return (sample - stored).abs() < spacing / (2 * weight);
}

void StalenessMeter::step(int64_t t, double weight, const Vector& exact, const Vector& stored, const Flags& kept,
                          const Flags& predicted) {
  const auto n = double(stored.size());
  if (t <= last_) {
    frozen_ += double(kept.count()) / n;
    predicted_ += double(predicted.count()) / n;
    standing_ = standing_ && predicted;
  }
  if (t < last_) return;
  if (t == last_) {
    const Vector moved = (exact - exact_).abs();
    const Flags moving = moved > 0;
    StalenessWindow window{first_, last_, int64_t(moving.count())};
    if (window.moving > 0) {
      const auto all = double(window.moving);
      window.stale = double((moving && (stored - stored_).abs() < moved / 2).count()) / all;
      window.predicted_stale = double((moving && standing_).count()) / all;
    }
    window.frozen = frozen_ / double(last_ - first_);
    window.predicted_frozen = predicted_ / double(last_ - first_);
    windows_.push_back(window);
  }
  first_ = t;
  last_ = t + int64_t(std::ceil(1 / weight));
  exact_ = exact;
  stored_ = stored;
  standing_ = Flags::Constant(stored.size(), true);
  frozen_ = predicted_ = 0;
}

}  // namespace plumbline::harness
