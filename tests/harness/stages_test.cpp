// Faults in momentum, confidence, limiter, bias correction, projection and random roundings: each is named by the stage
// that broke.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "harness/case.h"
#include "harness/slots.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

using O = Observation;

const std::string kShape = "shape=48x40 min_quantized_size=1 storage=fp32 steps=3 seed=5 ";
const std::string kMomentum = kShape + "beta1=0.9 momentum_storage=fp32";
const std::string kUf4 = kShape + "beta1=0.9 momentum_storage=uf4";
const std::string kUf8 = kShape + "beta1=0.9 momentum_storage=uf8 momentum_block=64 factored=false";
const std::string kUpdate = kShape + "beta1=0.9 momentum_of=update momentum_storage=uf8 limiter_margin=0.01 clip=0.5";
const std::string kCame = kShape + "beta1=0.9 momentum_storage=uf4 momentum_of=update beta3=0.99 clip=0.5";
const std::string kLimiter = kShape + "limiter_margin=0.01 clip=0 data=growing:-10";
const std::string kProjected = kShape + "projection_rank=4 clip=0.01 projection_refresh=1 projection_eps=0.01";
const std::string kProjectedMomentum = kProjected + " beta1=0.9 limiter_margin=0.01";
const std::string kProjectedFactored = kProjected + " projection_factored=true";
const std::string kSkip =
    "shape=48x40 min_quantized_size=1 data=nonfinite:-6 nonfinite=skip steps=4 seed=5 beta1=0.9 momentum_storage=uf4 "
    "momentum_of=update limiter_margin=0.01";

double moved(double x, int float32_ulps) { return x * (1 + float32_ulps * 0x1p-23); }
void move_all(std::optional<std::vector<float>>& values, int ulps) {
  for (float& x : *values) x = float(moved(x, ulps));
}
SlotState& slot(Observation& out, Slot which) {
  for (SlotState& s : out.state)
    if (s.slot == which) return s;
  throw std::logic_error("no such slot");
}
const SlotState& slot(const Observation& out, Slot which) { return slot(const_cast<Observation&>(out), which); }
void move_word(std::vector<std::byte>& bytes, size_t i, int ulps) {
  float x;
  std::memcpy(&x, bytes.data() + 4 * i, 4);
  x = float(moved(x, ulps));
  std::memcpy(bytes.data() + 4 * i, &x, 4);
}

