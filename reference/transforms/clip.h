// u <- u / max(1, RMS(u)/d)                                  [Shazeer & Stern 2018, alg. 4, update clipping]
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

// Whose RMS decides: the update's as it comes, or as it was before the limiter.
enum class ClipOn : uint8_t { update, before_limiter };

// What max(1, NaN) is: NaN for tensors, 1 where a program compares numbers of its host.
enum class NanRatio : uint8_t { stays, is_one };

class ClipByRms final : public Transform {
 public:
  explicit ClipByRms(double threshold, ClipOn on = ClipOn::update, NanRatio nan = NanRatio::stays)
      : threshold_(threshold), on_(on), nan_(nan) {}  // d > 0
  void apply(Step& step) override;
  double threshold() const { return threshold_; }
  ClipOn on() const { return on_; }
  NanRatio nan() const { return nan_; }

 private:
  double threshold_;
  ClipOn on_;
  NanRatio nan_;
};

}  // namespace plumbline::reference
