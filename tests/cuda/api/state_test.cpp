// State in and out: decoded, raw, and from one precision to another.
#include "cuda/api/state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/cuda/api/training.h"

namespace plumbline {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Setting {
  const char* name;
  GroupOptions options;
  std::vector<int64_t> shape;
};

// Every slot, every storage and every rounding somewhere.
std::vector<Setting> settings() {
  return {
      {"factored", options_of({{"storage", "al8"}, {"parameter_norm", "carried"}}), {3, 20, 33}},
      {"full", options_of({{"factored", "false"}, {"storage", "log_u8"}, {"beta1", "0.9"}}), {21, 131}},
      {"momentum",
       options_of({{"storage", "al16"},
                   {"rounding", "stochastic"},
                   {"beta1", "0.9"},
                   {"momentum_of", "update"},
                   {"momentum_rounding", "dither"},
                   {"limiter_margin", "0.01"}}),
       {2, 30, 45}},
      {"came",
       options_of({{"storage", "al8"},
                   {"rounding", "dither"},
                   {"beta2", "0.9"},
                   {"beta1", "0.9"},
                   {"momentum_of", "update"},
                   {"beta3", "0.9"},
                   {"momentum_storage", "uf8"},
                   {"momentum_rounding", "stochastic"}}),
       {40, 301}},
      {"projected",
       options_of({{"projection_rank", "3"},
                   {"beta1", "0.9"},
                   {"beta2", "0.99"},
                   {"storage", "linear_u8"},
                   {"momentum_storage", "bf16"},
                   {"momentum_rounding", "stochastic"},
                   {"limiter_margin", "0.01"}}),
       {33, 20}},
      {"low_rank_factors",
       options_of({{"projection_rank", "5"},
                   {"projection_factored", "true"},
                   {"beta1", "0.9"},
                   {"momentum_rounding", "stochastic"}}),
       {12, 40}},
  };
}

Training make_training(const Setting& setting, const GroupOptions& options) {
  return Training({{"w", setting.shape}, {"b", {77}}}, {options});
}

bool same_values(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
bool same_values(const DecodedState& a, const DecodedState& b) {
  if (a.steps_taken != b.steps_taken || a.slots.size() != b.slots.size() || a.previous_norm != b.previous_norm)
    return false;
  for (size_t i = 0; i < a.slots.size(); ++i) {
    if (a.slots[i].name != b.slots[i].name || !same_values(a.slots[i].values, b.slots[i].values)) return false;
  }
  return true;
}

TEST(State, RawStateContinuesWithTheSameBits) {
  for (const Setting& setting : settings()) {
    Training a = make_training(setting, setting.options), b = make_training(setting, setting.options);
    for (int t = 1; t <= 3; ++t) a.step(t);
    for (int i = 0; i < 2; ++i) b.optimizer.import_raw(i, a.optimizer.steps_taken(i), a.optimizer.export_raw(i));
    b.parameters = a.parameters;
    for (size_t i = 0; i < 2; ++i) b.pointers[i].parameter = b.parameters[i].data();
    ASSERT_TRUE(same_training(a, b)) << setting.name;
    for (int t = 4; t <= 6; ++t) {
      a.step(t);
      b.step(t);
      ASSERT_TRUE(same_training(a, b)) << setting.name << " step " << t;
    }
  }
}

TEST(State, LayoutsSayTheShapeOfTheValues) {
  const std::vector<Setting> all = settings();
  const auto shape = [&](size_t setting, std::string_view slot) {
    const Training run = make_training(all[setting], all[setting].options);
    for (const SlotLayout& layout : run.optimizer.slot_layouts(0)) {
      int64_t size = 1;
      for (const int64_t extent : layout.shape) size *= extent;
      EXPECT_EQ(size, layout.count) << layout.name;
      if (layout.name == slot) return layout.shape;
    }
    ADD_FAILURE() << slot;
    return std::vector<int64_t>{};
  };
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shape(0, "row"), (Shape{3, 20}));
  EXPECT_EQ(shape(0, "col"), (Shape{3, 33}));
  EXPECT_EQ(shape(1, "second_moment"), (Shape{21, 131}));
  EXPECT_EQ(shape(2, "momentum"), (Shape{2, 30, 45}));
  EXPECT_EQ(shape(3, "confidence_col"), (Shape{301}));
  EXPECT_EQ(shape(4, "low_rank_momentum"), (Shape{33, 3}));
  EXPECT_EQ(shape(5, "low_rank_col"), (Shape{40}));
}

TEST(State, DecodedStateRunsOnInAnotherOptimizer) {
  for (const Setting& setting : settings()) {
    Training a = make_training(setting, setting.options);
    for (int t = 1; t <= 3; ++t) a.step(t);
    GroupOptions wide = setting.options;
    wide.storage = wide.momentum_storage = Storage::fp32;
    Training b = make_training(setting, wide);
    for (int i = 0; i < 2; ++i) {
      const DecodedState state = a.optimizer.export_decoded(i);
      b.optimizer.import_decoded(i, state);
      // float32 holds every decoded value
      EXPECT_TRUE(same_values(b.optimizer.export_decoded(i), state)) << setting.name;
      EXPECT_EQ(b.optimizer.steps_taken(i), 3);
    }
    // and the next step starts from them: the first of a uses the same, whatever it stores afterwards
    b.parameters = a.parameters;
    for (size_t i = 0; i < 2; ++i) b.pointers[i].parameter = b.parameters[i].data();
    a.step(4);
    b.step(4);
    if (!setting.options.beta1) {
      EXPECT_EQ(a.parameters, b.parameters) << setting.name;
    }
    const StepRecord x = a.optimizer.last_step(0), y = b.optimizer.last_step(0);
    EXPECT_EQ(x.row, y.row) << setting.name;
    EXPECT_EQ(x.col, y.col) << setting.name;
    EXPECT_EQ(x.parameter_rms, y.parameter_rms) << setting.name;  // a carried norm is formed anew
    EXPECT_EQ(x.bias, y.bias) << setting.name;
  }
}

TEST(State, NearestCodesOfDecodedValuesAreTheSameCodes) {
  for (const char* storage : {"al8", "log_u8", "linear_u8", "al16"}) {
    const GroupOptions options =
        options_of({{"storage", storage}, {"beta1", "0.9"}, {"momentum_storage", "uf8"}, {"block", "64"}});
    Training a({{"w", {90, 130}}}, {options}), b({{"w", {90, 130}}}, {options});
    for (int t = 1; t <= 4; ++t) a.step(t);
    b.optimizer.import_decoded(0, a.optimizer.export_decoded(0));
    const auto x = a.optimizer.export_raw(0), y = b.optimizer.export_raw(0);
    for (size_t k = 0; k < x.size(); ++k) EXPECT_EQ(x[k].values, y[k].values) << storage << " " << x[k].name;
  }
}

template <class Change>
void expect_rejected(Training& run, const Change& change, const char* what) {
  const DecodedState before = run.optimizer.export_decoded(0);
  DecodedState state = before;
  change(state);
  try {
    run.optimizer.import_decoded(0, state);
    ADD_FAILURE() << "accepted, expected: " << what;
  } catch (const OptionError& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
  EXPECT_TRUE(same_values(run.optimizer.export_decoded(0), before));
}

TEST(State, DecodedStateThatDoesNotFitIsNamedAndChangesNothing) {
  Training run({{"w", {20, 30}}}, {options_of({{"beta1", "0.9"}, {"limiter_margin", "0.1"}})});
  run.step(1);
  expect_rejected(
      run, [](auto& s) { s.slots.pop_back(); }, "slot 'momentum' is missing");
  expect_rejected(
      run, [](auto& s) { s.slots[1].name = "column"; }, "slot 'column': the tensor has none");
  expect_rejected(
      run, [](auto& s) { s.slots[1].name = "second_moment"; }, "slot 'second_moment': the tensor has none");
  expect_rejected(
      run, [](auto& s) { s.slots.push_back(s.slots[0]); }, "slot 'row' is given twice");
  expect_rejected(
      run, [](auto& s) { s.slots[0].values.push_back(1); }, "slot 'row': 21 values, expected 20");
  expect_rejected(
      run, [](auto& s) { s.slots[0].values[7] = -1e-20f; }, "slot 'row': value 7: -1e-20, expected >= 0");
  expect_rejected(
      run, [](auto& s) { s.steps_taken = -1; }, "steps taken: -1");
  expect_rejected(
      run, [](auto& s) { s.previous_norm = -2; }, "previous norm: -2, expected >= 0");
  EXPECT_THROW((void)run.optimizer.export_raw(0, "confidence_row"), OptionError);
  EXPECT_THROW(run.optimizer.import_decoded(1, {}), OptionError);
}

// Changes one byte or scale of a good state and expects that import names it.
struct Damage {
  const char* slot;
  OptionList options;
  void (*change)(RawSlot&);
  const char* what;
};

TEST(State, BytesThatNoWriteMakesAreRejected) {
  const Damage damages[] = {
      {"momentum", {{"momentum_storage", "uf8"}}, [](RawSlot& s) { s.values[5] = std::byte(0x80); }, "code -128"},
      {"momentum",
       {{"momentum_storage", "uf8"}, {"momentum_rounding", "stochastic"}},
       [](RawSlot& s) { s.values[5] = std::byte(127); },
       "code 127, expected -126 to 126"},
      {"momentum", {}, [](RawSlot& s) { s.values[3] = std::byte(0x80); }, "value 6: code -8"},
      {"momentum", {}, [](RawSlot& s) { s.values[3] = std::byte(0x08); }, "value 7: code -8, expected -6 to 6"},
      {"momentum",
       {{"momentum_of", "update"}, {"momentum_rounding", "dither"}},
       [](RawSlot& s) { s.values[3] = std::byte(0x70); },
       "code 7"},
      {"momentum", {}, [](RawSlot& s) { s.values[16] |= std::byte(1); }, "unused half of its last byte is 1"},
      {"momentum", {}, [](RawSlot& s) { s.scales[0] = 0; }, "expected 0 to 0"},
      {"momentum", {}, [](RawSlot& s) { s.scales[0] = -0.0f; }, "scale"},
      {"momentum", {}, [](RawSlot& s) { s.scales[0] = 0x1p-101f; }, "scale"},
      {"momentum", {}, [](RawSlot& s) { s.scales[0] = kNan; }, "scale"},  // 0x7fc00000: not the canonical one
      {"momentum", {}, [](RawSlot& s) { s.scales[0] = core::canonical_nan(); }, "code"},
      {"row", {}, [](RawSlot& s) { s.scales[0] = core::canonical_nan(); }, "scale"},  // and r is not 1
      {"row", {}, [](RawSlot& s) { s.scales[1] = 0; }, "scale"},
      {"row", {{"storage", "log_u8"}}, [](RawSlot& s) { s.scales[0] = -125; }, "scale"},
      {"row", {{"storage", "linear_u8"}}, [](RawSlot& s) { s.scales[0] = HUGE_VALF; }, "scale"},
      {"row", {{"storage", "fp32"}}, [](RawSlot& s) { s.values[4 * 2 + 3] |= std::byte(0x80); }, "value 2: -"},
      {"row",
       {{"storage", "fp32"}},
       [](RawSlot& s) { std::memcpy(s.values.data() + 4, &kNan, 4); },
       "value 1: a NaN that is not the canonical one"},
      {"momentum",
       {{"momentum_storage", "bf16"}},
       [](RawSlot& s) { s.values[0] = s.values[1] = std::byte(0xff); },
       "value 0: a NaN that is not the canonical one"},
      {"row", {}, [](RawSlot& s) { s.writes += 1; }, "writes"},
      {"previous_norm",
       {{"limiter_margin", "0.1"}},
       [](RawSlot& s) { s.values[7] |= std::byte(0x80); },
       "slot 'previous_norm': -"},
      {"parameter_norm",
       {{"parameter_norm", "carried"}},
       [](RawSlot& s) { s.values[7] |= std::byte(0x80); },
       "slot 'parameter_norm': -"},
  };
  for (const Damage& damage : damages) {
    GroupOptions options = options_of({{"beta1", "0.9"}, {"momentum_storage", "uf4"}});
    for (const auto& [name, value] : damage.options) set_option(options, name, value);
    Training run({{"w", {20, 33}}}, {options}), same({{"w", {20, 33}}}, {options});
    run.step(1);
    same.step(1);
    std::vector<RawSlot> slots = run.optimizer.export_raw(0);
    ASSERT_NO_THROW(run.optimizer.check_raw(0, 1, slots));
    const auto slot = std::find_if(slots.begin(), slots.end(), [&](const RawSlot& s) { return s.name == damage.slot; });
    ASSERT_NE(slot, slots.end()) << damage.slot;
    damage.change(*slot);
    try {
      run.optimizer.import_raw(0, 1, slots);
      ADD_FAILURE() << damage.slot << ": accepted, expected: " << damage.what;
    } catch (const OptionError& error) {
      EXPECT_NE(std::string(error.what()).find(damage.what), std::string::npos) << error.what();
    }
    EXPECT_TRUE(same_training(run, same)) << damage.slot;
  }
}

TEST(State, AFreshStateAndOneOfNansAreImported) {
  for (const Setting& setting : settings()) {
    GroupOptions options = setting.options;
    options.nonfinite = Nonfinite::propagate;
    Training fresh = make_training(setting, options), bad = make_training(setting, options),
             to = make_training(setting, options);
    for (int i = 0; i < 2; ++i) to.optimizer.import_raw(i, 0, fresh.optimizer.export_raw(i));
    EXPECT_TRUE(same_state(fresh.optimizer, to.optimizer)) << setting.name;
    bad.step(1);
    bad.gradients[0].set(3, kNan);
    bad.optimizer.step(bad.pointers);
    for (int i = 0; i < 2; ++i) to.optimizer.import_raw(i, 2, bad.optimizer.export_raw(i));
    EXPECT_TRUE(same_state(bad.optimizer, to.optimizer)) << setting.name;
    for (int i = 0; i < 2; ++i) to.optimizer.import_decoded(i, bad.optimizer.export_decoded(i));
  }
}

TEST(Precision, WiderStateHasTheSameValues) {
  for (const Setting& setting : settings()) {
    Training run = make_training(setting, setting.options);
    for (int t = 1; t <= 3; ++t) run.step(t);
    const DecodedState before[] = {run.optimizer.export_decoded(0), run.optimizer.export_decoded(1)};
    run.optimizer.set_lr(0.125);
    run.optimizer.set_gradient_multiplier(0.5f);
    Precision wide = precision_of(setting.options);
    wide.storage = wide.momentum_storage = Storage::fp32;
    const size_t bytes = run.optimizer.state_bytes();
    run.optimizer.set_precision(wide);
    EXPECT_GT(run.optimizer.state_bytes(), bytes);
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(same_values(run.optimizer.export_decoded(i), before[i])) << setting.name;
    }
    EXPECT_EQ(run.optimizer.gradient_multiplier(), 0.5f);
    EXPECT_EQ(precision_of(run.optimizer.groups()[0]), wide);
    run.step(4);
    EXPECT_EQ(run.optimizer.last_step(0).step, 4);
    EXPECT_EQ(run.optimizer.groups()[0].lr, 0.125);
  }
}

// What follows is what an optimizer of that precision does from the same values.
TEST(Precision, ASwitchEqualsAnImportOfTheValues) {
  for (const Setting& setting : settings()) {
    for (const char* target : {"fp32", "al8", "linear_u8"}) {
      GroupOptions changed = setting.options;
      set_option(changed, "storage", target);
      changed.rounding = Rounding::nearest;
      changed.block = 128;
      changed.momentum_storage = Storage::uf8;
      changed.momentum_rounding = Rounding::stochastic;
      const Precision precision = precision_of(changed);
      Training a = make_training(setting, setting.options);
      for (int t = 1; t <= 3; ++t) a.step(t);
      Training b = make_training(setting, changed);
      // as many writes as a has, so that the same random numbers follow
      for (int t = 1; t <= 3; ++t) b.step(t);
      for (int i = 0; i < 2; ++i) b.optimizer.import_decoded(i, a.optimizer.export_decoded(i));
      a.optimizer.set_precision(precision);
      b.parameters = a.parameters;
      for (size_t i = 0; i < 2; ++i) b.pointers[i].parameter = b.parameters[i].data();
      for (int t = 4; t <= 6; ++t) {
        a.step(t);
        b.step(t);
        ASSERT_EQ(a.parameters, b.parameters) << setting.name << " to " << target << " step " << t;
      }
      EXPECT_TRUE(same_state(a.optimizer, b.optimizer)) << setting.name << " to " << target;
    }
  }
}

TEST(Precision, SlotsThatKeepTheirFormKeepTheirBits) {
  const GroupOptions options = options_of({{"beta1", "0.9"}, {"storage", "al8"}, {"momentum_storage", "uf8"}});
  Training run({{"w", {40, 50}}}, {options});
  for (int t = 1; t <= 3; ++t) run.step(t);
  const RawSlot row = run.optimizer.export_raw(0, "row"), momentum = run.optimizer.export_raw(0, "momentum");
  Precision precision = precision_of(options);
  run.optimizer.set_precision(precision);
  EXPECT_TRUE(same_slot(run.optimizer.export_raw(0, "row"), row));  // nothing changes, not even the count of writes
  precision.momentum_storage = Storage::uf4;
  run.optimizer.set_precision(precision);
  EXPECT_EQ(run.optimizer.export_raw(0, "row").values, row.values);
  EXPECT_EQ(run.optimizer.export_raw(0, "row").writes, row.writes + 1);
  EXPECT_EQ(run.optimizer.export_raw(0, "momentum").storage, Storage::uf4);
  precision.min_quantized_size = 1 << 20;
  run.optimizer.set_precision(precision);
  EXPECT_EQ(run.optimizer.export_raw(0, "row").storage, Storage::fp32);
}

TEST(Precision, BeforeTheFirstStepItIsAsIfMadeSo) {
  for (const Setting& setting : settings()) {
    Precision precision = precision_of(setting.options);
    precision.storage = Storage::al16;
    precision.momentum_storage = Storage::uf4;
    Training a = make_training(setting, setting.options),
             b = make_training(setting, with_precision(setting.options, precision));
    a.optimizer.set_precision(precision);
    for (int t = 1; t <= 3; ++t) {
      a.step(t);
      b.step(t);
    }
    EXPECT_TRUE(same_training(a, b)) << setting.name;
  }
}

TEST(Precision, TheOtherGroupIsLeftAlone) {
  const GroupOptions options = options_of({{"beta1", "0.9"}, {"storage", "al16"}, {"rounding", "dither"}});
  Training a({{"w", {40, 50}}, {"v", {40, 50}, Type::float32, Type::float32, 1}}, {options, options});
  Training b({{"w", {40, 50}}, {"v", {40, 50}, Type::float32, Type::float32, 1}}, {options, options});
  for (int t = 1; t <= 2; ++t) a.step(t), b.step(t);
  Precision precision = precision_of(options);
  precision.storage = Storage::fp32;
  a.optimizer.set_precision(precision, nullptr, 1);
  for (int t = 3; t <= 4; ++t) a.step(t), b.step(t);
  EXPECT_EQ(a.parameters[0], b.parameters[0]);
  EXPECT_TRUE(same_slot(a.optimizer.export_raw(0, "row"), b.optimizer.export_raw(0, "row")));
  EXPECT_EQ(a.optimizer.export_raw(1, "row").storage, Storage::fp32);
}

// A resource that refuses after a number of allocations.
class Refusing final : public MemoryResource {
 public:
  void* allocate(size_t bytes) override {
    if (left-- == 0) throw std::bad_alloc();
    live += bytes;
    return ::operator new (bytes, std::align_val_t{256});
  }
  void deallocate(void* memory, size_t bytes) noexcept override {
    live -= bytes;
    ::operator delete (memory, std::align_val_t{256});
  }
  int left = -1;
  size_t live = 0;
};

TEST(Precision, ARejectedSwitchChangesNothing) {
  Refusing memory;
  OptimizerConfig config;
  config.memory = &memory;
  const GroupOptions options = options_of({{"beta1", "0.9"}});
  Training a({{"w", {40, 50}}}, {options}, config), b({{"w", {40, 50}}}, {options});
  a.step(1), b.step(1);
  const size_t live = memory.live;
  Precision precision = precision_of(options);
  precision.block = 100;
  EXPECT_THROW(a.optimizer.set_precision(precision), OptionError);
  precision = precision_of(options);
  precision.storage = Storage::uf4;
  EXPECT_THROW(a.optimizer.set_precision(precision), OptionError);
  precision.storage = Storage::fp32;
  EXPECT_THROW(a.optimizer.set_precision(precision, nullptr, 1), OptionError);
  for (const int allowed : {0, 1}) {
    memory.left = allowed;
    EXPECT_THROW(a.optimizer.set_precision(precision), std::bad_alloc);
    EXPECT_EQ(memory.live, live);
  }
  memory.left = -1;
  a.step(2), b.step(2);
  EXPECT_TRUE(same_training(a, b));
  a.optimizer.set_precision(precision);
  EXPECT_EQ(memory.live, a.optimizer.state_bytes() + a.optimizer.scratch_bytes());
}

TEST(GradientScale, IsReadByEveryStep) {
  const GroupOptions options = options_of({{"beta1", "0.9"}, {"nonfinite", "skip"}});
  for (const Backend backend : {Backend::host, Backend::emulator}) {
    OptimizerConfig config;
    config.backend = backend;
    Training scaled({{"w", {20, 30}}, {"b", {50}}}, {options}, config),
        plain({{"w", {20, 30}}, {"b", {50}}}, {options});
    float scale = 1024;
    scaled.optimizer.set_gradient_scale(&scale);
    for (int t = 1; t <= 4; ++t) {
      scale = std::ldexp(1.0f, 3 * t);  // powers of two: the same gradients, exactly
      scaled.step(t, scale);
      plain.step(t);
      ASSERT_TRUE(same_training(scaled, plain)) << t;
    }
    EXPECT_EQ(scaled.optimizer.last_step(0).multiplier, 0x1p-12f);
    EXPECT_EQ(scaled.optimizer.gradient_multiplier(), 1);
    // a scale that has run away: nothing is updated
    for (const float bad : {0.0f, -1.0f, HUGE_VALF, kNan}) {
      scale = bad;
      scaled.step(5);
      EXPECT_TRUE(scaled.optimizer.last_step(0).skipped);
      EXPECT_EQ(scaled.optimizer.last_step(0).nonfinite, 600);
      EXPECT_EQ(scaled.parameters, plain.parameters);
      EXPECT_TRUE(same_state(scaled.optimizer, plain.optimizer));
    }
    scaled.optimizer.set_gradient_scale(nullptr);  // back to the multiplier, which nobody set again
    scaled.step(5);
    plain.step(5);
    EXPECT_TRUE(same_training(scaled, plain));
    EXPECT_THROW(scaled.optimizer.set_gradient_scale(reinterpret_cast<const float*>(uintptr_t(2))), OptionError);
  }
}

TEST(GradientScale, SurvivesAChangeOfPrecision) {
  const GroupOptions options = options_of({});
  Training run({{"w", {20, 30}}}, {options});
  float scale = 4;
  run.optimizer.set_gradient_scale(&scale);
  Precision precision = precision_of(options);
  precision.storage = Storage::al16;
  run.optimizer.set_precision(precision);
  run.step(1);
  EXPECT_EQ(run.optimizer.last_step(0).multiplier, 0.25f);
}

TEST(GradientScale, GivesTheMultiplierBackHoweverItEnds) {
  const GroupOptions options = options_of({{"nonfinite", "skip"}});
  for (const Backend backend : {Backend::host, Backend::emulator})
    for (const bool precision_changes : {false, true})
      for (const float last : {1024.0f, 0.0f, kNan}) {
        OptimizerConfig config;
        config.backend = backend;
        Training run({{"w", {20, 30}}}, {options}, config);
        run.optimizer.set_gradient_multiplier(0.5f);
        float scale = last;
        run.optimizer.set_gradient_scale(&scale);
        run.step(1);
        EXPECT_EQ(run.optimizer.last_step(0).skipped, last != 1024.0f);
        run.optimizer.set_gradient_scale(nullptr);
        if (precision_changes) {
          Precision precision = precision_of(options);
          precision.storage = Storage::al16;
          run.optimizer.set_precision(precision);
          EXPECT_EQ(run.optimizer.last_step(0).step, 0);
        }
        run.step(2);
        EXPECT_FALSE(run.optimizer.last_step(0).skipped);
        EXPECT_EQ(run.optimizer.last_step(0).multiplier, 0.5f);
        EXPECT_EQ(run.optimizer.gradient_multiplier(), 0.5f);
        run.optimizer.set_gradient_multiplier(0.25f);
        run.step(3);
        EXPECT_EQ(run.optimizer.last_step(0).multiplier, 0.25f);
      }
}

}  // namespace
}  // namespace plumbline
