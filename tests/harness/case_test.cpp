#include "harness/case.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "harness/error.h"
#include "harness/slots.h"
#include "tests/harness/faulty.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {
namespace {

using reference::Slot;
using testing::HasSubstr;

const std::string kPlain = "shape=48x40 storage=fp32 weight_decay=0.5 clip=0.5 steps=3 seed=5";
const std::string kVector = "shape=2000 storage=fp32 weight_decay=0.5 clip=0.5 steps=3 seed=5";
const std::string kQuantized = "shape=200x130 min_quantized_size=1 block=64 data=heavy_tail:-6 steps=3 seed=5";
const std::string kNonfinite = "shape=48x40 storage=fp32 data=nonfinite:-6 steps=4 seed=5";

float moved(float x, int ulps) {
  for (; ulps > 0; --ulps) x = std::nextafter(x, std::numeric_limits<float>::infinity());
  return x;
}
double moved(double x, int float32_ulps) { return x * (1 + float32_ulps * 0x1p-23); }

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> out(bytes.size() / 4);
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}
void set_float(std::vector<std::byte>& bytes, size_t i, float x) { std::memcpy(bytes.data() + 4 * i, &x, 4); }

SlotState& slot(Observation& out, Slot which) {
  for (SlotState& s : out.state)
    if (s.slot == which) return s;
  throw std::logic_error("no such slot");
}
const SlotState& slot(const Observation& out, Slot which) { return slot(const_cast<Observation&>(out), which); }

CaseResult run(const std::string& line, FaultySubject::Corrupt corrupt, FaultySubject::Alter alter = {}) {
  return run_case(parse_problem(line), FaultySubject(std::move(corrupt), std::move(alter)));
}

// --- faults in what a step computes, stores or leaves ---

