#include "cuda/api/presets.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/cuda/api/training.h"

namespace plumbline {
namespace {

std::set<std::string> slots(const Training& run) {
  std::set<std::string> names;
  for (const SlotLayout& slot : run.optimizer.slot_layouts(0)) names.insert(slot.name);
  return names;
}

TEST(Presets, EachIsValidAndKeepsTheSlotsOfItsMethod) {
  const std::map<std::string_view, std::set<std::string>> expected = {
      {"adafactor", {"row", "col"}},
      {"came", {"row", "col", "momentum", "confidence_row", "confidence_col"}},
      {"apollo", {"low_rank_momentum", "low_rank_second_moment", "previous_norm"}},
      {"apollo_mini", {"low_rank_momentum", "low_rank_second_moment", "previous_norm"}},
      {"adam_style", {"second_moment", "momentum"}}};
  ASSERT_EQ(presets::names().size(), expected.size());
  for (const std::string_view name : presets::names()) {
    const GroupOptions options = presets::by_name(name);
    EXPECT_NO_THROW(validate(options)) << name;
    EXPECT_EQ(options.momentum_rounding, Rounding::stochastic) << name;
    EXPECT_EQ(options.parameter_rounding, Rounding::stochastic) << name;
    Training run({{"w", {256, 260}}}, {options});
    const Values before = run.parameters[0];
    run.step(1);
    EXPECT_FALSE(run.parameters[0] == before) << name;
    EXPECT_EQ(slots(run), expected.at(name)) << name;
  }
}

TEST(Presets, AnUnknownNameListsTheKnownOnes) {
  try {
    presets::by_name("adamw");
    FAIL();
  } catch (const OptionError& error) {
    EXPECT_STREQ(error.what(),
                 "preset 'adamw': unknown, expected one of adafactor, came, apollo, apollo_mini, adam_style");
  }
}

TEST(Presets, AdamStyleIsAdam) {
  GroupOptions options = presets::adam_style();
  options.storage = options.momentum_storage = Storage::fp32;
  options.weight_decay = 0.1;
  Training run({{"w", {7, 9}}}, {options});
  const auto value = [](Values& from, size_t i) {
    float x;
    std::memcpy(&x, from.span().data() + 4 * i, 4);
    return double(x);
  };
  double p[63], m[63] = {}, v[63] = {};
  for (size_t i = 0; i < 63; ++i) p[i] = value(run.parameters[0], i);
  for (int t = 1; t <= 30; ++t) {
    run.step(t);
    for (size_t i = 0; i < 63; ++i) {
      const double g = value(run.gradients[0], i);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const double step = 1e-3 * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
      p[i] -= 1e-3 * 0.1 * p[i] + step * m[i] / (std::sqrt(v[i]) + 1e-10);
      ASSERT_NEAR(value(run.parameters[0], i), p[i], 1e-6) << t;
    }
  }
}

// The update of a first step has RMS 1 and is clipped to that: |dp| = 1e-2 RMS(p) on the average.
TEST(Presets, AdafactorTakesTheRelativeStepOfThePaper) {
  Training run({{"w", {40, 50}}}, {presets::adafactor()});
  for (int t = 1; t <= 3; ++t) {
    run.step(t);
    const StepRecord record = run.optimizer.last_step(0);
    EXPECT_DOUBLE_EQ(record.step_size, 1e-2 * record.parameter_rms);
    EXPECT_EQ(record.bias, 1);
  }
}

TEST(Presets, MiniMultipliesByTheRootOfItsScale) {
  GroupOptions one = presets::apollo_mini();
  one.projection_scale = 1;
  Training mini({{"w", {64, 70}}}, {presets::apollo_mini()}), plain({{"w", {64, 70}}}, {one});
  mini.step(1);
  plain.step(1);
  const double a = mini.optimizer.last_step(0).update_norm, b = plain.optimizer.last_step(0).update_norm;
  EXPECT_GT(a, 0);
  EXPECT_EQ(a, b);  // the limiter sees the norm before it
  EXPECT_FALSE(mini.parameters[0] == plain.parameters[0]);
}

}  // namespace
}  // namespace plumbline
