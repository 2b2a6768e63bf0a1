#include "harness/codecs/promise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "harness/codecs/recommend.h"

namespace plumbline::harness::codecs {
namespace {

using testing::HasSubstr;

const Storage& momentum_in(const std::string& name) {
  for (const Storage& s : storages())
    if (s.kind == StateKind::momentum && s.name == name) return s;
  throw std::out_of_range(name);
}

TEST(Promise, IsKeptByWhatReadsZeroAsZeroAndReachesIt) {
  for (const char* name : {"fp32", "bf16", "bf16 stochastic", "uf8 stochastic", "uf4 stochastic"})
    for (const bool factored : {true, false}) {
      const PromiseRow row = measure_adverse(momentum_in(name), factored, 1);
      EXPECT_EQ(row.broken(), "") << name << ' ' << row.state;
      EXPECT_EQ(row.dead, 0) << name;
    }
}

TEST(Promise, DitherReadsZeroAsAResidueAndNearestSticks) {
  for (const bool factored : {true, false})
    for (const std::string codec : {"uf8", "uf4"}) {
      const PromiseRow dither = measure_adverse(momentum_in(codec + " dither"), factored, 1),
                       nearest = measure_adverse(momentum_in(codec), factored, 1);
      EXPECT_THAT(dither.broken(), HasSubstr("a zero is not read as zero")) << dither.state;
      EXPECT_THAT(nearest.broken(), HasSubstr("codes outlive their gradients")) << nearest.state;
      EXPECT_EQ(nearest.dead, 0);
    }
}

// A step of the codes is what the second moment in use resolves: without that, one code of a small element is any step.
TEST(Promise, OfOneStoreIsApproachedAndKept) {
  const PromiseRow row = measure_adverse(momentum_in("uf8 stochastic"), true, 1);
  EXPECT_LE(row.reach, 1 + 1e-9);
  EXPECT_GT(row.reach, 0.2);
  EXPECT_GT(row.rms, 0.01);
  EXPECT_LE(row.rms, 1);
}

TEST(Promise, OfAGivenStateCountsItsDeadColumns) {
  Sample sample{"given", "", StateKind::momentum, SampleOrigin::drawn, false, {{}}, {}};
  sample.second_moments = {{}};
  for (int i = 0; i < 1000; ++i) {
    const double m = 1e-3 * std::sin(i + 1.0);
    sample.values[0].push_back(m);
    sample.second_moments[0].push_back(4 * m * m + 1e-12);
  }
  const PromiseRow dither = measure_given(momentum_in("uf8 dither"), sample, 3),
                   stochastic = measure_given(momentum_in("uf8 stochastic"), sample, 3);
  EXPECT_GT(dither.dead, 0);
  EXPECT_EQ(stochastic.dead, 0);
  EXPECT_EQ(stochastic.broken(), "");
}

TEST(Promise, WhatBreaksItIsNotRecommended) {
  RunOptions options;
  options.storages.clear();
  for (const Storage& s : storages())
    if (!s.rival) options.storages.push_back(s);
  Study study;
  for (const Storage& s : options.storages)
    if (s.kind == StateKind::momentum) {
      study.promises.push_back(measure_adverse(s, true, 1));
      StoreRow store{"sample", s.kind, SampleOrigin::drawn, false, s, s.block, 8, {}};
      // what is refused has the smallest errors
      const bool refused = !study.promises.back().broken().empty();
      store.figures.update = {refused ? 1e-6 : 1e-2, 1};
      study.stores.push_back(store);
      AverageRow average{average_scenarios().back(), s, {}};
      average.figures.drift = {refused ? 1e-6 : 1e-2, 1};
      study.averages.push_back(average);
    }
  const auto list = recommend(study);
  ASSERT_EQ(list.size(), 3u);  // 4, 8 and 16 bits
  EXPECT_EQ(list[0].storage, "uf4 stochastic");
  EXPECT_EQ(list[1].storage, "uf8 stochastic");
  EXPECT_THAT(list[2].storage, HasSubstr("bf16"));
  EXPECT_THAT(broken_promise(study, momentum_in("uf8 dither")), HasSubstr("adverse matrix"));
}

TEST(Promise, OfASecondMomentIsThatNothingIsReadAsZero) {
  Study study;
  for (const Storage& s : storages(StateKind::second_moment))
    if (s.name == "al8") {
      StoreRow store{"sample", s.kind, SampleOrigin::drawn, false, s, s.block, 8, {}};
      store.figures.false_zeros = {0, 0};
      store.figures.update = {0.1, 0.2};
      study.stores.push_back(store);
      EXPECT_EQ(broken_promise(study, s), "");
      study.stores[0].figures.false_zeros = {0.01, 1};
      EXPECT_THAT(broken_promise(study, s), HasSubstr("read as zero (sample)"));
      study.stores[0].figures.false_zeros = {0, 0};
      study.stores[0].figures.update.measured = std::nan("");
      EXPECT_THAT(broken_promise(study, s), HasSubstr("larger than the update"));
    }
  ASSERT_EQ(study.stores.size(), 1u);
}

}  // namespace
}  // namespace plumbline::harness::codecs
