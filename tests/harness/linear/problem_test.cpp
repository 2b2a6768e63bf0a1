#include "harness/linear/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/error.h"
#include "harness/family.h"
#include "properties/linear_cases.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& line) {
  try {
    parse_linear_problem(line);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(LinearProblems, PrintTheirDifferencesAndReadThemBack) {
  LinearProblem p;
  EXPECT_EQ(to_string(p), "w8a8 tokens=33 inputs=64 outputs=48 data=gaussian:0 seed=1");
  p.mode = LayerMode::fp8;
  p.type = DType::bfloat16;
  p.scales = reference::Fp8ScaleKind::block;
  p.block = 16;
  p.bias = false;
  p.regime = LayerRegime::outlier_channel;
  p.exponent = -3;
  EXPECT_EQ(to_string(p),
            "w8a8 tokens=33 inputs=64 outputs=48 mode=fp8 type=bf16 scales=block block=16 bias=false "
            "data=outlier_channel:-3 seed=1");
  EXPECT_EQ(parse_linear_problem(to_string(p)), p);
  for (const LinearProblem& generated : properties::generate_linear_problems(3, 300, 1 << 20)) {
    EXPECT_EQ(parse_linear_problem(to_string(generated)), generated) << to_string(generated);
    const AnyProblem any = parse_any_problem(to_string(generated));
    EXPECT_STREQ(family_of(any), "w8a8");
  }
}

TEST(LinearProblems, BadWordsAreNamed) {
  EXPECT_THAT(refusal("w8a8 tokens=0"), HasSubstr("tokens=0: expected an integer in [1,"));
  EXPECT_THAT(refusal("w8a8 width=3"), HasSubstr("unknown option 'width': expected one of tokens, inputs"));
  EXPECT_THAT(refusal("w8a8 mode=int4"), HasSubstr("mode=int4: expected one of int8, fp8"));
  EXPECT_THAT(refusal("w8a8 tokens"), HasSubstr("expected name=value"));
  EXPECT_THAT(refusal("w8a8 seed=1 seed=2"), HasSubstr("'seed' is given twice"));
  EXPECT_THAT(refusal("w8a8 type=f64"), HasSubstr("expected one of f32, bf16, f16"));
  EXPECT_THAT(refusal("w8a8 scales=block block=7 inputs=64"), HasSubstr("expected a divisor of the 64 inputs"));
  EXPECT_THAT(refusal("w8a8 block=8"), HasSubstr("only with weight=fp8 scales=block"));
  EXPECT_THAT(refusal("w8a8 mode=fp8 weight=codes"), HasSubstr("mode fp8 takes an FP8 weight alone"));
  EXPECT_THAT(refusal("w8a8 inputs=132105"), HasSubstr("expected at most 132104 in mode int8"));
  EXPECT_THAT(refusal("w8a8 data=integers"), HasSubstr("expected weight=codes"));
  EXPECT_EQ(refusal("w8a8 inputs=132105 mode=fp8"), "accepted");
}

}  // namespace
}  // namespace plumbline::harness
