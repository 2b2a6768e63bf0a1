#include "properties/property.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "harness/error.h"
#include "harness/ways.h"
#include "properties/problems.h"
#include "tests/harness/faulty.h"

namespace plumbline::properties {
namespace {

using harness::FaultySubject;
using harness::Observation;
using harness::Problem;
using Outcome = PropertyResult::Outcome;

uint64_t fresh_seed() {
  const uint64_t seed = std::random_device{}();
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

class EveryProperty : public testing::TestWithParam<std::string> {};
std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Property& p : all_properties()) out.push_back(p.name);
  return out;
}
INSTANTIATE_TEST_SUITE_P(All, EveryProperty, testing::ValuesIn(names()), [](const auto& one) { return one.param; });

TEST_P(EveryProperty, HoldsForTheHostTwin) {
  const auto subject = harness::make_subject("host");
  const uint64_t seed = fresh_seed();
  const PropertyResult result = check_property(find_property(GetParam()), *subject, seed, 25);
  EXPECT_EQ(result.outcome, Outcome::held) << "seed " << seed << "\n" << result.counterexample;
  EXPECT_EQ(result.cases, 25);
}

// A fault, and a property that has to see it.
struct Fault {
  const char* name;
  const char* property;
  FaultySubject::Corrupt corrupt;
  FaultySubject::Alter alter;
};

void add_to_parameter(Observation& now, size_t index, float by) {
  float p;
  std::memcpy(&p, now.parameter.data() + 4 * index, 4);
  p += by;
  std::memcpy(now.parameter.data() + 4 * index, &p, 4);
}

const Fault kFaults[] = {
    {"RowsOfANeighbour",
     "row_permutation",
     [](int64_t, Observation& now, const Observation&) {
       if (now.row && now.row->size() > 1) std::swap(now.row->front(), now.row->back());
     },
     {}},
    {"NoClip", "clip", {}, [](Problem& p) { p.options.clip = 0; }},
    {"ScheduleWithoutCap", "step_size", {}, [](Problem& p) { p.options.relative_step = false; }},
    {"NoDecay", "decay_alone", {}, [](Problem& p) { p.options.weight_decay = 0; }},
    {"EpsOfAnotherSize", "scaling", {}, [](Problem& p) { p.options.eps1 = 0x1p-12; }},
    {"BetaForOneMinusBeta",
     "average_hull",
     [](int64_t step, Observation& now, const Observation& before) {
       if (step > 1 && now.row && before.row)
         for (size_t i = 0; i < now.row->size(); ++i) (*now.row)[i] += (*before.row)[i];
       if (step > 1 && now.second_moment && before.second_moment)
         for (size_t i = 0; i < now.second_moment->size(); ++i) (*now.second_moment)[i] += (*before.second_moment)[i];
     },
     {}},
    {"StepTakenInSpiteOfSkip",
     "nonfinite_skip",
     {},
     [](Problem& p) { p.options.nonfinite = reference::Nonfinite::zero; }},
    {"NanNotZeroed", "nonfinite_zero", {}, [](Problem& p) { p.options.nonfinite = reference::Nonfinite::propagate; }},
    {"NoEps",
     "agreement",
     {},
     [](Problem& p) {
       p.options.beta2 = 0.5;
       p.options.beta2_decay = -0.8;
     }},
    {"OneElementOff",
     "dyadic",
     [](int64_t, Observation& now, const Observation&) {
       if (now.parameter.size() > 16) add_to_parameter(now, now.parameter.size() / 4 - 1, 0x1p-4f);
     },
     {}},
    {"RoundedTowardsOneSide",
     "sign_symmetry",
     [](int64_t, Observation& now, const Observation&) {
       if (now.parameter.size() % 4 == 0) add_to_parameter(now, 0, 0x1p-10f);
     },
     {}},
};

class Faults : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(All, Faults, testing::ValuesIn(kFaults), [](const auto& one) { return one.param.name; });

TEST_P(Faults, AreSeenAndShrunk) {
  const FaultySubject subject(GetParam().corrupt, GetParam().alter);
  const PropertyResult result = check_property(find_property(GetParam().property), subject, fresh_seed(), 200);
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_NE(result.counterexample.find("shape="), std::string::npos) << result.counterexample;
}

// The host twin, except that one way to run it takes other steps.
class OneWayOff final : public harness::Subject, public harness::OffersWays {
 public:
  explicit OneWayOff(harness::Way off) : off_(off) {}
  std::string name() const override { return "off"; }
  std::string cannot_run(const Problem&) const override { return {}; }
  std::unique_ptr<harness::Session> start(const Problem& problem, std::span<const std::byte> parameter) const override {
    return host_->start(problem, parameter);
  }
  std::vector<harness::Way> ways() const override { return offers().ways(); }
  std::unique_ptr<harness::Session> start(const Problem& problem, std::span<const std::byte> parameter,
                                          harness::Way way) const override {
    Problem other = problem;
    if (way == off_) other.options.lr *= 2;
    return offers().start(other, parameter, way);
  }

