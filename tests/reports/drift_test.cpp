#include "reports/drift.h"

#include <gtest/gtest.h>

namespace plumbline::reports {
namespace {

using harness::Quantity;

TEST(Drift, SplitsByQuantityAndSortsBySteps) {
  const auto series = split_drift(
      {{2, Quantity::col_drift, 1, 1, 1}, {2, Quantity::row_drift, 1, 1, 1}, {1, Quantity::col_drift, 1, 1, 1}});
  ASSERT_EQ(series.size(), 2u);
  EXPECT_EQ(series[0].quantity, Quantity::row_drift);
  EXPECT_EQ(series[1].points.front().step, 1);
}

}  // namespace
}  // namespace plumbline::reports
