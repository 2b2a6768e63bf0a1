#include "harness/ledger.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "harness/case.h"
#include "harness/data.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;

const QuantityResult* find(const CaseResult& result, Quantity quantity) {
  for (const QuantityResult& q : result.quantities)
    if (q.quantity == quantity) return &q;
  return nullptr;
}

TEST(Ledger, DriftOfEveryStorageStaysWithinItsBoundOverFiftySteps) {
  const auto host = make_subject("host");
  for (const char* words : {"storage=fp32", "storage=al8", "storage=linear_u8", "storage=log_u8 data=wide:-6",
                            "storage=fp32 factored=false", "storage=al8 factored=false param=bf16",
                            "storage=fp32 weight_decay=0.5 relative_step=true lr=0.05"}) {
    const Problem p = parse_problem(std::string("shape=64x96 min_quantized_size=1 steps=50 seed=3 ") + words);
    const CaseResult result = run_case(p, *host, {"ledger", true});
    EXPECT_EQ(result.verdict, Verdict::pass) << words << ": " << result.reason;
    const bool factored = p.factored();
    for (const Quantity q :
         {factored ? Quantity::row_drift : Quantity::second_moment_drift, Quantity::parameter_drift}) {
      const QuantityResult* found = find(result, q);
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(found->outside, 0u);
      EXPECT_GT(found->ratios.largest, 0) << to_string(q);
    }
    EXPECT_EQ(result.drift.size(), 50u * (factored ? 3 : 2));
    for (const DriftPoint& point : result.drift) {
      EXPECT_GE(point.step, 1);
      EXPECT_LE(point.step, 50);
      EXPECT_GT(point.bound, 0);
      EXPECT_TRUE(std::isfinite(point.drift + point.quantization + point.bound));
      EXPECT_EQ(point.quantization == 0, p.storage == Storage::fp32 || point.quantity == Quantity::parameter_drift)
          << words;
    }
  }
}

TEST(Ledger, DriftOfCodesIsAttributedToQuantization) {
  const Problem p = parse_problem("shape=64x96 min_quantized_size=1 steps=30 seed=3");
  const CaseResult result = run_case(p, *make_subject("host"), {"ledger", true});
  ASSERT_EQ(result.verdict, Verdict::pass) << result.reason;
  for (const DriftPoint& point : result.drift) {
    if (point.quantity == Quantity::parameter_drift) continue;
    EXPECT_NEAR(point.drift, point.quantization, 1e-3 * point.drift + 1e-6) << point.step;
    EXPECT_GT(point.quantization, 100 * point.bound) << point.step;
  }
}

// A fault of 2^-20 in every row at every step, shown and stored alike.
TEST(Ledger, AFaultThatGrowsSlowlyIsFoundByAtLeastOneComparison) {
  const Problem p = parse_problem("shape=64x96 storage=fp32 steps=50 seed=3");
  const FaultySubject subject([](int64_t step, Observation& now, const Observation&) {
    const float factor = 1 + float(step) * 0x1p-20f;
    for (float& x : *now.row) x *= factor;
    for (SlotState& s : now.state)
      if (s.slot == Slot::row) std::memcpy(s.values.data(), now.row->data(), s.values.size());
  });
  const CaseResult result = run_case(p, subject);
  EXPECT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(result.first_broken, Quantity::row);
}

// The ledger alone, fed by hand: averages that carry a relative excess over the exact ones.
struct Fed {
  Problem problem = parse_problem("shape=16x24 storage=fp32 steps=400 seed=3");
  std::vector<QuantityJudge> judges;
  Fed() {
    for (int q = 0; q < kQuantities; ++q) judges.emplace_back(static_cast<Quantity>(q));
  }

