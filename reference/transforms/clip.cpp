#include "reference/transforms/clip.h"

#include <cmath>

namespace plumbline::reference {

void ClipByRms::apply(Step& step) {
  const double update_rms = on_ == ClipOn::update ? step.update_rms() : step.rms_before_limiter;
  const double ratio = update_rms / threshold_;
  const bool one = ratio <= 1 || (std::isnan(ratio) && nan_ == NanRatio::is_one);
  const double clip = one ? 1 : ratio;
  step.scale /= clip;
  if (step.record) {
    step.record->update_rms = update_rms;
    step.record->clip = clip;
  }
}

}  // namespace plumbline::reference
