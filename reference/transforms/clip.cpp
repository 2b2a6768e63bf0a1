#include "reference/transforms/clip.h"

namespace plumbline::reference {

void ClipByRms::apply(Step& step) {
  const double update_rms = on_ == ClipOn::update ? step.update_rms() : step.rms_before_limiter;
  const double ratio = update_rms / threshold_;
  const double clip = ratio <= 1 ? 1 : ratio;  // NaN stays NaN
  step.scale /= clip;
  if (step.record) {
    step.record->update_rms = update_rms;
    step.record->clip = clip;
  }
}

}  // namespace plumbline::reference
