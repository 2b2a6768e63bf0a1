#include "harness/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace plumbline::harness {
namespace {

const std::vector<std::string> kCommands = {"verify", "case", "judge", "compare", "codecs", "mutants", "merge"};

TEST(Suggest, FindsWhatWasMeant) {
  EXPECT_EQ(closest("verfiy", kCommands), "verify");  // neighbours swapped: one edit
  EXPECT_EQ(closest("verif", kCommands), "verify");
  EXPECT_EQ(closest("comparee", kCommands), "compare");
  EXPECT_EQ(closest("codec", kCommands), "codecs");
  EXPECT_EQ(closest("mutent", kCommands), "mutants");
  EXPECT_EQ(did_you_mean("jugde", kCommands), "; did you mean 'judge'?");
}

TEST(Suggest, SaysNothingWhereNothingIsNear) {
  EXPECT_EQ(closest("frobnicate", kCommands), "");
  EXPECT_EQ(closest("", kCommands), "");
  EXPECT_EQ(closest("x", kCommands), "");
  EXPECT_EQ(did_you_mean("hardware", kCommands), "");
  EXPECT_EQ(closest("verify", {}), "");
}

}  // namespace
}  // namespace plumbline::harness
