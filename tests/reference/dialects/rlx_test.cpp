// Two defects of a public program, in numbers.
#include "reference/dialects/rlx.h"

#include <gtest/gtest.h>

#include "reference/dialects/huggingface.h"

namespace plumbline::reference {
namespace {

StepRecord first_step(Optimizer optimizer) {
  Tensor p({16, 4}), g({16, 4});
  p.data.setOnes();
  for (int64_t k = 0; k < 64; ++k) g.data[k] = k % 3 ? 0.5 : -0.5;  // constant magnitude: u = +-1
  StepRecord record;
  optimizer.step(p, g, &record);
  return record;
}

TEST(RlxTest, SumForMeanMakesTheUpdateSqrtMTooLarge) {
  EXPECT_DOUBLE_EQ(first_step(make_huggingface({}, {16, 4})).update_rms, 1);
  EXPECT_DOUBLE_EQ(first_step(make_rlx({}, {16, 4})).update_rms, 4);  // m = 16
}

TEST(RlxTest, ThresholdDClipsTo1OverD) {
  const StepRecord paper = first_step(make_huggingface({.clip_threshold = 2}, {16, 4}));
  const StepRecord rlx = first_step(make_rlx({.clip_threshold = 2}, {16, 4}));
  EXPECT_DOUBLE_EQ(paper.update_rms / paper.clip, 1);
  EXPECT_DOUBLE_EQ(rlx.update_rms / rlx.clip, 0.5);
}

}  // namespace
}  // namespace plumbline::reference
