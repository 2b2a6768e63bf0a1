#include "harness/drift/study.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <variant>

#include "harness/error.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

Variant stored_as(std::string_view words) {
  return {std::string(words), parse_problem(std::string("min_quantized_size=1 storage=") + std::string(words))};
}

TEST(OpenLoop, EveryStorageStaysWithinItsLedgerBeyondTheEndOfTheRecording) {
  const auto subject = make_subject("host");
  const Variant variants[] = {stored_as("fp32"), stored_as("al8"), stored_as("log_u8"), stored_as("linear_u8")};
  int done = 0;
  const auto runs = run_open_loop("digits_cnn", variants, *subject, 210, [&] { ++done; });
  ASSERT_EQ(runs.size(), 24u);
  EXPECT_EQ(done, 24);
  for (const OpenLoopRun& run : runs) {
    EXPECT_EQ(run.result.verdict, Verdict::pass) << run.result.line << ": " << run.result.reason;
    EXPECT_EQ(run.result.steps, 210);
    EXPECT_EQ(run.staleness.empty(), run.label == "fp32") << run.label;
  }
  const Section section = describe_open_loop("digits_cnn", 210, runs);
  EXPECT_TRUE(section.green);
  ASSERT_EQ(section.tables.size(), 2u);
  EXPECT_EQ(section.tables[1].rows.size(), 3u * 3u);  // of storages with codes, slots alone
  for (const auto& row : section.tables[1].rows) EXPECT_EQ(row.size(), section.tables[1].columns.size());
  EXPECT_EQ(section.tables[0].rows.size(), 4u * 4u);  // storages x (row, col, second moment, parameter)
  for (const auto& row : section.tables[0].rows) {
    EXPECT_EQ(row.size(), section.tables[0].columns.size());
    const double drift = std::get<double>(row[3]), ratio = std::get<double>(row[5]);
    EXPECT_LE(ratio, 1) << std::get<std::string>(row[0]) << ' ' << std::get<std::string>(row[1]);
    if (std::get<std::string>(row[0]) == "fp32")
      EXPECT_LT(drift, 1e-5);
    else
      EXPECT_GT(drift, 1e-4);
  }
  EXPECT_EQ(section.charts.size(), 5u);
}

TEST(OpenLoop, TheShareOfFrozenCodesIsTheOnePredictedWhereScalesHoldStill) {
  // log_u8: lo is fixed, and what hi moves by spreads over 255 codes
  const auto subject = make_subject("host");
  const Variant variant = stored_as("log_u8");
  double frozen = 0, predicted = 0, steps = 0;
  for (const OpenLoopRun& run : run_open_loop("digits_cnn", {&variant, 1}, *subject, 400))
    for (const SlotStaleness& slot : run.staleness)
      for (const StalenessWindow& w : slot.windows) {
        frozen += w.frozen * double(w.last - w.first);
        predicted += w.predicted_frozen * double(w.last - w.first);
        steps += double(w.last - w.first);
      }
  EXPECT_GT(frozen / steps, 0.5);
  EXPECT_NEAR(frozen / steps, predicted / steps, 0.05);
}

TEST(OpenLoop, ASubjectThatStoresAStaleAverageTurnsTheSectionRed) {
  const FaultySubject faulty([](int64_t step, Observation& now, const Observation& before) {
    if (step < 5) return;
    for (size_t i = 0; i < now.state.size(); ++i) now.state[i] = before.state[i];
  });
  const Variant variant = stored_as("fp32");
  const auto runs = run_open_loop("digits_cnn", {&variant, 1}, faulty, 8);
  EXPECT_FALSE(describe_open_loop("digits_cnn", 8, runs).green);
}

TEST(OpenLoop, AnUnknownTraceIsAnInputError) {
  const auto subject = make_subject("host");
  const Variant variant = stored_as("fp32");
  EXPECT_THROW(run_open_loop("no_such_trace", {&variant, 1}, *subject, 5), InputError);
}

TEST(ClosedLoopSection, ShowsAnIntervalForEveryStorage) {
  ClosedLoop loop;
  loop.training = "net";
  loop.steps = {0, 10};
  for (const char* label : {"double", "al8"}) {
    ClosedLoopCurve curve;
    curve.label = label;
    curve.loss = {{2.0, 0.0}, {1.0, 0.25}};
    curve.apart = {{0.0, 0.0}, {0.5, 0.1}};
    curve.final_loss = {1.0, 0.25};
    curve.loss_difference = {0.02, 0.01};
    curve.verdict.red = false;
    loop.curves.push_back(curve);
  }
  const Section section = describe_closed_loop(loop, 3);
  ASSERT_EQ(section.tables[0].rows.size(), 2u);
  EXPECT_EQ(std::get<std::string>(section.tables[0].rows[1][1]), "1 ± 0.25");
  EXPECT_EQ(std::get<std::string>(section.tables[0].rows[1][2]), "2 % ± 1 %");
  EXPECT_TRUE(section.green);
  loop.curves[1].verdict.red = true;
  EXPECT_FALSE(describe_closed_loop(loop, 3).green);
  ASSERT_EQ(section.charts.size(), 2u);
  EXPECT_EQ(section.charts[0].series.size(), 2u);
  EXPECT_EQ(section.charts[0].series[1].low[1], 0.75);
}

}  // namespace
}  // namespace plumbline::harness
