// Every path of the twin with every option that acts, against the canonical order written element by element.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "cuda/api/optimizer.h"
#include "cuda/core/number.h"
#include "tests/cuda/straight_step.h"

namespace plumbline {
namespace {

struct alignas(16) Word {
  float x[4] = {};
};

// Elements in their type, and as the float32 that they are.
struct Data {
  Type type;
  std::vector<Word> words;
  std::vector<float> values;
  Data(const std::vector<float>& x, Type t) : type(t), words(x.size() / 4 + 1), values(x) {
    for (size_t i = 0; i < x.size(); ++i) {
      if (type == Type::float32) {
        at<float>()[i] = x[i];
      } else if (type == Type::bfloat16) {
        core::narrow(x[i], at<core::bf16>()[i]);
      } else {
        core::narrow(x[i], at<core::f16>()[i]);
      }
    }
    read();
  }
  void read() {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = type == Type::float32    ? at<float>()[i]
                  : type == Type::bfloat16 ? core::widen(at<core::bf16>()[i])
                                           : core::widen(at<core::f16>()[i]);
    }
  }
  template <class T>
  T* at() {
    return reinterpret_cast<T*>(words.data());
  }
};

// Values spread over six octaves, rows of their own magnitude, some exact zeros.
std::vector<float> random_values(int64_t n, double scale, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> x;
  for (int64_t i = 0; i < n; ++i) {
    const double unit = std::ldexp(double(random() >> 11), -52) - 1.0;
    const bool zero = random() % 29 == 0;
    x.push_back(zero ? 0.0f : float(unit * scale * std::ldexp(1.0, -int(random() % 6)) * (1.0 + double(i / 37 % 5))));
  }
  return x;
}

int64_t product(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

struct Setting {
  const char* name;
  std::vector<int64_t> shape;
  std::vector<std::pair<const char*, const char*>> options;
  Type parameter = Type::float32, gradient = Type::float32;
  float multiplier = 1.0f;
  bool nonfinite = false;  // every second gradient has elements under the policy
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

class Steps : public testing::TestWithParam<Setting> {};

TEST_P(Steps, GiveTheBitsOfTheCanonicalOrder) {
  const Setting& setting = GetParam();
  GroupOptions options;
  options.min_quantized_size = 0;
  options.block = 64;
  for (const auto& [name, value] : setting.options) set_option(options, name, value);
  const int64_t size = product(setting.shape);
  const TensorSpec spec{"w", setting.shape, setting.parameter, setting.gradient, 0};
  for (const int threads : {1, 2}) {
    OptimizerConfig config;
    config.record_second_moment = true;
    config.threads = threads;
    Optimizer twin({spec}, {options}, config);
    if (setting.multiplier != 1.0f) twin.set_gradient_multiplier(setting.multiplier);
    straight_line::Step straight(spec, options);
    Data p(random_values(size, 0.5, 7), setting.parameter);
    std::vector<float> expected = p.values;
    for (int k = 1; k <= 4; ++k) {
      std::vector<float> raw = random_values(size, k == 3 ? 0.3 : 1e-2, 100 + uint64_t(k));
      if (setting.nonfinite && k % 2 == 0) {
        raw[0] = std::numeric_limits<float>::infinity();
        raw[size_t(size) / 2] = -std::nanf("");
        raw[size_t(size) - 1] = -0x1p50f;
      }
      Data g(raw, setting.gradient);
      const TensorPointers pointers[] = {{p.words.data(), g.words.data()}};
      twin.step(pointers);
      straight.step(g.values, expected, setting.multiplier);
      p.read();
      const StepRecord record = twin.last_step(0);
      const core::StepScalars& s = straight.scalars();
      ASSERT_EQ(record.nonfinite, s.nonfinite) << k;
      ASSERT_EQ(twin.steps_taken(0), straight.clock().t) << k;
      if (!record.skipped) {
        ASSERT_TRUE(same_bits(record.row, straight.row) && same_bits(record.col, straight.col)) << k;
        ASSERT_TRUE(same_bits(record.second_moment, straight.second_moment)) << k;
        ASSERT_TRUE(same_bits(record.momentum, straight.momentum)) << k;
        ASSERT_TRUE(same_bits(record.confidence_row, straight.confidence_row)) << k;
        ASSERT_TRUE(same_bits(record.confidence_col, straight.confidence_col)) << k;
        ASSERT_TRUE(same_bits(record.low_rank_gradient, straight.low_rank_gradient)) << k;
        ASSERT_TRUE(same_bits(record.low_rank_momentum, straight.low_rank_momentum)) << k;
        ASSERT_TRUE(same_bits(record.low_rank_second_moment, straight.low_rank_second_moment)) << k;
        ASSERT_TRUE(same_bits(record.low_rank_row, straight.low_rank_row)) << k;
        ASSERT_TRUE(same_bits(record.low_rank_col, straight.low_rank_col)) << k;
        ASSERT_TRUE(same_bits(record.channel_scale, straight.channel_scale)) << k;
        ASSERT_EQ(record.clip, s.clip) << k;
        ASSERT_EQ(record.bias, s.bias) << k;
        ASSERT_EQ(record.limiter, s.limiter) << k;
        if (options.limiter_margin) {
          ASSERT_EQ(record.update_norm, s.update_norm) << k;
        }
      }
      ASSERT_TRUE(same_bits(p.values, expected)) << k;
      for (int kind = 0; kind < kSlots; ++kind) {
        if (straight.plan().slot[kind].count == 0) continue;
        ASSERT_TRUE(
            same_bits(twin.export_decoded(0, slot_name(SlotKind(kind))), straight.slot(SlotKind(kind)).values()))
            << k << " " << slot_name(SlotKind(kind));
      }
    }
  }
}

constexpr Type kHalf = Type::float16, kBrain = Type::bfloat16, kSingle = Type::float32;
#define MOMENTUM \
  { "beta1", "0.9" }
#define UPDATE \
  MOMENTUM, { "momentum_of", "update" }
#define CAME \
  UPDATE, { "beta3", "0.99" }
#define UF4 \
  { "momentum_storage", "uf4" }
#define LIMITED \
  { "limiter_margin", "0.01" }
#define PROJECTED(rank) \
  { "projection_rank", rank }

const Setting kSettings[] = {
    {"gradient_uf4", {70, 201}, {MOMENTUM, UF4}},
    {"gradient_uf4_batch", {3, 20, 71}, {MOMENTUM, UF4, {"momentum_block", "64"}, {"beta2", "0.99"}}, kBrain, kHalf},
    {"gradient_uf8", {70, 300}, {MOMENTUM, {"momentum_storage", "uf8"}, {"clip", "0.3"}}},
    {"gradient_bf16", {70, 65}, {MOMENTUM, {"momentum_storage", "bf16"}, {"relative_step", "true"}}},
    {"gradient_fp32", {70, 65}, {MOMENTUM, {"momentum_storage", "fp32"}, {"maximize", "true"}}},
    {"gradient_stochastic", {33, 201}, {MOMENTUM, {"momentum_rounding", "stochastic"}, {"seed", "77"}}},
    {"gradient_uf8_nearest",
     {33, 601},
     {{"beta1", "0.5"},
      {"momentum_storage", "uf8"},
      {"momentum_rounding", "nearest"},
      {"storage", "al16"},
      {"rounding", "dither"}}},
    {"gradient_bf16_stochastic",
     {33, 61},
     {MOMENTUM, {"momentum_storage", "bf16"}, {"momentum_rounding", "stochastic"}}},
    {"gradient_limited", {33, 201}, {MOMENTUM, LIMITED, {"clip", "0"}}},
    {"gradient_full_uf4", {3, 50, 61}, {MOMENTUM, UF4, {"factored", "false"}}},
    {"gradient_full_vector", {5001}, {MOMENTUM, {"momentum_storage", "uf8"}, {"momentum_rounding", "stochastic"}}},
    {"update_full_dither", {2, 3001}, {UPDATE, {"factored", "false"}, {"momentum_rounding", "dither"}, LIMITED}},
    {"update_nearest", {70, 201}, {UPDATE, {"momentum_rounding", "nearest"}}},
    {"update_uf4", {70, 201}, {UPDATE, UF4}},
    {"update_limited", {3, 40, 201}, {UPDATE, LIMITED, {"clip", "0.5"}}},
    {"update_full", {3, 50, 61}, {UPDATE, {"factored", "false"}, {"clip", "0.5"}}},
    {"update_full_limited", {5001}, {UPDATE, LIMITED, {"momentum_storage", "bf16"}}},
    {"came", {70, 201}, {CAME, UF4}},
    {"came_batch_limited", {3, 40, 90}, {CAME, LIMITED, {"momentum_storage", "uf8"}, {"weight_decay", "0.1"}}},
    {"came_stochastic",
     {40, 90},
     {CAME, {"rounding", "stochastic"}, {"momentum_rounding", "stochastic"}, {"storage", "al16"}}},
    {"came_log_u8", {40, 90}, {CAME, {"storage", "log_u8"}, {"relative_step", "true"}}},
    {"came_of_a_vector", {5001}, {CAME}},
    {"limited", {70, 201}, {LIMITED}},
    {"limited_full", {5001}, {LIMITED, {"clip", "0"}}},
    {"al16", {70, 201}, {{"storage", "al16"}}},
    {"al16_full", {70, 201}, {{"storage", "al16"}, {"factored", "false"}}},
    {"al16_full_dither", {5001}, {{"storage", "al16"}, {"rounding", "dither"}}},
    {"al8_stochastic", {3, 70, 201}, {{"rounding", "stochastic"}}},
    {"al8_full_stochastic", {2, 2501}, {{"rounding", "stochastic"}, {"factored", "false"}, {"seed", "4294967295"}}},
    {"al8_full_dither", {5001}, {{"rounding", "dither"}, {"beta2", "0.9"}}},
    {"log_u8_full_stochastic", {5001}, {{"rounding", "stochastic"}, {"storage", "log_u8"}}},
    {"linear_u8_full_stochastic", {5001}, {{"rounding", "stochastic"}, {"storage", "linear_u8"}}},
    {"bfloat16_stochastic", {3, 40, 61}, {{"parameter_rounding", "stochastic"}}, kBrain, kBrain},
    {"float16_stochastic_full", {5001}, {{"parameter_rounding", "stochastic"}}, kHalf, kSingle},
    {"multiplier", {40, 61}, {{"weight_decay", "0.1"}}, kSingle, kHalf, 0.3f},
    {"multiplier_full", {4001}, {MOMENTUM}, kSingle, kSingle, 3.7f},
    {"nonfinite_zero", {40, 61}, {MOMENTUM}, kSingle, kSingle, 1.5f, true},
    {"nonfinite_zero_update", {40, 61}, {UPDATE, LIMITED}, kSingle, kBrain, 1.0f, true},
    {"nonfinite_zero_came", {40, 61}, {CAME}, kSingle, kBrain, 1.0f, true},
    {"nonfinite_skip", {40, 61}, {MOMENTUM, LIMITED, {"nonfinite", "skip"}}, kSingle, kSingle, 1.0f, true},
    {"nonfinite_skip_came", {40, 61}, {CAME, {"nonfinite", "skip"}, LIMITED}, kSingle, kSingle, 1.0f, true},
    {"nonfinite_skip_full", {4001}, {MOMENTUM, {"nonfinite", "skip"}}, kSingle, kSingle, 1.0f, true},
    {"nonfinite_skip_projected",
     {40, 61},
     {MOMENTUM, PROJECTED("5"), LIMITED, {"nonfinite", "skip"}, {"rounding", "dither"}, {"beta2", "0.9"}},
     kSingle,
     kSingle,
     1.0f,
     true},
    {"projected_right", {300, 70}, {PROJECTED("5")}},
    {"projected_left", {70, 300}, {PROJECTED("5"), {"clip", "0"}}},
    {"projected_square", {64, 64}, {PROJECTED("64"), MOMENTUM, UF4, LIMITED}},
    {"projected_long", {530, 520}, {PROJECTED("3"), MOMENTUM, {"projection_refresh", "2"}}},
    {"projected_long_left", {520, 530}, {PROJECTED("6"), {"projection_refresh", "1"}, {"projection_seed", "9"}}},
    {"projected_batch", {6, 5, 40}, {PROJECTED("6"), MOMENTUM, {"scale_parameter", "false"}}, kBrain, kHalf},
    {"projected_tensor", {70, 300}, {PROJECTED("1"), {"projection_scale_by", "tensor"}, {"projection_scale", "128"}}},
    {"projected_tensor_right", {300, 70}, {PROJECTED("1"), {"projection_scale_by", "tensor"}, LIMITED, MOMENTUM}},
    {"projected_scale_last",
     {300, 70},
     {PROJECTED("8"), LIMITED, {"projection_scale", "16"}, {"projection_scale_first", "false"}}},
    {"projected_factored", {300, 70}, {PROJECTED("9"), MOMENTUM, {"projection_factored", "true"}}},
    {"projected_factored_left",
     {70, 300},
     {PROJECTED("9"), {"projection_factored", "true"}, {"maximize", "true"}, {"rounding", "stochastic"}}},
    {"projected_stochastic",
     {300, 70},
     {PROJECTED("9"), MOMENTUM, {"momentum_rounding", "stochastic"}, {"parameter_rounding", "stochastic"}},
     kBrain},
    {"projected_nonfinite", {70, 300}, {PROJECTED("9"), MOMENTUM}, kSingle, kSingle, 0.5f, true},
    {"projected_nonfinite_right", {300, 70}, {PROJECTED("9")}, kSingle, kBrain, 1.0f, true},
    {"too_narrow_to_project", {4, 300}, {PROJECTED("5"), MOMENTUM}},
};
INSTANTIATE_TEST_SUITE_P(All, Steps, testing::ValuesIn(kSettings),
                         [](const auto& p) { return std::string(p.param.name); });

TEST(CarriedNorm, GivesTheBitsOfAFreshOneOnEveryPath) {
  for (const char* rank : {"0", "5"}) {
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{70, 90}, {90, 70}, {6001}}) {
      GroupOptions fresh;
      for (const auto& [name, value] :
           {std::pair("projection_rank", rank), {"beta1", "0.9"}, {"limiter_margin", "0.1"}})
        set_option(fresh, name, value);
      GroupOptions carried = fresh;
      carried.parameter_norm = ParameterNorm::carried;
      const TensorSpec spec{"w", shape, kBrain, kSingle, 0};
      Optimizer a({spec}, {fresh}, {}), b({spec}, {carried}, {});
      Data p(random_values(product(shape), 0.5, 3), kBrain), q = p;
      for (int k = 0; k < 4; ++k) {
        Data g(random_values(product(shape), 1e-2, 50 + uint64_t(k)), kSingle);
        const TensorPointers one[] = {{p.words.data(), g.words.data()}}, other[] = {{q.words.data(), g.words.data()}};
        a.step(one);
        b.step(other);
        p.read();
        q.read();
        ASSERT_TRUE(same_bits(p.values, q.values)) << k;
      }
    }
  }
}

TEST(RawState, OfEveryStorageContinuesBitForBit) {
  for (const Setting& setting : kSettings) {
    if (setting.nonfinite) continue;
    GroupOptions options;
    options.min_quantized_size = 0;
    for (const auto& [name, value] : setting.options) set_option(options, name, value);
    const int64_t size = product(setting.shape);
    const TensorSpec spec{"w", setting.shape, setting.parameter, setting.gradient, 0};
    Optimizer a({spec}, {options}, {}), b({spec}, {options}, {});
    Data p(random_values(size, 0.5, 3), setting.parameter);
    const auto step = [&](Optimizer& optimizer, Data& parameter, uint64_t seed) {
      Data g(random_values(size, 1e-2, seed), setting.gradient);
      const TensorPointers pointers[] = {{parameter.words.data(), g.words.data()}};
      optimizer.step(pointers);
      parameter.read();
    };
    step(a, p, 1);
    step(a, p, 2);
    b.import_raw(0, a.steps_taken(0), a.export_raw(0));
    Data q = p;
    step(a, p, 3);
    step(b, q, 3);
    ASSERT_TRUE(same_bits(p.values, q.values)) << setting.name;
    const auto x = a.export_raw(0), y = b.export_raw(0);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i].values, y[i].values) << setting.name << " " << x[i].name;
  }
}

}  // namespace
}  // namespace plumbline
