// A study as sections of a report: in each, the first table is the one to read, the others hold every figure beside its
// bound.
#pragma once
#include <vector>

#include "harness/codecs/study.h"
#include "harness/section.h"

namespace plumbline::harness::codecs {

// Published figures, one store, block sizes, long averages, factored updates; last the recommendation.
std::vector<Section> study_sections(const Study& study);

}  // namespace plumbline::harness::codecs
