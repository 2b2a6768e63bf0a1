// Strangers' libraries as subjects: what is sound passes, what misbehaves costs its case and nothing else.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "harness/error.h"
#include "harness/family.h"
#include "harness/live/case.h"
#include "harness/live/mutants.h"
#include "harness/live/suite.h"

namespace plumbline::harness::live {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

LiveSubject library(const std::string& path, double seconds = 20) { return {path, {{seconds, 20}, ""}}; }

// Sets what the misbehaving library does for as long as it lives.
class Misbehaviour {
 public:
  explicit Misbehaviour(const char* name) { ::setenv("PLUMBLINE_MISBEHAVE", name, 1); }
  ~Misbehaviour() { ::unsetenv("PLUMBLINE_MISBEHAVE"); }
};

const LiveProblem kBad = parse_live_problem("live dialect=torch shape=3 steps=2 seed=7");
const LiveProblem kGood = parse_live_problem("live dialect=torch shape=4x3 steps=2 seed=7");

struct Bad {
  const char* name;
  Verdict verdict;
  const char* reason;
};

class Misbehaving : public testing::TestWithParam<Bad> {};

TEST_P(Misbehaving, CostsItsCaseAndNothingElse) {
  const Misbehaviour set(GetParam().name);
  const auto subject = library(MISBEHAVING, 1);
  const CaseResult bad = run_live_case(kBad, subject);
  EXPECT_EQ(bad.verdict, GetParam().verdict) << bad.reason;
  EXPECT_THAT(bad.reason, HasSubstr(GetParam().reason));
  EXPECT_THAT(bad.reason, testing::Not(HasSubstr("\n")));
  const CaseResult good = run_live_case(kGood, subject);
  EXPECT_EQ(good.verdict, GetParam().verdict == Verdict::error && bad.reason.find("state()") != std::string::npos
                              ? Verdict::error
                              : Verdict::pass)
      << good.reason;
}

INSTANTIATE_TEST_SUITE_P(
    Ways, Misbehaving,
    testing::Values(Bad{"crash", Verdict::error, "crashed in step 2: signal 11"},
                    Bad{"abort", Verdict::error, "crashed in step 2: signal 6"},
                    Bad{"hang", Verdict::error, "no answer in step 2 within 1 s"},
                    Bad{"exit", Verdict::error, "exited in step 2 with code 0"},
                    Bad{"before", Verdict::error, "wrote outside: 4 bytes before parameter 'w' in step 2"},
                    Bad{"earlier", Verdict::error, "wrote to where parameter 'w' was in the step before in step 2"},
                    Bad{"gradient", Verdict::error, "wrote to the gradient 'w' in step 2"},
                    Bad{"talk", Verdict::error, "endless output in step 2"},
                    Bad{"print", Verdict::error, "wrote to standard output in step 2: 'step 2'"},
                    Bad{"throw", Verdict::error, "the library threw: no luck"},
                    Bad{"fail", Verdict::error, "step() failed: out of luck"},
                    Bad{"status", Verdict::error, "step() returned 7: expected 0, 1 or 2"},
                    Bad{"bytes", Verdict::error, "state(): variance has 4 bytes: its shape and type need 12"},
                    Bad{"type", Verdict::error, "state(): variance has type 99: unknown"},
                    Bad{"count", Verdict::error, "state(): 1073741824 arrays"},
                    Bad{"flaky", Verdict::fail, "flaky: 3 runs of the case left 3 different results"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(LiveSubject, StateOfAWrongSizeIsAnErrorOfItsCase) {
  const Misbehaviour set("size");
  const CaseResult result = run_live_case(kBad, library(MISBEHAVING));
  EXPECT_EQ(result.verdict, Verdict::error);
  EXPECT_THAT(result.reason, HasSubstr("variance"));
}

TEST(LiveSubject, ALibraryOfAnOlderHeaderWorks) {
  const Misbehaviour set("oldest");  // its table ends with finish(): it shows no state
  const CaseResult result = run_live_case(kGood, library(MISBEHAVING));
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  EXPECT_THAT(result.options, testing::Contains(testing::Field(&CaseResult::OptionUse::value, "state=carried")));
}

struct Refused {
  const char* name;
  const char* why;
};
class Refusal : public testing::TestWithParam<Refused> {};

TEST_P(Refusal, IsOneLine) {
  const Misbehaviour set(GetParam().name);
  try {
    library(MISBEHAVING);
    FAIL() << "was taken";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr(GetParam().why));
    EXPECT_THAT(e.what(), testing::Not(HasSubstr("\n")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Refusal,
    testing::Values(Refused{"abi", "version 2 of the subject ABI: this worker knows version 1"},
                    Refused{"short", "plumbline_subject_v1 of 16 bytes"}, Refused{"null", "returned null"},
                    Refused{"no json", "describe(): 'torch, please': expected a JSON object"},
                    Refused{"contradiction", "rank: [3,1]: nothing lies between"},
                    Refused{"unknown dialect", "peer sgd: unknown, known: "},
                    Refused{"unknown option", "option momentum: unknown, known: lr, beta2_decay, eps"},
                    Refused{"unknown member", "types: unknown, known: name, dialect"},
                    Refused{"print at start", "wrote to standard output while it was loaded: 'hello'"},
                    Refused{"empty", "names no dialect: give --dialect"}),
    [](const auto& one) {
      std::string name = one.param.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST(LiveSubject, WhatIsNoLibraryIsRefusedInOneLine) {
  EXPECT_THROW(library("./nowhere.so"), InputError);
  EXPECT_THROW(library("/etc/hostname"), InputError);
  try {
    library("/lib/x86_64-linux-gnu/libz.so.1");
    FAIL() << "was taken";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("exports no symbol plumbline_subject"));
  }
}

TEST(LiveProblem, PrintsAndParsesItself) {
  for (
      const char* line :
      {"live dialect=torch shape=1x3 steps=2 seed=7", "live dialect=torch shape=scalar steps=1 seed=1",
       R"(live dialect=torch shape=4x5 options={"eps":[null,0.1],"lr":0.5} from=3x0 param=bf16 grad=bf16 data=wide exponent=-10 param_exponent=0 steps=2 seed=18446744073709551615)"}) {
    EXPECT_EQ(to_string(parse_any_problem(line)), line);
    EXPECT_STREQ(family_of(parse_any_problem(line)), "live");
  }
  for (const char* line :
       {"live shape=3", "live dialect=torch", "live dialect=torch shape=0x3", "live dialect=sgd shape=3",
        "live dialect=torch shape=3 options={", "live dialect=torch shape=3 options={\"momentum\":1}",
        "live dialect=torch shape=3 from=1x1", "live dialect=torch shape=3 shape=3",
        "live dialect=torch shape=3 colour=red", "live dialect=torch shape=3 steps=0"})
    EXPECT_THROW(parse_any_problem(line), InputError) << line;
}

TEST(LiveData, OfASmallerTensorArePartOfALargerOnes) {
  LiveProblem large = parse_live_problem("live dialect=torch shape=7x9 steps=3 seed=5");
  for (int k = 0; k < kLiveRegimes; ++k) {
    large.regime = static_cast<LiveRegime>(k);
    LiveProblem part = large;
    part.shape = {3, 2};
    part.from = {2, 6};
    for (const int64_t t : {1, 2, 3}) {
      const auto whole = gradient_of(large, t).values, cut = gradient_of(part, t).values;
      for (int64_t i = 0; i < 3; ++i)
        for (int64_t j = 0; j < 2; ++j)
          EXPECT_EQ(cut.data[i * 2 + j], whole.data[(i + 2) * 9 + j + 6]) << to_string(large.regime);
    }
    EXPECT_EQ(initial_parameter(part).values.data[3], initial_parameter(large).values.data[3 * 9 + 7]);
  }
}

// Runs a suite over the cases that it plans, in order.
Section run_suite(LiveSuite& suite, const LiveSubject& subject, int& red, int& skipped) {
  const CasePlan plan = suite.plan();
  for (size_t k = 0; k < plan.size(); ++k) {
    const CaseResult result = run_case(plan[k].problem, subject);
    red += is_red(result.verdict);
    skipped += result.verdict == Verdict::skipped;
    suite.on_case(result);
  }
  return suite.describe(true);
}

TEST(LiveSuite, ASoundLibraryIsGreenAndEveryOptionProved) {
  const auto subject = library(SOUND);
  LiveSuite suite(subject, 200, 1);
  int red = 0, skipped = 0;
  const Section section = run_suite(suite, subject, red, skipped);
  EXPECT_EQ(red, 0);
  EXPECT_EQ(skipped, 0);
  EXPECT_TRUE(section.green);
  ASSERT_EQ(section.tables.front().caption, "Options");
  EXPECT_GE(section.tables.front().rows.size(), 12u);
  for (const auto& row : section.tables.front().rows)
    EXPECT_THAT(std::get<std::string>(row[3]), StartsWith("live dialect=torch"))
        << std::get<std::string>(row[0]) << "=" << std::get<std::string>(row[1]);
}

#ifdef RUST
TEST(LiveSuite, ARustLibraryIsGreen) {
  const auto subject = library(RUST);
  LiveSuite suite(subject, 60, 1);
  int red = 0, skipped = 0;
  run_suite(suite, subject, red, skipped);
  EXPECT_EQ(red, 0);
  EXPECT_EQ(skipped, 0);
}
#endif

TEST(LiveSuite, AFaultyLibraryIsRedAndShrinks) {
  const auto subject = library(FAULTY);
  LiveSuite suite(subject, 40, 1);
  int red = 0, skipped = 0;
  const Section section = run_suite(suite, subject, red, skipped);
  EXPECT_GT(red, 5);
  const Table& small = section.tables.back();
  ASSERT_EQ(small.caption, "Smallest reproductions");
  bool column_found = false;
  for (const auto& row : small.rows) {
    if (std::get<std::string>(row[0]) != "col") continue;
    column_found = true;
    EXPECT_LE(std::get<int64_t>(row[1]), 4);
    EXPECT_EQ(std::get<int64_t>(row[2]), 1);
    const CaseResult again = run_case(parse_any_problem(std::get<std::string>(row[3])), subject);
    EXPECT_EQ(again.verdict, Verdict::fail);
    EXPECT_EQ(again.first_broken, Quantity::col);
  }
  EXPECT_TRUE(column_found);
}

TEST(LiveSuite, AnEmptyDeclarationIsFoundByAsking) {
  const LiveSubject subject(MISBEHAVING, {});  // says its dialect alone; takes float32
  const LivePlan plan(subject, 60, 1);
  for (const LiveProblem& p : plan.problems()) EXPECT_EQ(p.parameter, DType::float32);
  EXPECT_THAT(plan.left_out(), testing::Contains(testing::Field(&LeftOut::why, HasSubstr("float32 only"))));
}

TEST(LiveMutants, OfTheSoundLibraryAreNoticed) {
  const auto subject = library(SOUND);
  const LivePlan plan(subject, 80, 1);
  const auto kills = run_live_mutants(subject, plan, {});
  int noticed = 0, by_allclose = 0;
  for (const LiveKill& kill : kills) {
    const bool small = kill.fault.find("2^-23") != kill.fault.npos && kill.fault.find(" 64*") == kill.fault.npos;
    EXPECT_TRUE(kill.killed || small || !kill.changes) << kill.fault;
    noticed += kill.killed;
    by_allclose += kill.killed && kill.allclose;
  }
  EXPECT_GE(noticed, 12);
  EXPECT_LT(by_allclose, noticed);
}

}  // namespace
}  // namespace plumbline::harness::live