 private:
  const harness::OffersWays& offers() const { return dynamic_cast<const harness::OffersWays&>(*host_); }
  std::unique_ptr<harness::Subject> host_ = harness::make_subject("host");
  harness::Way off_;
};

TEST(SameBits, EveryWayThatDiffersIsSeen) {
  const auto host = harness::make_subject("host");
  for (const harness::Way way : dynamic_cast<const harness::OffersWays&>(*host).ways()) {
    const PropertyResult result = check_property(find_property("same_bits"), OneWayOff(way), fresh_seed(), 100);
    EXPECT_EQ(result.outcome, Outcome::failed) << to_string(way);
    EXPECT_NE(result.counterexample.find(to_string(way)), std::string::npos) << result.counterexample;
  }
}

// What shows nothing beside its parameter is not judged by what asks for more.
TEST(Property, GivesUpOnASubjectThatHasNothingToJudge) {
  const FaultySubject mute([](int64_t, Observation& now, const Observation&) {
    now.row.reset();
    now.col.reset();
    now.second_moment.reset();
    now.momentum.reset();
    now.update_norm.reset();
  });
  for (const char* name : {"average_hull", "limiter", "lives", "row_permutation", "same_bits", "transpose", "unbiased"})
    EXPECT_EQ(check_property(find_property(name), mute, fresh_seed(), 10).outcome, Outcome::gave_up) << name;
}

// A subject that runs nothing with momentum; and one that runs everything, but shows no state.
class WithoutMomentum final : public harness::Subject {
 public:
  std::string name() const override { return "plain"; }
  std::string cannot_run(const Problem& problem) const override {
    return problem.options.beta1 ? "it has no momentum" : "";
  }
  std::unique_ptr<harness::Session> start(const Problem& problem, std::span<const std::byte> parameter) const override {
    EXPECT_FALSE(problem.options.beta1) << "asked for what it cannot run";
    return host_->start(problem, parameter);
  }

 private:
  std::unique_ptr<harness::Subject> host_ = harness::make_subject("host");
};

TEST(Property, AsksWhetherTheSubjectCanRunAProblem) {
  const WithoutMomentum subject;
  const PropertyResult agreement = check_property(find_property("agreement"), subject, fresh_seed(), 40);
  EXPECT_EQ(agreement.outcome, Outcome::held) << agreement.counterexample;
  const PropertyResult momentum = check_property(find_property("momentum"), subject, fresh_seed(), 20);
  EXPECT_EQ(momentum.outcome, Outcome::not_run);
  EXPECT_EQ(momentum.counterexample, "it has no momentum");
  EXPECT_EQ(momentum.cases, 0);
  EXPECT_TRUE(describe_properties({agreement, momentum}).green);
  EXPECT_FALSE(describe_properties({momentum}).green) << "nothing was judged";
}

TEST(Property, ThatJudgedNothingIsNoPass) {
  const FaultySubject mute([](int64_t, Observation& now, const Observation&) {
    now.state.clear();
    now.step_size.reset();
    now.keep.reset();
  });
  for (const char* name : {"momentum", "step_size", "clip", "decay_alone", "unbiased", "carried_norm"})
    EXPECT_EQ(check_property(find_property(name), mute, fresh_seed(), 10).outcome, Outcome::gave_up) << name;
}

TEST(Shrinking, EndsAtTheSmallestProblemThatStillFails) {
  const Property fails_from_six_elements_on{"test", "", "", [](const harness::Subject&) {
                                              const Problem p = *problems();
                                              RC_ASSERT(p.elements() < 6);
                                            }};
  const auto subject = harness::make_subject("host");
  const PropertyResult result = check_property(fails_from_six_elements_on, *subject, fresh_seed(), 100);
  ASSERT_EQ(result.outcome, Outcome::failed);
  const Problem p = harness::parse_problem(result.counterexample.substr(0, result.counterexample.find('\n')));
  EXPECT_EQ(p.elements(), 6) << result.counterexample;
  EXPECT_EQ(p.steps, 1);
  EXPECT_EQ(p.options, reference::PlumblineOptions{}) << result.counterexample;
  EXPECT_EQ(p.storage, harness::Storage::fp32);
  EXPECT_EQ(p.data.regime, harness::Regime::gaussian);
}

TEST(Property, EachHasAFileOfItsNameAndALineInTheIndex) {
  std::ifstream file(PROPERTIES_FOLDER "/README.md");
  const std::string index{std::istreambuf_iterator<char>(file), {}};
  for (const std::string& name : names()) {
    EXPECT_TRUE(std::filesystem::exists(PROPERTIES_FOLDER "/" + name + ".cpp")) << name;
    EXPECT_NE(index.find("| [" + name + ".cpp](" + name + ".cpp) |"), std::string::npos) << name;
  }
}

TEST(Property, GivingUpAndBreakingAreNoPasses) {
  const auto subject = harness::make_subject("host");
  const Property picky{"agreement", "", "", [](const harness::Subject&) {
                         const int x = *rc::gen::inRange(0, 1000);
                         RC_PRE(x == 1000);
                       }};
  const PropertyResult gave_up = check_property(picky, *subject, 1, 10);
  EXPECT_EQ(gave_up.outcome, Outcome::gave_up);
  const Property throws{"agreement", "", "", [](const harness::Subject&) {
                          *problems([](Problem& p) { p.shape.clear(); });  // nothing valid can be drawn
                        }};
  const PropertyResult broken = check_property(throws, *subject, 1, 10);
  EXPECT_NE(broken.outcome, Outcome::held);
  Property idle{"agreement", "", "", [](const harness::Subject&) { RC_TAG("short enough"); }};
  idle.acts = "short enough";
  const PropertyResult always = check_property(idle, *subject, 1, 10);
  EXPECT_EQ(always.outcome, Outcome::held);
  EXPECT_EQ(always.drawn, (std::map<std::string, int>{{"short enough", 10}}));
  idle.acts = "limited";
  const PropertyResult never = check_property(idle, *subject, 1, 10);
  EXPECT_EQ(never.outcome, Outcome::gave_up) << "what it is about never acted";
  EXPECT_EQ(never.counterexample, "none of 10 cases was 'limited'");
  for (const PropertyResult& r : {gave_up, broken, never}) EXPECT_FALSE(describe_properties({r}).green);
  EXPECT_TRUE(describe_properties({}).green);
  EXPECT_THROW(find_property("no such"), harness::InputError);
}

}  // namespace
}  // namespace plumbline::properties
