#include "harness/codecs/storage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

namespace plumbline::harness::codecs {
namespace {

using reference::Rounding;

std::vector<double> draw(StateKind kind, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> out(3000);
  for (double& v : out) {
    v = 1e-6 * std::exp(2 * normal(random)) * (random() % 9 == 0 ? 0 : 1);
    if (kind == StateKind::momentum && random() % 2 == 0) v = -v;
  }
  return out;
}

TEST(CodecStorage, EveryStorageOfProductionIsStudied) {
  std::set<std::string> names;
  for (const Storage& s : storages())
    if (!s.rival) names.insert(s.name);
  const std::set<std::string> expected{"fp32",
                                       "al8",
                                       "al8 stochastic",
                                       "al8 dither",
                                       "al16",
                                       "al16 stochastic",
                                       "al16 dither",
                                       "log_u8",
                                       "log_u8 stochastic",
                                       "log_u8 dither",
                                       "linear_u8",
                                       "linear_u8 stochastic",
                                       "bf16",
                                       "bf16 stochastic",
                                       "uf8",
                                       "uf8 stochastic",
                                       "uf8 dither",
                                       "uf4",
                                       "uf4 stochastic",
                                       "uf4 dither"};
  EXPECT_EQ(names, expected);
}

TEST(CodecStorage, NamesTellStoragesOfOneKindApart) {
  for (const StateKind kind : {StateKind::second_moment, StateKind::momentum}) {
    std::set<std::string> names;
    for (const Storage& s : storages(kind)) EXPECT_TRUE(names.insert(s.name).second) << s.name;
  }
}

TEST(CodecStorage, BitsCountTheScalesOfABlock) {
  for (const Storage& s : storages()) {
    if (s.name == "al8") {
      EXPECT_EQ(s.bits_per_value(2048), 8 + 64.0 / 2048);
    }
    if (s.name == "uf4") {
      EXPECT_EQ(s.bits_per_value(128), 4.25);
    }
    if (s.name == "bf16") {
      EXPECT_EQ(s.bits_per_value(s.block), 16);
    }
  }
}

// What is read back lies within the interval that the bounds are made of: up to what double rounding moves.
TEST(CodecStorage, StoredValuesLieWithinTheirReach) {
  for (const Storage& s : storages()) {
    const auto values = draw(s.kind, 7);
    const StoredValues stored = store_in_blocks(s, values, 512, {3, 16, 5});
    ASSERT_EQ(stored.decoded.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const double slack = 1e-11 * std::abs(values[i]);
      EXPECT_GE(stored.decoded[i], stored.reach[i].low - slack) << s.name << " " << values[i];
      EXPECT_LE(stored.decoded[i], stored.reach[i].high + slack) << s.name << " " << values[i];
    }
  }
}

TEST(CodecStorage, SeedAndWriteMakeTheDrawAndNothingElse) {
  for (const Storage& s : storages()) {
    const auto values = draw(s.kind, 8);
    const auto once = store_in_blocks(s, values, s.block, {3, 16, 5}).decoded;
    EXPECT_EQ(once, store_in_blocks(s, values, s.block, {3, 16, 5}).decoded) << s.name;
    const bool drawn = s.rounding != Rounding::nearest;
    EXPECT_EQ(once != store_in_blocks(s, values, s.block, {3, 16, 6}).decoded, drawn) << s.name;
    EXPECT_EQ(once != store_in_blocks(s, values, s.block, {4, 16, 5}).decoded, drawn) << s.name;
  }
}

TEST(CodecStorage, ABlockWithAnInfinityReadsBackAsNaNAndItsNeighbourDoesNot) {
  for (const Storage& s : storages()) {
    if (s.scale_words == 0) continue;
    std::vector<double> values(512, 1.0);
    values[3] = std::numeric_limits<double>::infinity();
    const auto decoded = store_in_blocks(s, values, 256, {}).decoded;
    EXPECT_TRUE(std::isnan(decoded[0])) << s.name;
    EXPECT_TRUE(std::isfinite(decoded[256])) << s.name;
  }
}

}  // namespace
}  // namespace plumbline::harness::codecs
