// The soak's own kernels, on fibers: what it lets pass, what it finds, and where it says that it was.
#include "cuda/diagnostics/soak.h"

#include <gtest/gtest.h>

#include "cuda/diagnostics/sensitivity.h"

namespace plumbline::diagnostics {
namespace {

constexpr uint64_t kBytes = 1 << 16;
constexpr int kIterations = 3;

TEST(Pattern, KnowsItsWordsSum) {
  for (const uint64_t seed : {1, 2, 77})
    for (const Pattern& p : {pattern_of(seed), pattern_of(seed).complement()})
      for (const uint64_t n : {0, 1, 2, 7, 1000, 1001}) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < n; ++i) sum += p.word(i);
        EXPECT_EQ(p.sum(n), sum);
      }
}

TEST(SoakPieces, LetAGoodDevicePass) {
  const auto engine = make_emulated_soak(kBytes, 1);
  const Pattern pattern = pattern_of(5);
  engine->fill(pattern);
  EXPECT_TRUE(engine->reread(pattern, kBytes, 3).good());
  EXPECT_TRUE(engine->exchange(pattern, pattern.complement()).good());
  EXPECT_TRUE(engine->exchange(pattern.complement(), pattern).good());
  EXPECT_TRUE(engine->shared(pattern, 3).good());
  EXPECT_TRUE(engine->arithmetic(9, kIterations, chain_answers(9, kIterations, 2), 2, {}).good());
}

TEST(SoakPieces, FindAFlippedBitAtItsByte) {
  const auto engine = make_emulated_soak(kBytes, 2);
  const Pattern pattern = pattern_of(5);
  engine->fill(pattern);
  constexpr uint64_t kByte = 12345;
  engine->flip(kByte, 6);
  const PieceResult result = engine->exchange(pattern, pattern);
  ASSERT_EQ(result.miscompares, 1u);
  EXPECT_TRUE(result.sum_wrong);
  const Miscompare& word = result.logged.at(0);
  EXPECT_EQ(word.where, kByte / 8 * 8);
  EXPECT_EQ(word.expected, pattern.word(kByte / 8));
  EXPECT_EQ(word.expected ^ word.actual, uint64_t(0x40) << (8 * (kByte % 8)));
  EXPECT_NE(word.address, 0u);
  EXPECT_TRUE(engine->exchange(pattern, pattern).good()) << "the exchange wrote it right again";
}

TEST(SoakPieces, FindAWrongPatternInEveryWord) {
  const auto engine = make_emulated_soak(kBytes, 0);
  engine->fill(pattern_of(1));
  const PieceResult result = engine->reread(pattern_of(2), kBytes, 1);
  EXPECT_EQ(result.miscompares, kBytes / 8);
  EXPECT_EQ(result.logged.size(), size_t(SoakEngine::kLogged));
}

TEST(SoakPieces, FindAWrongResultInItsBlockAndThread) {
  const auto engine = make_emulated_soak(kBytes, 2);
  const std::vector<uint64_t> known = chain_answers(4, kIterations, 1);
  for (const int step : {0, 5, kResident - 1}) {
    const ChainFault fault{ChainFault::Kind::flip, engine->blocks() - 1, 200, kIterations - 1, step, 0};
    const PieceResult result = engine->arithmetic(4, kIterations, known, 1, fault);
    ASSERT_EQ(result.miscompares, 1u) << step;
    EXPECT_EQ(result.logged.at(0).where, uint64_t(engine->blocks() - 1) << 32 | 200u);
    EXPECT_EQ(result.logged.at(0).expected, known[200]);
  }
}

TEST(SoakPieces, FindABlockThatDidNothing) {
  const auto engine = make_emulated_soak(kBytes, 1);
  engine->arithmetic(1, kIterations, chain_answers(1, kIterations, 1), 1, {});
  const PieceResult result = engine->arithmetic(2, kIterations, chain_answers(2, kIterations, 1), 1,
                                                {ChainFault::Kind::dropped_block, 0, 0, 0, 0, 0});
  EXPECT_EQ(result.miscompares, uint64_t(kChainThreads));
}

