// Problems with momentum, confidence, limiter, projection and random roundings.
#pragma once
#include "harness/problem.h"
#include "properties/draw.h"

namespace plumbline::properties {

// Features up to here need nothing of this file.
inline constexpr int kPlainFeatures = int(harness::Feature::beta2) + 1;

// Draws the options of this file beside those that the problem has; shapes stay within `largest` elements.
void extend(harness::Problem& problem, Draw& draw, int64_t largest);
// Sets what the feature needs to act beyond every bound.
void aim_extended(harness::Problem& problem, harness::Feature feature, Draw& draw, int64_t largest);
// Takes back what excludes each other, or leaves storage with nothing to judge.
void settle(harness::Problem& problem);

}  // namespace plumbline::properties
