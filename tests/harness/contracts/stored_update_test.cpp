#include "harness/contracts/stored_update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/case.h"
#include "harness/contracts/codes.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
using reference::Vector;

Arithmetic production() {
  return make_subject("host")->start(Problem{}, std::vector<std::byte>(size_t(4 * 64 * 64)))->arithmetic();
}

// One block of uf8 codes to nearest: 127 steps of 1.
SlotState momentum_codes(const std::vector<int>& codes) {
  SlotState slot;
  slot.slot = Slot::momentum;
  slot.storage = Storage::uf8;
  slot.block = 256;
  slot.writes = 1;
  slot.count = slot.matrix = slot.row = int64_t(codes.size());
  slot.scales = {127};
  for (const int c : codes) slot.values.push_back(std::byte(uint8_t(c)));
  return slot;
}

QuantityJudge judge_momentum(const std::vector<float>& used, const std::vector<int>& codes, double unit, double worth,
                             StoredUpdate& sum) {
  const auto n = Eigen::Index(used.size());
  QuantityJudge judge(Quantity::update_stored);
  Tensor stored({n});
  for (Eigen::Index i = 0; i < n; ++i) stored.data[i] = codes[size_t(i)];
  const MomentumUnits units{Vector::Constant(n, unit), Vector::Constant(n, 0.5), Vector::Constant(n, worth)};
  judge_stored_momentum(1, momentum_codes(codes), production(), 1, used, stored, Vector::Constant(n, 1), units, judge,
                        sum);
  return judge;
}

TEST(StoredMomentum, IsWithinHalfAStepToNearest) {
  StoredUpdate sum;
  const QuantityJudge good = judge_momentum({127, 3.25f, -0.4f}, {127, 3, 0}, 0.5, 1, sum);
  EXPECT_FALSE(good.broken());
  EXPECT_NEAR(good.result().ratios.largest, 0.8, 1e-3);  // 0.4 of half a step
  EXPECT_EQ(sum.elements, 3u);
  EXPECT_EQ(sum.lifted, 3u);
  EXPECT_NEAR(sum.largest, 127 * 0.5, 1e-9);  // against what V would give that is not raised: half of it is left
  EXPECT_TRUE(judge_momentum({127, 3.25f, -0.4f}, {127, 4, 0}, 0.5, 1, sum).broken());
}

// What subject and reference agree on, and nobody promised.
TEST(StoredMomentum, AStepMayNotBeWorthMoreThanIsPromised) {
  StoredUpdate sum;
  EXPECT_FALSE(judge_momentum({127, 3, 0}, {127, 3, 0}, 1, 1, sum).broken());
  EXPECT_TRUE(judge_momentum({127, 3, 0}, {127, 3, 0}, 1.01, 1, sum).broken());
  EXPECT_TRUE(judge_momentum({127, 3, 0}, {127, 3, 0}, 1, 0.5, sum).broken());
}

TEST(StoredMomentum, OfFactorsAStepIsWorthGamma) {
  // a column of small steps: C is raised to their mean square, and the largest of them is worth more than one
  const Tensor row{{1, 2}, Vector::Constant(2, 4.0)}, col{{1, 2}, Vector::Constant(2, 4.0)};
  Vector q(4);
  q << 1, 1, 3, 1;
  MomentumUnits units;
  promise_factored(q, 2, row, col, Vector::Constant(1, 4.0), units);
  // column 0: mean of (2 q)^2 is 20; row 1: 20
  EXPECT_NEAR(units.worth[2], 6 / std::sqrt(20.0), 1e-12);
  EXPECT_NEAR(units.worth[0], 2 / std::sqrt(20.0), 1e-12);
  EXPECT_NEAR(units.worth[1], 1, 1e-12);
}

TEST(StoredAverage, IsNeverReadAsZero) {
  SlotState slot;
  slot.slot = Slot::row;
  slot.storage = Storage::linear_u8;
  slot.block = 64;
  slot.writes = 1;
  slot.count = slot.matrix = 3;
  slot.scales = {255};
  slot.values = {std::byte{255}, std::byte{2}, std::byte{0}};
  const std::vector<float> used{255, 1.6f, 0.1f};
  const auto judged = [&](double third) {
    QuantityJudge judge(Quantity::update_stored);
    StoredUpdate sum;
    Tensor stored({1, 3});
    stored.data << 255, 2, third;
    judge_stored_average(1, slot, production(), 1, used, stored, judge, sum);
    return judge;
  };
  EXPECT_FALSE(judged(0.5).broken());
  EXPECT_TRUE(judged(0).broken());
  // 0.1 in codes of 1 is read as 0.5: what the update loses, 1 - sqrt(0.1/0.5) = 0.553, is the most that it may gain
  EXPECT_FALSE(judged(0.2).broken());  // loses 0.293
  EXPECT_TRUE(judged(0.51).broken());  // loses 0.557
  EXPECT_TRUE(judged(0.04).broken());  // gains 0.581
}

TEST(UpdateStored, IsJudgedInEveryCaseWithStoredState) {
  const auto subject = make_subject("host");
  for (const char* words :
       {"storage=al8", "storage=linear_u8 factored=false", "storage=fp32 momentum_storage=uf4 beta1=0.9",
        "storage=log_u8 beta1=0.9 momentum_storage=bf16 data=wide:-6",
        "storage=al8 beta1=0.9 beta2=0.99 data=outlier:-6 momentum_storage=uf8",
        "storage=fp32 momentum_storage=uf4 beta1=0.9 data=zero_cols:-6 factored=false",
        "storage=fp32 beta1=0.5 momentum_of=update momentum_storage=uf8 data=rare_rows:-6"}) {
    const CaseResult result =
        run_case(parse_problem(std::string("shape=33x40 min_quantized_size=1 steps=5 seed=4 ") + words), *subject);
    EXPECT_EQ(result.verdict, Verdict::pass) << words << ": " << result.reason;
    const auto found = std::find_if(result.quantities.begin(), result.quantities.end(),
                                    [](const QuantityResult& q) { return q.quantity == Quantity::update_stored; });
    ASSERT_NE(found, result.quantities.end()) << words;
    EXPECT_GT(found->ratios.largest, 0.5) << words;
    EXPECT_FALSE(result.stored_updates.empty()) << words;
  }
  const CaseResult none = run_case(parse_problem("shape=33x40 storage=fp32 steps=2 seed=4"), *subject);
  EXPECT_TRUE(none.stored_updates.empty());
}

}  // namespace
}  // namespace plumbline::harness
