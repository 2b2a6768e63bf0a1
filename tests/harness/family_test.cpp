#include "harness/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/error.h"
#include "harness/subject.h"

namespace plumbline::harness {
namespace {

TEST(Families, ALineNamesItsFamilyAndReadsBackToTheSameProblem) {
  const char* line = "shape=37x129 storage=fp32 steps=2 seed=7";
  const AnyProblem problem = parse_any_problem(line);
  EXPECT_STREQ(family_of(problem), "optimizer");
  EXPECT_EQ(std::get<Problem>(problem), parse_problem(line));
  EXPECT_EQ(parse_any_problem(to_string(problem)), problem);
}

TEST(Families, BadInputIsRefusedWhateverTheFamily) {
  EXPECT_THROW(parse_any_problem("shape=0x3 seed=1"), InputError);
  EXPECT_THROW(parse_any_problem("tangent=3"), InputError);
  Problem empty;
  empty.shape = {};
  EXPECT_THROW(validate(AnyProblem(empty)), InputError);
}

TEST(Families, ACaseRunsAsItsOwnFamilyRunsIt) {
  const Problem problem = parse_problem("shape=16x8 steps=2 seed=3");
  const auto host = make_subject("host");
  const CaseResult typed = run_case(problem, *host), erased = run_case(AnyProblem(problem), *host);
  EXPECT_EQ(erased.verdict, typed.verdict);
  EXPECT_EQ(erased.line, typed.line);
  EXPECT_EQ(erased.quantities.size(), typed.quantities.size());
}

}  // namespace
}  // namespace plumbline::harness