struct Fault {
  std::string name;
  std::string line;
  FaultySubject::Corrupt corrupt;
  Quantity first;
  int64_t step = 1;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

void move_all(std::vector<float>& values, int ulps) {
  for (float& x : values) x = moved(x, ulps);
}

std::vector<Fault> faults() {
  using O = Observation;
  std::vector<Fault> all = {
      {"RowOff16Ulp", kPlain, [](int64_t, O& now, const O&) { move_all(*now.row, 16); }, Quantity::row},
      {"OneRowOff16Ulp", kPlain, [](int64_t, O& now, const O&) { now.row->at(31) = moved(now.row->at(31), 16); },
       Quantity::row},
      {"ColOff16Ulp", kPlain, [](int64_t, O& now, const O&) { move_all(*now.col, 16); }, Quantity::col},
      {"SecondMomentOff16Ulp", kVector, [](int64_t, O& now, const O&) { move_all(*now.second_moment, 16); },
       Quantity::second_moment},
      {"ParameterRmsOffAnUlp", kPlain,
       [](int64_t, O& now, const O&) { *now.parameter_rms = moved(*now.parameter_rms, 1); }, Quantity::parameter_rms},
      {"UpdateRmsOff32Ulp", kPlain, [](int64_t, O& now, const O&) { *now.update_rms = moved(*now.update_rms, 32); },
       Quantity::update_rms},
      {"ClipOff32Ulp", kPlain, [](int64_t, O& now, const O&) { *now.clip = moved(*now.clip, 32); }, Quantity::clip},
      {"ClipOfAVectorOff16Ulp", kVector, [](int64_t, O& now, const O&) { *now.clip = moved(*now.clip, 16); },
       Quantity::clip},
      {"StepSizeOffAnUlp", kPlain, [](int64_t, O& now, const O&) { *now.step_size = moved(*now.step_size, 1); },
       Quantity::step_size},
      {"KeepOff2Ulp", kPlain, [](int64_t, O& now, const O&) { *now.keep = moved(*now.keep, 2); }, Quantity::keep},
      {"OneParameterOff2Ulp", kPlain,
       [](int64_t step, O& now, const O&) {
         if (step == 2) set_float(now.parameter, 77, moved(floats(now.parameter)[77], 2));
       },
       Quantity::parameter, 2},
      {"OneParameterNan", kPlain,
       [](int64_t step, O& now, const O&) {
         if (step == 2) set_float(now.parameter, 3, std::nanf(""));
       },
       Quantity::parameter, 2},
      {"RowNan", kPlain, [](int64_t, O& now, const O&) { now.row->at(0) = std::nanf(""); }, Quantity::row},
      {"RowShort", kPlain, [](int64_t, O& now, const O&) { now.row->pop_back(); }, Quantity::row},
      {"StoredRowOff64Ulp", kPlain,
       [](int64_t, O& now, const O&) {
         auto& values = slot(now, Slot::row).values;
         set_float(values, 5, moved(floats(values)[5], 64));
       },
       Quantity::row_stored},
      {"ColNotStored", kPlain,
       [](int64_t step, O& now, const O& before) {
         if (step == 2) slot(now, Slot::col).values = slot(before, Slot::col).values;
       },
       Quantity::col_stored, 2},
      {"ClockDoesNotAdvance", kPlain,
       [](int64_t step, O& now, const O& before) {
         if (step == 2) now.steps_taken = before.steps_taken;
       },
       Quantity::clock, 2},
      {"NonfiniteMiscounted", kNonfinite,
       [](int64_t step, O& now, const O&) {
         if (step == 2) ++*now.nonfinite;
       },
       Quantity::nonfinite, 2},
      {"StepSkipped", kPlain,
       [](int64_t step, O& now, const O& before) {
         if (step == 2) now.parameter = before.parameter, now.state = before.state;
       },
       Quantity::row_stored, 2},
      {"StepRepeated", kPlain,
       [](int64_t step, O& now, const O& before) {
         if (step == 2) now = before, now.steps_taken = step;
       },
       Quantity::parameter_rms, 2},
      {"ParameterNotUpdated", kPlain,
       [](int64_t step, O& now, const O& before) {
         if (step == 3) now.parameter = before.parameter;
       },
       Quantity::parameter, 3},
      {"SkipThatWritesTheParameter", kNonfinite + " nonfinite=skip",
       [](int64_t step, O& now, const O&) {
         if (step == 2) now.parameter[9] ^= std::byte{1};
       },
       Quantity::parameter, 2},
      {"SkipThatWritesTheState", kNonfinite + " nonfinite=skip",
       [](int64_t step, O& now, const O&) {
         if (step == 2) slot(now, Slot::col).values[9] ^= std::byte{1};
       },
       Quantity::col_stored, 2},
      {"SkipThatCounts", kNonfinite + " nonfinite=skip",
       [](int64_t step, O& now, const O&) {
         if (step == 2) ++now.steps_taken;
       },
       Quantity::clock, 2},
      {"Bfloat16Truncated", "shape=48x40 param=bf16 storage=fp32 steps=3 seed=5 lr=0.1",
       [](int64_t step, O& now, const O&) {
         if (step == 1)
           for (size_t i = 0; i < now.parameter.size(); i += 2)  // towards zero wherever the pattern is odd
             now.parameter[i] &= std::byte{0xfe};
       },
       Quantity::parameter},
  };
  for (const auto& [storage, stale_is] : {std::pair("al8", Quantity::row_code), std::pair("log_u8", Quantity::row_code),
                                          std::pair("linear_u8", Quantity::row_code)}) {
    const std::string line = kQuantized + (std::string(storage) == "log_u8" ? " storage=log_u8" : "") +
                             (std::string(storage) == "linear_u8" ? " storage=linear_u8" : "");
    auto add = [&](const char* what, FaultySubject::Corrupt corrupt, Quantity first, int64_t step) {
      all.push_back({std::string(what) + "_" + storage, line, std::move(corrupt), first, step});
    };
    add(
        "StaleCodes",
        [](int64_t step, O& now, const O& before) {
          if (step == 2) slot(now, Slot::row).values = slot(before, Slot::row).values;
        },
        stale_is, 2);
    add(
        "OneCodeOffByTwo",
        [](int64_t, O& now, const O&) {
          for (std::byte& code : slot(now, Slot::col).values)
            if (uint8_t(code) > 3 && uint8_t(code) < 250) {
              code = std::byte(uint8_t(code) + 2);
              return;
            }
        },
        Quantity::col_code, 1);
    add(
        "ScaleOff16Ulp",
        [](int64_t, O& now, const O&) {
          float& word = slot(now, Slot::col).scales.back();  // r, or the scale
          word = moved(word, 256);
        },
        Quantity::col_scale, 1);
    add(
        "ScalesOfTwoBlocksSwapped",
        [](int64_t, O& now, const O&) {
          auto& scales = slot(now, Slot::row).scales;
          const size_t words = scales.size() / 4;  // 200 rows are four blocks of 64
          std::swap_ranges(scales.begin(), scales.begin() + std::ptrdiff_t(words),
                           scales.begin() + std::ptrdiff_t(words));
        },
        Quantity::row_scale, 1);
    add(
        "CodesOfTwoBlocksSwapped",
        [](int64_t, O& now, const O&) {
          auto& codes = slot(now, Slot::row).values;
          std::swap_ranges(codes.begin(), codes.begin() + 64, codes.begin() + 64);
        },
        Quantity::row_code, 1);
    add(
        "ScaleNan", [](int64_t, O& now, const O&) { slot(now, Slot::row).scales[0] = std::nanf(""); },
        Quantity::row_scale, 1);
  }
  return all;
}

class Faults : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(Case, Faults, testing::ValuesIn(faults()), [](const auto& p) { return p.param.name; });

TEST_P(Faults, FailsAtTheStageThatBroke) {
  const Fault& fault = GetParam();
  const CaseResult sound = run(fault.line, {});
  ASSERT_EQ(sound.verdict, Verdict::pass) << sound.reason;
  const CaseResult result = run(fault.line, fault.corrupt);
  ASSERT_EQ(result.verdict, Verdict::fail) << result.reason;
  EXPECT_EQ(*result.first_broken, fault.first) << to_string(*result.first_broken);
  EXPECT_EQ(*result.first_broken_step, fault.step);
  EXPECT_THAT(result.reason, HasSubstr(to_string(fault.first)));
  EXPECT_EQ(result.reason.find('\n'), result.reason.npos);
}

// --- subjects that ignore an option, or take another one ---

struct OtherProblem {
  std::string name, line;
  FaultySubject::Alter alter;
  Quantity first;
  int64_t step = 1;
};
void PrintTo(const OtherProblem& other, std::ostream* out) { *out << other.name; }

class IgnoredOptions : public testing::TestWithParam<OtherProblem> {};
INSTANTIATE_TEST_SUITE_P(
    Case, IgnoredOptions,
    testing::Values(
        OtherProblem{"Clip", kPlain, [](Problem& p) { p.options.clip = 0; }, Quantity::clip},
        OtherProblem{"Eps1", kPlain + " eps1=1e-6", [](Problem& p) { p.options.eps1 = 1e-30; }, Quantity::row},
        OtherProblem{"Eps2", kPlain + " init=-14", [](Problem& p) { p.options.eps2 = 0; }, Quantity::step_size},
        OtherProblem{"Beta2Decay", kPlain, [](Problem& p) { p.options.beta2_decay = -0.81; }, Quantity::row, 2},
        OtherProblem{"Beta2", kPlain + " beta2=0.9", [](Problem& p) { p.options.beta2 = 0.900001; }, Quantity::row},
        OtherProblem{"Lr", kPlain, [](Problem& p) { p.options.lr = 0.010001; }, Quantity::step_size},
        OtherProblem{"RelativeStep", kPlain + " relative_step=true lr=0.8",
                     [](Problem& p) { p.options.relative_step = false; }, Quantity::step_size, 2},
        OtherProblem{"ScaleParameter", kPlain, [](Problem& p) { p.options.scale_parameter = false; },
                     Quantity::step_size},
        OtherProblem{"WeightDecay", kPlain, [](Problem& p) { p.options.weight_decay = 0; }, Quantity::keep},
        OtherProblem{"WeightDecayBy", kPlain + " weight_decay_by=lr",
                     [](Problem& p) { p.options.weight_decay_by = reference::DecayScale::step_size; }, Quantity::keep},
        OtherProblem{"Maximize", kPlain + " maximize=true", [](Problem& p) { p.options.maximize = false; },
                     Quantity::parameter},
        OtherProblem{"NonfinitePropagates", kNonfinite,
                     [](Problem& p) { p.options.nonfinite = reference::Nonfinite::propagate; }, Quantity::row, 2},
        OtherProblem{"NonfiniteNotSkipped", kNonfinite + " nonfinite=skip",
                     [](Problem& p) { p.options.nonfinite = reference::Nonfinite::zero; }, Quantity::clock, 2}),
    [](const auto& p) { return p.param.name; });

TEST_P(IgnoredOptions, FailAtTheStageThatTheOptionGoverns) {
  const OtherProblem& other = GetParam();
  const CaseResult sound = run(other.line, {});
  ASSERT_EQ(sound.verdict, Verdict::pass) << sound.reason;
  const CaseResult result = run(other.line, {}, other.alter);
  ASSERT_EQ(result.verdict, Verdict::fail) << result.reason;
  EXPECT_EQ(*result.first_broken, other.first) << to_string(*result.first_broken);
  EXPECT_EQ(*result.first_broken_step, other.step);
}

// --- subjects that break the rules of the game ---

void expect_error(const CaseResult& result, const std::string& says) {
  EXPECT_EQ(result.verdict, Verdict::error);
  EXPECT_THAT(result.reason, HasSubstr(says));
  EXPECT_FALSE(result.first_broken);
}

TEST(Case, ASubjectThatThrowsIsAnError) {
  expect_error(run(kPlain,
                   [](int64_t step, Observation&, const Observation&) {
                     if (step == 2) throw std::runtime_error("wrote 4 bytes past the buffer's end");
                   }),
               "wrote 4 bytes past the buffer's end");
}

TEST(Case, AParameterOfAnotherSizeIsAnError) {
  for (const int64_t extra : {-4, 4})
    expect_error(
        run(kPlain, [&](int64_t, Observation& now,
                        const Observation&) { now.parameter.resize(size_t(int64_t(now.parameter.size()) + extra)); }),
        "parameter changed its size");
}

TEST(Case, StateOfAnotherSizeIsAnError) {
  expect_error(
      run(kPlain, [](int64_t, Observation& now, const Observation&) { slot(now, Slot::row).values.resize(4); }),
      "expected 48 in 192");
  expect_error(
      run(kQuantized, [](int64_t, Observation& now, const Observation&) { slot(now, Slot::row).scales.resize(3); }),
      "3 words of scale: expected 8");
}

TEST(Case, StateOfAnotherKindThanTheCaseAsksForIsAnError) {
  expect_error(run(kQuantized, {}, [](Problem& p) { p.storage = Storage::fp32; }), "expected al8");
  expect_error(run(kQuantized, {}, [](Problem& p) { p.storage = Storage::log_u8; }), "expected al8");
  expect_error(run(kQuantized, {}, [](Problem& p) { p.block = 128; }), "expected blocks of 64");
  expect_error(run(kQuantized, {}, [](Problem& p) { p.min_quantized_size = 1 << 20; }), "expected al8");
}

TEST(Case, ASlotThatTheCaseDoesNotHaveIsAnError) {
  EXPECT_EQ(run(kPlain, {}, [](Problem& p) { p.options.factored = false; }).verdict, Verdict::error);
}

TEST(Case, AnOptimizerThatDoesNothingFails) {
  // It shows what it must and no more.
  std::vector<std::byte> initial;
  const CaseResult result = run(kPlain, [&](int64_t step, Observation& now, const Observation& before) {
    Observation out;
    out.steps_taken = step;
    out.parameter = step == 1 ? std::vector<std::byte>(now.parameter.size()) : before.parameter;
    now = out;
  });
  ASSERT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(*result.first_broken, Quantity::parameter);
}

TEST(Case, WhatASubjectDoesNotShowIsNotJudged) {
  const CaseResult result = run(kPlain, [](int64_t, Observation& now, const Observation&) {
    now.row.reset(), now.col.reset(), now.clip.reset(), now.keep.reset(), now.update_rms.reset();
    now.step_size.reset(), now.parameter_rms.reset(), now.nonfinite.reset();
  });
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  std::vector<Quantity> judged;
  for (const auto& q : result.quantities) judged.push_back(q.quantity);
  EXPECT_THAT(judged,
              testing::ElementsAre(Quantity::clock, Quantity::row_stored, Quantity::col_stored, Quantity::parameter,
                                   Quantity::row_drift, Quantity::col_drift, Quantity::parameter_drift));
}

// --- cases that could not have failed ---

struct Vacuous {
  std::string name, line, reason;
};
void PrintTo(const Vacuous& vacuous, std::ostream* out) { *out << vacuous.name; }
class VacuousCases : public testing::TestWithParam<Vacuous> {};
INSTANTIATE_TEST_SUITE_P(
    Case, VacuousCases,
    testing::Values(
        Vacuous{"ClipFarAbove", "shape=32x32 clip=1000 focus=clip steps=2 seed=5", "clip never acted"},
        Vacuous{"ClipOff", "shape=32x32 clip=0 focus=clip steps=2 seed=5", "clip never acted"},
        Vacuous{"Eps1FarBelow", "shape=32x32 eps1=1e-25 focus=eps1 steps=2 seed=5", "eps1 never acted"},
        Vacuous{"Eps2FarBelow", "shape=32x32 eps2=1e-6 focus=eps2 steps=2 seed=5", "eps2 never acted"},
        Vacuous{"NoDecay", "shape=32x32 focus=weight_decay steps=2 seed=5", "weight_decay never acted"},
        Vacuous{"DecayBelowRounding", "shape=32x32 weight_decay=1e-7 focus=weight_decay steps=2 seed=5",
                "weight_decay never acted"},
        Vacuous{"RelativeStepAtItsCap", "shape=32x32 relative_step=true lr=0.01 focus=relative_step steps=9 seed=5",
                "relative_step never acted"},
        Vacuous{"MaximizeOff", "shape=32x32 focus=maximize steps=2 seed=5", "maximize never acted"},
        Vacuous{"NothingNonfinite", "shape=32x32 focus=nonfinite steps=2 seed=5", "nonfinite never acted"},
        Vacuous{"Beta2AtTheFirstStep", "shape=32x32 beta2=0 focus=beta2 steps=1 seed=5", "beta2 never acted"},
        Vacuous{"ZeroGradient", "shape=32x32 grad=f16 data=gaussian:-140 storage=fp32 steps=2 seed=5",
                "an optimizer that does nothing would pass"},
        Vacuous{"UpdatesBelowTheBound", "shape=32x32 init=0 scale_parameter=false lr=1e-9 steps=2 seed=5",
                "the bound exceeds the update"},
        Vacuous{"ConstantOutput",
                "shape=32x32 param=f16 init=-140 data=constant:-3 scale_parameter=false steps=2 seed=5",
                "constant or mostly zero"},
        Vacuous{"FewCodes", "shape=128x128 data=constant:-3 steps=2 seed=5", "used only 1 codes"}),
    [](const auto& p) { return p.param.name; });

TEST_P(VacuousCases, AreRedAndSayWhy) {
  const CaseResult result = run_case(parse_problem(GetParam().line), *make_subject("host"));
  EXPECT_EQ(result.verdict, Verdict::vacuous) << result.reason;
  EXPECT_THAT(result.reason, HasSubstr(GetParam().reason));
  EXPECT_FALSE(result.first_broken);
}

TEST(Case, AFocusThatActsIsNotVacuous) {
  for (const char* words :
       {"clip=0.5 focus=clip", "eps1=1e-4 focus=eps1", "init=-14 eps2=0.01 focus=eps2",
        "weight_decay=20 focus=weight_decay", "relative_step=true lr=0.9 focus=relative_step", "focus=scale_parameter",
        "maximize=true focus=maximize", "data=nonfinite:-6 focus=nonfinite",
        "data=nonfinite:-6 nonfinite=skip focus=nonfinite", "beta2=0.9 focus=beta2"}) {
    const CaseResult result =
        run_case(parse_problem(std::string("shape=32x32 steps=4 seed=5 ") + words), *make_subject("host"));
    EXPECT_EQ(result.verdict, Verdict::pass) << words << ": " << result.reason;
  }
}

// The reference's projection of one channel cancels to 0 where production's, of gradients rounded after their scale,
// does not: V is eps1 on one side and many times that on the other.
TEST(Case, AProjectionThatCancelsIsBoundedOnBothSides) {
  const CaseResult result = run_case(
      parse_problem("shape=8x288 param=bf16 grad=bf16 storage=linear_u8 rounding=stochastic block=128 "
                    "momentum_storage=uf4 momentum_block=1024 parameter_rounding=stochastic "
                    "gradient_scale=0.10000000149011612 min_quantized_size=1 scale_parameter=false clip=0 beta1=0.9 "
                    "projection_rank=2 projection_seed=77 data=frozen:-4 init=-7 focus=projection steps=3 "
                    "seed=1046627535"),
      *make_subject("host"));
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
}

// Codes of momentum beside an outlier of 2^49 read back as 10^13, over the root of V of an element that is small:
// scales past the largest float32, whose updates would be below it.
TEST(Case, AScaleThatOverflowsAllowsAnInfiniteParameter) {
  const CaseResult result = run_case(
      parse_problem("shape=1x1023 storage=linear_u8 rounding=stochastic momentum_storage=uf4 momentum_block=256 "
                    "gradient_scale=0.3333333432674408 min_quantized_size=1 parameter_norm=carried lr=0.1 beta2=0.9 "
                    "clip=0 maximize=true beta1=0.5 projection_rank=1 projection_refresh=2 projection_seed=1 "
                    "data=nonfinite:-5 init=-4 steps=3 seed=1986997951"),
      *make_subject("host"));
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
}

// The first gradient of a recorded training has a NaN: the weight of what was before is zero in the step that comes
// then, which would hide what the skipped one left.
TEST(Case, AFirstStepThatIsSkippedLeavesStateAsItBegan) {
  TraceFile file = small_training();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(file.data.data() + file.header["grad/w@1"]["data_offsets"][0].get<size_t>(), &nan, sizeof(nan));
  const auto path = std::filesystem::path(testing::TempDir()) / "first-skipped.safetensors";
  file.write(path);
  const std::string line =
      "shape=2x3 beta1=0.9 limiter_margin=0.1 nonfinite=skip focus=nonfinite tensor=w steps=2 seed=1 trace=" +
      path.string();
  EXPECT_EQ(run(line, {}).verdict, Verdict::pass) << run(line, {}).reason;
  const auto expect_found = [&](Quantity where, const FaultySubject::Corrupt& corrupt) {
    const CaseResult result = run(line, corrupt);
    ASSERT_EQ(result.verdict, Verdict::fail) << to_string(where);
    EXPECT_EQ(*result.first_broken, where);
    EXPECT_EQ(*result.first_broken_step, 1);
  };
  expect_found(Quantity::row_stored, [](int64_t step, Observation& now, const Observation&) {
    if (step == 1) set_float(slot(now, Slot::row).values, 1, 1.0f);
  });
  expect_found(Quantity::previous_norm, [](int64_t step, Observation& now, const Observation&) {
    if (step == 1) now.previous_norm = 1;
  });
  std::filesystem::remove(path);
}

// --- what a result carries ---

TEST(Case, AResultCarriesItsLineItsQuantitiesInOrderAndItsDrift) {
  const Problem problem = parse_problem(kQuantized);
  const CaseResult result = run_case(problem, *make_subject("host"), {"mine", true});
  EXPECT_EQ(result.line, to_string(problem));
  EXPECT_EQ(result.suite, "mine");
  EXPECT_EQ(result.subject, "host");
  EXPECT_EQ(result.elements, 200 * 130);
  EXPECT_EQ(result.steps, 3);
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  EXPECT_TRUE(std::is_sorted(result.quantities.begin(), result.quantities.end(),
                             [](const auto& a, const auto& b) { return a.quantity < b.quantity; }));
  for (const auto& q : result.quantities) {
    if (q.quantity == Quantity::parameter || q.quantity == Quantity::parameter_drift) {
      EXPECT_EQ(q.ratios.total(), 3u * 200 * 130) << to_string(q.quantity);
    }
    if (q.quantity == Quantity::row || q.quantity == Quantity::row_stored) {
      EXPECT_EQ(q.ratios.total(), 3u * 200) << to_string(q.quantity);
    }
    EXPECT_EQ(q.outside, 0u);
  }
  EXPECT_EQ(result.drift.size(), 3u * 3);  // row, col, parameter
  EXPECT_TRUE(run_case(problem, *make_subject("host")).drift.empty());
}

TEST(Case, TheSameCaseGivesTheSameResult) {
  const Problem problem = parse_problem(kQuantized);
  const CaseResult a = run_case(problem, *make_subject("host")), b = run_case(problem, *make_subject("host"));
  ASSERT_EQ(a.quantities.size(), b.quantities.size());
  for (size_t i = 0; i < a.quantities.size(); ++i) {
    EXPECT_EQ(a.quantities[i].ratios.count, b.quantities[i].ratios.count);
    EXPECT_EQ(a.quantities[i].worst.ratio, b.quantities[i].worst.ratio);
  }
}

TEST(Case, AProblemThatTheSubjectCannotRunIsSkippedWithTheReason) {
  class Elsewhere final : public Subject {
   public:
    std::string name() const override { return "elsewhere"; }
    std::string cannot_run(const Problem&) const override { return "too large for it"; }
    std::unique_ptr<Session> start(const Problem&, std::span<const std::byte>) const override {
      throw std::logic_error("started");
    }
  };
  const CaseResult result = run_case(parse_problem(kPlain), Elsewhere());
  EXPECT_EQ(result.verdict, Verdict::skipped);
  EXPECT_EQ(result.reason, "too large for it");
}

TEST(Case, AnImpossibleProblemIsTheUsersError) {
  Problem empty = parse_problem(kPlain);
  empty.shape = {4, 0};
  EXPECT_THROW(run_case(empty, *make_subject("host")), InputError);
  // options that the reference takes and production does not
  for (const char* words : {"lr=1e7", "clip=1e-7", "eps1=0", "beta2_decay=-1", "beta2_decay=-2"})
    EXPECT_THROW(run_case(parse_problem(std::string("shape=4x4 steps=1 seed=1 ") + words), *make_subject("host")),
                 InputError)
        << words;
}

// --- averages that a subject keeps to itself ---

void hide_averages(int64_t, Observation& now, const Observation&) {
  std::erase_if(now.state, [](const SlotState& s) { return !info(s.slot).momentum; });
  for (auto* shown : {&now.row, &now.col, &now.second_moment, &now.confidence_row, &now.confidence_col,
                      &now.low_rank_row, &now.low_rank_col, &now.low_rank_second_moment})
    shown->reset();
}

TEST(HiddenAverages, AreTheReferencesWithinTheirGrowingBound) {
  for (const char* options : {"", "beta1=0.9", "beta1=0.9 momentum_of=update beta3=0.99", "factored=false",
                              "beta2=0.9 limiter_margin=0.01"}) {
    const std::string line = fmt::format("shape=8x8 {} storage=fp32 momentum_storage=fp32 steps=", options);
    for (const char* rest : {"2 seed=3", "12 seed=4"}) {
      const CaseResult result = run(line + rest, hide_averages);
      EXPECT_EQ(result.verdict, Verdict::pass) << line << rest << ": " << result.reason;
    }
    const CaseResult wrong =
        run(line + "6 seed=5", hide_averages, [](Problem& p) { p.options.beta2 = p.options.beta2 ? 0.905 : 0.5; });
    EXPECT_EQ(wrong.verdict, Verdict::fail) << line;
  }
  const CaseResult coded = run("shape=8x8 storage=al8 min_quantized_size=1 steps=2 seed=3", hide_averages);
  EXPECT_EQ(coded.verdict, Verdict::error) << "codes cannot be followed unseen";
}

// --- what ran away ---

TEST(OutOfRangeCase, IsJudgedByKindAndShown) {
  const CaseResult result =
      run("shape=5x7x2 grad=bf16 storage=log_u8 block=1024 min_quantized_size=1 clip=0 weight_decay=20 data=extreme:-8 "
          "init=-4 focus=weight_decay steps=12 seed=3664201824",
          {});
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  uint64_t apart = 0;
  for (const QuantityResult& q : result.quantities) apart += q.out_of_range;
  EXPECT_GT(apart, 0u);
  const CaseResult half =
      run("shape=3x3x6x8 param=f16 storage=al16 block=64 min_quantized_size=1 parameter_norm=carried lr=0.9 "
          "relative_step=true beta2_decay=-0.5 clip=0 data=extreme:-9 init=-4 focus=relative_step steps=4 "
          "seed=3864346759",
          {});
  EXPECT_EQ(half.verdict, Verdict::pass) << half.reason;
}

TEST(OutOfRangeCase, OfAnotherKindFails) {
  const std::string line =
      "shape=5x7x2 grad=bf16 storage=log_u8 block=1024 min_quantized_size=1 clip=0 weight_decay=20 data=extreme:-8 "
      "init=-4 steps=12 seed=3664201824";
  // a number where the reference has left them
  const CaseResult number = run(line, [](int64_t step, Observation& now, const Observation&) {
    if (step == 7) set_float(now.parameter, 64, 1);
  });
  EXPECT_EQ(number.verdict, Verdict::fail);
  EXPECT_EQ(number.first_broken_step, 7);
  // no number where the reference has one
  const CaseResult early = run(line, [](int64_t step, Observation& now, const Observation&) {
    if (step == 6) set_float(now.parameter, 64, std::numeric_limits<float>::infinity());
  });
  EXPECT_EQ(early.verdict, Verdict::fail);
  EXPECT_EQ(early.first_broken_step, 6);
}

TEST(OutOfRangeCase, WithoutAFiniteStepIsVacuous) {
  const CaseResult result =
      run("shape=4x4 param=f16 lr=1e6 scale_parameter=false clip=0 storage=fp32 steps=2 seed=1", {});
  EXPECT_EQ(result.verdict, Verdict::vacuous);
  EXPECT_EQ(result.reason, "every value ran out of range");
}

}  // namespace
}  // namespace plumbline::harness
