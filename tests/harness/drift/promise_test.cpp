#include "harness/drift/promise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/contracts/codes.h"
#include "harness/data.h"
#include "harness/drift/metered.h"
#include "harness/slots.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

using reference::Slot;

// Promises of all slots after the steps of a problem.
std::vector<SlotStaleness> follow(const std::string& words, const Subject& subject) {
  const Problem problem = parse_problem("shape=24x40 min_quantized_size=1 data=wide:-6 steps=300 seed=3 " + words);
  std::vector<SlotStaleness> found;
  const auto metered =
      make_metered(subject, [&](const Problem&, std::vector<SlotStaleness> slots) { found = std::move(slots); });
  const DataSource source(problem);
  Realized x;
  source.initial_parameter(x);
  auto session = metered->start(problem, x.bytes);
  Observation seen;
  for (int64_t t = 1; t <= problem.steps; ++t) {
    source.gradient(t, x);
    session->step(x.bytes, seen);
  }
  session.reset();
  return found;
}

TEST(DriftPromise, IsKeptByEveryStorageAndApproachedByNearest) {
  const auto subject = make_subject("host");
  for (const char* words : {"storage=al8 beta2=0.99", "storage=al16 beta2=0.99", "storage=log_u8 beta2=0.99",
                            "storage=linear_u8 beta2=0.99", "storage=al8 beta2=0.99 factored=false"}) {
    const auto slots = follow(words, *subject);
    ASSERT_FALSE(slots.empty()) << words;
    for (const SlotStaleness& s : slots) {
      EXPECT_TRUE(s.promise.kept()) << words << ' ' << s.promise.worst;
      EXPECT_GT(s.promise.worst, 0.5) << words;  // signs are kept for some steps at least
      EXPECT_LE(s.promise.stored, s.promise.allowed) << words;
      EXPECT_TRUE(std::isnan(s.promise.expected)) << words;
    }
  }
}

TEST(DriftPromise, OfRandomRoundingsIsARandomWalk) {
  const auto subject = make_subject("host");
  for (const char* words : {"storage=al8 rounding=stochastic beta2=0.99", "storage=al16 rounding=dither beta2=0.99",
                            "beta1=0.9 momentum_storage=uf8 momentum_rounding=stochastic beta2=0.99"})
    for (const SlotStaleness& s : follow(words, *subject)) {
      if (std::isnan(s.promise.expected)) continue;
      EXPECT_TRUE(s.promise.kept()) << words << ' ' << s.promise.worst << ' ' << s.promise.bias;
      EXPECT_GT(s.promise.stored, 0.3 * s.promise.expected) << words;
      EXPECT_LT(s.promise.stored, 3 * s.promise.expected) << words;
      EXPECT_LT(s.promise.expected, s.promise.allowed) << words;
    }
}

// Codes that a store could have, and never rounds down to.
TEST(DriftPromise, ABiasIsSeenThoughEveryCodeIsANeighbour) {
  const Arithmetic arithmetic = make_subject("host")->start(Problem{}, std::vector<std::byte>(4 * 4096))->arithmetic();
  const FaultySubject upwards([&](int64_t, Observation& now, const Observation&) {
    for (SlotState& slot : now.state) {
      if (slot.slot != Slot::row && slot.slot != Slot::col) continue;
      const auto& used = slot.slot == Slot::row ? *now.row : *now.col;
      DecodedSlot decoded;
      decode_slot(slot, arithmetic, {1, slot.count}, decoded, 3);
      for (size_t i = 0; i < used.size(); ++i)
        if (decoded.values.data[Eigen::Index(i)] < double(used[i]) && slot.values[i] != std::byte{255})
          slot.values[i] = std::byte(int(slot.values[i]) + 1);
    }
  });
  for (const SlotStaleness& s : follow("storage=al8 rounding=stochastic beta2=0.99", upwards)) {
    EXPECT_LE(s.promise.worst, 1);
    EXPECT_GT(s.promise.bias, 1);
    EXPECT_FALSE(s.promise.kept());
  }
}

TEST(DriftPromise, ACellMoreThanPromisedIsSeen) {
  const FaultySubject off([](int64_t step, Observation& now, const Observation&) {
    for (SlotState& slot : now.state)
      if (step > 100 && slot.values[5] > std::byte{2}) slot.values[5] = std::byte(int(slot.values[5]) - 2);
  });
  for (const SlotStaleness& s : follow("storage=al8 beta2=0.99", off)) EXPECT_GT(s.promise.worst, 1);
}

}  // namespace
}  // namespace plumbline::harness