struct Fault {
  std::string name, line;
  FaultySubject::Corrupt corrupt;
  Quantity first;
  int64_t step = 1;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

// Shows one thing of the first step moved by some ulp.
Fault shown(const char* name, const std::string& line, std::optional<std::vector<float>> O::*member, int ulps,
            Quantity first) {
  return {name, line, [=](int64_t, O& now, const O&) { move_all(now.*member, ulps); }, first};
}
Fault scalar(const char* name, const std::string& line, std::optional<double> O::*member, int ulps, Quantity first,
             int64_t at = 1) {
  return {name, line,
          [=](int64_t step, O& now, const O&) {
            if (step == at) *(now.*member) = moved(*(now.*member), ulps);
          },
          first, at};
}

class StageFaults : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(
    Stages, StageFaults,
    testing::Values(shown("MomentumOff8Ulp", kMomentum, &O::momentum, 8, Quantity::momentum),
                    Fault{"StoredMomentumOff64Ulp", kMomentum,
                          [](int64_t, O& now, const O&) { move_word(slot(now, Slot::momentum).values, 77, 64); },
                          Quantity::momentum_stored},
                    Fault{"MomentumBfloat16Truncated", kShape + "beta1=0.9 momentum_storage=bf16",
                          [](int64_t, O& now, const O&) {
                            auto& values = slot(now, Slot::momentum).values;
                            for (size_t i = 0; i < values.size(); i += 2) values[i] &= std::byte{0xfe};
                          },
                          Quantity::momentum_stored},
                    Fault{"NibblesOfAByteSwapped", kUf4,
                          [](int64_t, O& now, const O&) {
                            for (std::byte& b : slot(now, Slot::momentum).values) b = b << 4 | b >> 4;
                          },
                          Quantity::momentum_code},
                    Fault{"OneMomentumCodeOffByOne", kUf8,
                          [](int64_t, O& now, const O&) {
                            std::byte& code = slot(now, Slot::momentum).values[100];
                            code = std::byte(uint8_t(code) + (int8_t(code) > 0 ? -1 : 1));
                          },
                          Quantity::momentum_code},
                    Fault{"MomentumScaleOff64Ulp", kUf8,
                          [](int64_t, O& now, const O&) {
                            float& scale = slot(now, Slot::momentum).scales[3];
                            scale = float(moved(scale, 64));
                          },
                          Quantity::momentum_scale},
                    Fault{"MomentumScalesOfTwoBlocksSwapped", kUf8,
                          [](int64_t, O& now, const O&) {
                            auto& scales = slot(now, Slot::momentum).scales;
                            std::swap(scales[0], scales[1]);
                          },
                          Quantity::momentum_scale},
                    Fault{"StaleMomentum", kUpdate,
                          [](int64_t step, O& now, const O& before) {
                            if (step == 2) slot(now, Slot::momentum).values = slot(before, Slot::momentum).values;
                          },
                          Quantity::momentum_code, 2},
                    shown("ConfidenceRowOff512Ulp", kCame, &O::confidence_row, 512, Quantity::confidence_row),
                    shown("ConfidenceColOff512Ulp", kCame, &O::confidence_col, 512, Quantity::confidence_col),
                    Fault{"StoredConfidenceOff1024Ulp", kCame,
                          [](int64_t, O& now, const O&) { move_word(slot(now, Slot::confidence_row).values, 7, 1024); },
                          Quantity::confidence_row_stored},
                    scalar("BiasOffAnUlp", kMomentum, &O::bias, 1, Quantity::bias),
                    scalar("UpdateNormOff64Ulp", kLimiter, &O::update_norm, 64, Quantity::update_norm),
                    scalar("UpdateNormOfMomentumOff8Ulp", kUpdate, &O::update_norm, 8, Quantity::update_norm),
                    scalar("LimiterOff64Ulp", kLimiter, &O::limiter, 64, Quantity::limiter, 2),
                    scalar("PreviousNormOff64Ulp", kLimiter, &O::previous_norm, 64, Quantity::previous_norm),
                    shown("LowRankGradientOff4Ulp", kProjected, &O::low_rank_gradient, 4, Quantity::low_rank_gradient),
                    shown("LowRankSecondMomentOff32Ulp", kProjected, &O::low_rank_second_moment, 32,
                          Quantity::low_rank_second_moment),
                    shown("LowRankRowOff64Ulp", kProjectedFactored, &O::low_rank_row, 64, Quantity::low_rank_row),
                    shown("LowRankColOff64Ulp", kProjectedFactored, &O::low_rank_col, 64, Quantity::low_rank_col),
                    shown("ChannelScaleOff64Ulp", kProjected, &O::channel_scale, 64, Quantity::channel_scale),
                    Fault{"LowRankMomentumCodeOffByOne", kProjectedMomentum + " momentum_storage=uf8",
                          [](int64_t, O& now, const O&) {
                            std::byte& code = slot(now, Slot::low_rank_momentum).values[50];
                            code = std::byte(uint8_t(code) + (int8_t(code) > 0 ? -1 : 1));
                          },
                          Quantity::low_rank_momentum_code},
                    Fault{"Al16CodeOffByTwo", kShape + "storage=al16",
                          [](int64_t, O& now, const O&) {
                            auto& codes = slot(now, Slot::row).values;
                            codes[20] = std::byte(uint8_t(codes[20]) ^ 2);
                          },
                          Quantity::row_code},
                    Fault{"SkipThatWritesTheMomentum", kSkip,
                          [](int64_t step, O& now, const O&) {
                            if (step == 2) slot(now, Slot::momentum).values[9] ^= std::byte{1};
                          },
                          Quantity::momentum_stored, 2},
                    Fault{"SkipThatRecordsTheNorm", kSkip,
                          [](int64_t step, O& now, const O&) {
                            if (step == 2) *now.previous_norm *= 1 + 0x1p-52;
                          },
                          Quantity::previous_norm, 2}),
    [](const auto& p) { return p.param.name; });

std::string once(std::string line) {  // a later word takes the place of an earlier one
  const size_t first = line.find("storage=fp32 "), last = line.rfind(" storage=");
  if (last != line.npos && first < last) line.erase(first, std::strlen("storage=fp32 "));
  return line;
}

TEST_P(StageFaults, FailWhereTheyAre) {
  const Fault& fault = GetParam();
  const std::string line = once(fault.line);
  const CaseResult sound = run_case(parse_problem(line), FaultySubject({}));
  ASSERT_EQ(sound.verdict, Verdict::pass) << sound.reason;
  const CaseResult result = run_case(parse_problem(line), FaultySubject(fault.corrupt));
  ASSERT_EQ(result.verdict, Verdict::fail) << result.reason;
  EXPECT_EQ(*result.first_broken, fault.first) << to_string(*result.first_broken);
  EXPECT_EQ(*result.first_broken_step, fault.step);
}

struct OtherOption {
  std::string name, line;
  FaultySubject::Alter alter;
  Quantity first;
  int64_t step = 1;
};
void PrintTo(const OtherOption& other, std::ostream* out) { *out << other.name; }

class OtherOptions : public testing::TestWithParam<OtherOption> {};
INSTANTIATE_TEST_SUITE_P(
    Stages, OtherOptions,
    testing::Values(
        OtherOption{"Beta1", kMomentum, [](Problem& p) { p.options.beta1 = 0.90001; }, Quantity::bias},
        OtherOption{"MomentumOf", kUpdate, [](Problem& p) { p.options.momentum_of = reference::MomentumOf::gradient; },
                    Quantity::update_rms},
        OtherOption{"Beta3", kCame, [](Problem& p) { p.options.beta3 = 0.98; }, Quantity::confidence_row},
        OtherOption{"ConfidenceOff", kCame, [](Problem& p) { p.options.beta3.reset(); }, Quantity::parameter},
        OtherOption{"EpsCame", kCame, [](Problem& p) { p.options.eps_came = 1e-4; }, Quantity::confidence_row},
        OtherOption{"LimiterMargin", kLimiter, [](Problem& p) { p.options.limiter_margin = 0.02; }, Quantity::limiter,
                    2},
        OtherOption{"MaximizeFlipsTheUpdateAlone", kMomentum + " maximize=true",
                    [](Problem& p) { p.options.maximize = false; }, Quantity::parameter},
        OtherOption{"ProjectionSeed", kProjected, [](Problem& p) { p.options.projection_seed = 1; },
                    Quantity::low_rank_gradient},
        OtherOption{"ProjectionRefresh", kProjected, [](Problem& p) { p.options.projection_refresh = 2; },
                    Quantity::low_rank_gradient, 2},
        OtherOption{"ProjectionEps", kProjected, [](Problem& p) { p.options.projection_eps = 0.0101; },
                    Quantity::channel_scale},
        OtherOption{"ProjectionScaleBy", kProjected,
                    [](Problem& p) { p.options.projection_scale_by = reference::ScaleType::tensor; },
                    Quantity::channel_scale},
        OtherOption{"ProjectionScale", kProjected + " projection_scale=4",
                    [](Problem& p) { p.options.projection_scale = 1; }, Quantity::update_rms},
        OtherOption{"ProjectionScaleFirst", kProjected + " projection_scale=4",
                    [](Problem& p) { p.options.projection_scale_first = false; }, Quantity::update_rms},
        OtherOption{"GradientScale", kShape + "gradient_scale=0.5", [](Problem& p) { p.gradient_scale = 1; },
                    Quantity::row},
        OtherOption{"SeedOfStochasticCodes", kShape + "storage=al8 rounding=stochastic", [](Problem& p) { ++p.seed; },
                    Quantity::row_code},
        OtherOption{"SeedOfDitheredCodes", kShape + "storage=al8 rounding=dither beta2=0.9",
                    [](Problem& p) { ++p.seed; }, Quantity::row_code},
        OtherOption{"SeedOfDitheredMomentum", kUf4 + " momentum_of=update momentum_rounding=dither",
                    [](Problem& p) { ++p.seed; }, Quantity::momentum_code},
        OtherOption{"SeedOfStochasticMomentum", kShape + "beta1=0.9 momentum_storage=bf16 momentum_rounding=stochastic",
                    [](Problem& p) { ++p.seed; }, Quantity::momentum_stored},
        OtherOption{"SeedOfStochasticParameters", kShape + "param=bf16 parameter_rounding=stochastic",
                    [](Problem& p) { ++p.seed; }, Quantity::parameter},
        OtherOption{"ParametersToNearest", kShape + "param=f16 parameter_rounding=stochastic",
                    [](Problem& p) { p.parameter_rounding = Rounding::nearest; }, Quantity::parameter}),
    [](const auto& p) { return p.param.name; });

TEST_P(OtherOptions, FailAtTheStageThatTheOptionGoverns) {
  const OtherOption& other = GetParam();
  const std::string line = once(other.line);
  const CaseResult sound = run_case(parse_problem(line), FaultySubject({}));
  ASSERT_EQ(sound.verdict, Verdict::pass) << sound.reason;
  const CaseResult result = run_case(parse_problem(line), FaultySubject({}, other.alter));
  ASSERT_EQ(result.verdict, Verdict::fail) << result.reason;
  EXPECT_EQ(*result.first_broken, other.first) << to_string(*result.first_broken);
  EXPECT_EQ(*result.first_broken_step, other.step);
}

TEST(Stages, StateOfAnotherKindIsAnError) {
  const auto says = [](const std::string& line, FaultySubject::Alter alter, const char* what) {
    const CaseResult result = run_case(parse_problem(once(line)), FaultySubject({}, std::move(alter)));
    EXPECT_EQ(result.verdict, Verdict::error);
    EXPECT_THAT(result.reason, testing::HasSubstr(what));
  };
  says(
      kUf4, [](Problem& p) { p.momentum_storage = Storage::uf8; }, "expected uf4");
  says(
      kUf4, [](Problem& p) { p.momentum_block = 64; }, "expected blocks of 128");
  says(
      kUf4 + " momentum_of=update", [](Problem& p) { p.momentum_rounding = Rounding::dither; }, "expected stochastic");
  says(
      kUf4, [](Problem& p) { p.options.beta1.reset(); }, "momentum shown 0 times");
  says(
      kLimiter, [](Problem& p) { p.options.limiter_margin.reset(); }, "previous norm is not shown");
}

// A case whose focus acts, and the same where it cannot.
TEST(Stages, AFeatureThatCannotActIsVacuous) {
  for (const auto& [line, feature] :
       {std::pair(kMomentum + " focus=momentum data=frozen:-6", "momentum"),
        std::pair(kShape + "limiter_margin=100 focus=limiter", "limiter"),
        std::pair(kShape + "momentum_rounding=stochastic focus=momentum_rounding", "momentum_rounding"),
        std::pair(kShape + "param=f32 parameter_rounding=stochastic focus=parameter_rounding", "parameter_rounding"),
        std::pair(kProjected + " projection_scale=1 focus=projection_scale", "projection_scale"),
        std::pair(kProjected + " projection_eps=1e-30 focus=projection_eps", "projection_eps")}) {
    std::string words = line;
    if (const size_t at = words.find("projection_eps=0.01 "); at != words.npos && words.find("1e-30") != words.npos)
      words.erase(at, std::strlen("projection_eps=0.01 "));
    const CaseResult result = run_case(parse_problem(words), FaultySubject({}));
    EXPECT_EQ(result.verdict, Verdict::vacuous) << words;
    EXPECT_THAT(result.reason, testing::HasSubstr(std::string(feature) + " never acted"));
  }
}

}  // namespace
}  // namespace plumbline::harness