  // `stored`: what a subject keeps after step t of the average `used`, itself exact but for an error of `drift(t)`.
  template <class Drift, class Store>
  void run(double bound, Drift drift, Store store) {
    const DataSource source(problem);
    Realized p, g;
    source.initial_parameter(p);
    Ledger ledger(problem, p.values);
    reference::Optimizer exact = reference::make_plumbline(problem.options, problem.shape);
    reference::StepRecord record;
    Tensor parameter = p.values;
    for (int64_t t = 1; t <= problem.steps; ++t) {
      source.gradient(t, g);
      exact.step(parameter, g.values, &record);
      StepBounds bounds;
      bounds.slot[Slot::row] = Tensor(record.row.shape, record.row.data * bound);
      bounds.slot[Slot::col] = Tensor(record.col.shape, record.col.data * bound);
      bounds.parameter = Tensor(parameter.shape, parameter.data.abs() * 0x1p-24 + 1e-7);
      std::vector<float> row(size_t(record.row.size())), col(size_t(record.col.size()));
      for (size_t i = 0; i < row.size(); ++i) row[i] = float(record.row.data[Eigen::Index(i)] * (1 + drift(t)));
      for (size_t i = 0; i < col.size(); ++i) col[i] = float(record.col.data[Eigen::Index(i)]);
      const Tensor row_stored(
          record.row.shape,
          Eigen::Map<Eigen::ArrayXf>(row.data(), Eigen::Index(row.size())).cast<double>().unaryExpr(store));
      const Tensor col_stored(record.col.shape,
                              Eigen::Map<Eigen::ArrayXf>(col.data(), Eigen::Index(col.size())).cast<double>());
      const SlotView views[] = {{Slot::row, &row_stored, row}, {Slot::col, &col_stored, col}};
      std::vector<std::byte> bytes(size_t(parameter.size()) * 4);
      harness::store(DType::float32, {parameter.data.data(), size_t(parameter.size())}, bytes.data());
      ledger.step(t, g.values, bounds, views, nullptr, bytes, judges, nullptr);
    }
  }
  const QuantityJudge& judge(Quantity q) const { return judges[size_t(q)]; }
};

TEST(Ledger, RoundingWithinTheContractOfEveryStepIsAccepted) {
  Fed fed;
  fed.run(
      0x1p-23, [](int64_t) { return 0.0; }, [](double x) { return x; });
  EXPECT_TRUE(fed.judge(Quantity::row_drift).touched());
  EXPECT_FALSE(fed.judge(Quantity::row_drift).broken());
  EXPECT_FALSE(fed.judge(Quantity::col_drift).broken());
  EXPECT_FALSE(fed.judge(Quantity::parameter_drift).broken());
}

TEST(Ledger, AnExcessThatAddsUpIsFoundInTheDriftOfItsSlotAlone) {
  Fed fed;
  fed.run(
      0x1p-23, [](int64_t t) { return double(t * t) * 0x1p-28; }, [](double x) { return x; });
  EXPECT_TRUE(fed.judge(Quantity::row_drift).broken());
  EXPECT_GT(fed.judge(Quantity::row_drift).first_broken_step(), 4);
  EXPECT_FALSE(fed.judge(Quantity::col_drift).broken());
}

TEST(Ledger, WhatStoringChangesIsNotHeldAgainstTheArithmetic) {
  Fed fed;  // coarse storing: rows to 5 bits; what a step used stays as the exact reference has it
  fed.run(
      0x1p-23, [](int64_t) { return 0.0; },
      [](double x) { return std::ldexp(std::nearbyint(std::ldexp(x, 4 - std::ilogb(x))), std::ilogb(x) - 4); });
  // the exact average does not carry what storing changed before, so the ledger sees the difference
  EXPECT_TRUE(fed.judge(Quantity::row_drift).broken());
  EXPECT_EQ(fed.judge(Quantity::row_drift).first_broken_step(), 2);
}

TEST(Ledger, ABoundThatOverflowsJudgesNothingAndCountsApart) {
  Fed fed;
  fed.problem.steps = 3;
  fed.run(
      1e300, [](int64_t) { return 0.0; }, [](double x) { return x; });
  const QuantityJudge& judge = fed.judge(Quantity::parameter_drift);
  EXPECT_TRUE(judge.touched()) << "and is shown";
  EXPECT_EQ(judge.result().ratios.total(), 0u);
  EXPECT_EQ(judge.result().unbounded, 3u * 16 * 24);
  EXPECT_TRUE(fed.judge(Quantity::row_drift).touched());
  EXPECT_EQ(fed.judge(Quantity::row_drift).result().unbounded, 0u);
}

TEST(Ledger, StopsWhereANanWasLetIn) {
  const Problem p = parse_problem(
      "shape=32x32 storage=al8 min_quantized_size=1 nonfinite=propagate data=nonfinite:-6 steps=6 seed=3");
  const CaseResult result = run_case(p, *make_subject("host"), {"ledger", true});
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  ASSERT_FALSE(result.drift.empty());
  for (const DriftPoint& point : result.drift) EXPECT_EQ(point.step, 1);
}

}  // namespace
}  // namespace plumbline::harness
