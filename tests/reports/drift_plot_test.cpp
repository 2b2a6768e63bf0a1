#include "reports/drift_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using harness::DriftPoint;
using harness::Quantity;
using testing::HasSubstr;
using testing::Not;

std::string path(const samples::Element& figure, const std::string& curve) {
  for (const auto* p : figure.all("path")) {
    if (p->attributes.at("class") == curve) return p->attributes.at("d");
  }
  return {};
}

TEST(DriftPlot, SplitsByQuantityAndSortsBySteps) {
  const auto series = split_drift(
      {{2, Quantity::col_drift, 1, 1, 1}, {2, Quantity::row_drift, 1, 1, 1}, {1, Quantity::col_drift, 1, 1, 1}});
  ASSERT_EQ(series.size(), 2u);
  EXPECT_EQ(series[0].quantity, Quantity::row_drift);
  EXPECT_EQ(series[1].points.front().step, 1);
}

TEST(DriftPlot, PutsLargerValuesHigher) {
  const DriftSeries series{Quantity::row_drift,
                           {{1, Quantity::row_drift, 1e-6, 1e-7, 1e-2}, {2, Quantity::row_drift, 1e-2, 1e-7, 1e-2}}};
  const auto figure = samples::parse_xml(plot_drift(series));
  EXPECT_EQ(path(figure, "drift"), "M44.0 120.0h0L312.0 8.0");
  EXPECT_EQ(path(figure, "bound"), "M44.0 8.0h0L312.0 8.0");
}

TEST(DriftPlot, LeavesGapsWhereThereIsNothingToDraw) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  DriftSeries series{Quantity::row_drift, {}};
  for (const double drift : {1.0, nan, 1.0, 0.0, inf, 10.0}) {
    series.points.push_back({static_cast<int64_t>(series.points.size()), Quantity::row_drift, drift, 0, nan});
  }
  const auto figure = samples::parse_xml(plot_drift(series));
  const std::string drawn = path(figure, "drift");
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 'M'), 3);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 'L'), 0);
  EXPECT_THAT(drawn, Not(HasSubstr("n")));
  EXPECT_EQ(path(figure, "quantization"), "");
}

TEST(DriftPlot, ThinsALongTrainingAndKeepsItsLastStep) {
  DriftSeries series{Quantity::row_drift, {}};
  for (int64_t step = 1; step <= 5000; ++step) {
    series.points.push_back({step, Quantity::row_drift, step == 5000 ? 1.0 : 1e-3, 0, 0});
  }
  const std::string drawn = path(samples::parse_xml(plot_drift(series)), "drift");
  EXPECT_LE(std::count(drawn.begin(), drawn.end(), 'L'), 100);
  EXPECT_THAT(drawn, testing::EndsWith("L312.0 8.0"));
}

TEST(DriftPlot, SaysWhenAllIsZeroOrNothingFinite) {
  EXPECT_THAT(plot_drift({Quantity::row_drift, {{1, Quantity::row_drift, 0, 0, 0}}}), HasSubstr("zero at every step"));
  EXPECT_THAT(plot_drift({Quantity::row_drift, {{1, Quantity::row_drift, std::nan(""), 0, 0}}}),
              HasSubstr("nothing finite"));
}

}  // namespace
}  // namespace plumbline::reports