TEST(Chain, TakesInEveryBitOfEveryStep) {
  const uint64_t right = run_chain<false>(3, 17, 1, false, {});
  for (int step = 0; step < kResident; ++step)
    for (int bit = 0; bit < 32; ++bit) {
      const ChainFault fault{ChainFault::Kind::flip, 0, 17, 0, step, bit};
      EXPECT_NE(run_chain<true>(3, 17, 1, true, fault), right) << step << " " << bit;
    }
  EXPECT_EQ((run_chain<true>(3, 17, 1, false, {})), right);
}

TEST(TensorAnswers, DifferByLaneAndSeed) {
  const std::vector<uint64_t> answers = tensor_answers(1, 4);
  EXPECT_EQ(answers.size(), 32u);
  EXPECT_NE(answers[0], answers[1]);
  EXPECT_NE(answers, tensor_answers(2, 4));
}

TEST(Sensitivity, IsWholeForTheChecksAndNotForATolerance) {
  const auto engine = make_emulated_soak(1 << 18, 1);
  std::vector<float> clean(3000), before(3000);
  for (size_t i = 0; i < clean.size(); ++i) {
    before[i] = 0.5f + float(i) * 0.001f;
    clean[i] = before[i] * 1.00001f;
  }
  uint64_t low_bits = 0, seen = 0;
  for (const SensitivityRow& row : measure_sensitivity(*engine, clean, before, output_hash(clean), 11, 1, 2)) {
    EXPECT_EQ(row.injected, 1u) << row.where << " " << to_string(row.kind) << " " << row.amount;
    EXPECT_EQ(row.caught, row.injected) << row.where << " " << to_string(row.kind) << " " << row.amount;
    const bool low = row.kind == ChainFault::Kind::flip && row.amount < 12;
    if (row.where == "output" && low) ++low_bits;
    if (row.where == "output" && low) seen += row.caught_by_tolerance;
    if (row.where == "output" && row.kind == ChainFault::Kind::flip && row.amount > 22) {
      EXPECT_EQ(row.caught_by_tolerance, 1u);
    }
  }
  EXPECT_EQ(low_bits, 12u);
  EXPECT_EQ(seen, 0u) << "a tolerance of 1e-3 sees no low bit";
}

TEST(Sensitivity, SeesAHashThatIsNotTheTwins) {
  const auto engine = make_emulated_soak(1 << 18, 1);
  const std::vector<float> clean(3000, 1.5f), before(3000, 1.0f);
  engine->load_output(clean, before);
  EXPECT_FALSE(engine->judge_output({}, output_hash(clean)).by_hash);
  EXPECT_FALSE(engine->judge_output({}, output_hash(clean)).by_tolerance);
  EXPECT_TRUE(engine->judge_output({}, output_hash(before)).by_hash);
}

// Only what needs no seconds: one round of a soak is long on fibers, so the plan's time is over after its first pieces.
TEST(Soak, GoesOnNoLongerThanItMay) {
  const auto engine = make_emulated_soak(kBytes, 1);
  SoakPlan plan;
  plan.seconds = 1e-9;
  const SoakResult result = run_soak(*engine, Monitor(""), plan, {}, nullptr, {});
  EXPECT_TRUE(result.good());
  EXPECT_EQ(result.rounds, 0u);
  EXPECT_GT(result.copy_rate, 0);
}

TEST(Monitor, SaysWhyThereAreNoReadings) {
  const Monitor monitor("0000:ff:1f.7");
  EXPECT_NE(monitor.missing(), "");
  EXPECT_FALSE(monitor.read().temperature);
  EXPECT_TRUE(monitor.other_processes().empty());
  EXPECT_EQ(monitor.driver(), "");
}

}  // namespace
}  // namespace plumbline::diagnostics
