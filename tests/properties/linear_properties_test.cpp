#include "properties/linear_properties.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "harness/linear/case.h"
#include "harness/linear/mutants.h"
#include "harness/subject.h"
#include "properties/linear_cases.h"

namespace plumbline::properties {
namespace {

uint64_t fresh_seed() {
  const uint64_t seed = std::random_device{}();
  fmt::print("seeds from {}\n", seed);
  return seed;
}

TEST(LinearProperties, HoldForTheHostTwin) {
  const auto host = harness::make_subject("host");
  const uint64_t seed = fresh_seed();
  for (const LinearProperty& property : linear_properties())
    for (uint64_t i = 0; i < 20; ++i)
      EXPECT_EQ(property.violation(*host->linear(), seed + i), "") << property.name << ", seed " << seed + i;
}

TEST(LinearProperties, HoldForTheKernels) {
  const auto emulator = harness::make_subject("emulator");
  const uint64_t seed = fresh_seed();
  for (const LinearProperty& property : linear_properties())
    EXPECT_EQ(property.violation(*emulator->linear(), seed), "") << property.name << ", seed " << seed;
}

TEST(LinearProperties, AViolationTurnsTheSectionOfVerifyRed) {
  const auto host = harness::make_subject("host");
  const auto sound = check_linear_properties(*host->linear(), fresh_seed(), 2);
  EXPECT_EQ(sound.size(), linear_properties().size());
  EXPECT_TRUE(describe_linear_properties(sound).green);
  for (const LinearPropertyResult& r : sound) EXPECT_EQ(r.held, 2u) << r.property->name;
  const auto mutants = harness::linear_mutants("host");
  EXPECT_FALSE(
      describe_linear_properties(check_linear_properties(*mutants[0].subject->linear(), fresh_seed(), 10)).green);
}

// Which property is there to notice which mutant.
const std::map<std::string, std::string> kKiller = {
    {"round_half_up", "ties_to_even"},         {"scale_per_tensor", "outlier_channel"},
    {"code_minus_128", "sign_symmetry"},       {"lost_tail", "checksum"},
    {"neighbour_scale", "output_permutation"}, {"neighbour_bias", "output_permutation"},
    {"small_batch_off_by_one", "small_batch"}, {"hidden_nonfinite", "nonfinite_token"},
    {"flushed_subnormals", "fp8_conversion"},  {"shifted_block", "fp8_conversion"}};

TEST(LinearMutants, EachIsKilledByTheNamedPropertyWithinTenTries) {
  const uint64_t seed = fresh_seed();
  const auto mutants = harness::linear_mutants("host");
  EXPECT_EQ(mutants.size(), kKiller.size());
  for (const harness::LinearMutant& mutant : mutants) {
    std::string killers;
    for (const LinearProperty& property : linear_properties()) {
      int tries = 0;
      bool killed = false;
      while (!killed && tries < 10)
        killed = !property.violation(*mutant.subject->linear(), seed + uint64_t(tries++)).empty();
      if (killed) killers += fmt::format(" {}({})", property.name, tries);
    }
    fmt::print("{:<24}{}\n", mutant.name, killers);
    EXPECT_NE(killers.find(" " + kKiller.at(mutant.name) + "("), std::string::npos) << mutant.name << ":" << killers;
  }
}

// The suite itself, without properties: judging generated cases against the reference.
TEST(LinearMutants, EachIsKilledByTheGeneratedCases) {
  const auto problems = generate_linear_problems(fresh_seed(), 400, 1 << 17);
  for (const harness::LinearMutant& mutant : harness::linear_mutants("host")) {
    size_t tries = 0;
    bool killed = false;
    while (!killed && tries < problems.size())
      killed = harness::run_case(problems[tries++], *mutant.subject).verdict == harness::Verdict::fail;
    EXPECT_TRUE(killed) << mutant.name;
    fmt::print("{:<24} killed by case {}\n", mutant.name, tries);
  }
}

TEST(LinearMutants, KernelsObeyTheFaultsToo) {
  const uint64_t seed = fresh_seed();
  for (const harness::LinearMutant& mutant : harness::linear_mutants("emulator"))
    for (const LinearProperty& property : linear_properties()) {
      if (property.name != kKiller.at(mutant.name)) continue;
      bool killed = false;
      for (uint64_t i = 0; i < 10 && !killed; ++i)
        killed = !property.violation(*mutant.subject->linear(), seed + i).empty();
      EXPECT_TRUE(killed) << mutant.name;
    }
}

}  // namespace
}  // namespace plumbline::properties
