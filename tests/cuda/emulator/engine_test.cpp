// The kernels under the emulator give the bits of the host twin: state, parameters and the record of every step,
// whatever the schedule. What a GPU may do differently is then its arithmetic alone.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <string>

#include "cuda/api/optimizer.h"
#include "cuda/core/number.h"
#include "cuda/plan/engine.h"

namespace plumbline {
namespace {

using Shape = std::vector<int64_t>;

// Elements in their type, 16-byte aligned, with guard words behind them.
class Data {
 public:
  Data(int64_t size, Type type) : type_(type), size_(size), units_(size_t(size / 4 + 3)) { fill_guard(); }
  void set(int64_t i, float x) {
    if (type_ == Type::float32) std::memcpy(bytes() + i * 4, &x, 4);
    core::bf16 b;
    core::f16 h;
    if (type_ == Type::bfloat16) core::narrow(x, b), std::memcpy(bytes() + i * 2, &b, 2);
    if (type_ == Type::float16) core::narrow(x, h), std::memcpy(bytes() + i * 2, &h, 2);
  }
  void* data() { return units_.data(); }
  // The aligned word at a byte, as text.
  std::string word(int64_t byte) const {
    uint32_t bits = 0;
    std::memcpy(&bits, reinterpret_cast<const unsigned char*>(units_.data()) + byte / 4 * 4, sizeof bits);
    char text[16];
    std::snprintf(text, sizeof text, "%08x", bits);
    return text;
  }
  // Index of the first byte that differs, guard words included; -1 if none does.
  int64_t difference(const Data& other) const {
    const auto *a = reinterpret_cast<const unsigned char*>(units_.data()),
               *b = reinterpret_cast<const unsigned char*>(other.units_.data());
    for (size_t i = 0; i < units_.size() * sizeof(Unit); ++i)
      if (a[i] != b[i]) return int64_t(i);
    return -1;
  }

 private:
  struct alignas(16) Unit {
    unsigned char x[16];
  };
  unsigned char* bytes() { return units_[0].x; }
  void fill_guard() { std::memset(units_.data(), 0xA5, units_.size() * sizeof(Unit)); }
  Type type_;
  int64_t size_;
  std::vector<Unit> units_;
};

enum class Regime { plain, wild };  // wild: zero rows, subnormals, and elements under the non-finite policy

struct Case {
  Shape shape;
  GroupOptions options = {};
  Type parameter = Type::float32, gradient = Type::float32;
  Regime regime = Regime::plain;
  int steps = 2;
  uint64_t schedule = 0;
  float multiplier = 1.0f;  // of the gradient
  std::optional<float> loss_scale = {};
};

GroupOptions with(Storage storage, int block = 256) {
  GroupOptions o;
  o.storage = storage;
  o.block = block;
  o.min_quantized_size = 1;
  return o;
}

float sample(std::mt19937_64& random, Regime regime) {
  const float x = std::ldexp(float(int64_t(random() >> 40) - (1 << 23)), -23 - int(random() % 9));
  if (regime == Regime::plain) return x;
  switch (random() % 64) {
    case 0:
      return std::numeric_limits<float>::infinity();
    case 1:
      return std::numeric_limits<float>::quiet_NaN();
    case 2:
      return -0x1p50f;
    case 3:
      return 0x1.fffffep49f;
    case 4:
      return std::numeric_limits<float>::denorm_min();
    case 5:
      return -0.0f;
    default:
      return x;
  }
}

template <class T>
std::string bits_differ(const char* what, const std::vector<T>& host, const std::vector<T>& device) {
  if (host.size() != device.size()) return std::string(what) + ": sizes";
  for (size_t i = 0; i < host.size(); ++i)
    if (std::memcmp(&host[i], &device[i], sizeof(T)) != 0) return std::string(what) + "[" + std::to_string(i) + "]";
  return "";
}
bool equal_or_nan(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// Empty when both optimizers did the same in the last step.
std::string record_difference(const Optimizer& host, const Optimizer& device, int tensor = 0) {
  const StepRecord a = host.last_step(tensor), b = device.last_step(tensor);
  if (a.nonfinite != b.nonfinite) return "nonfinite";
  if (a.step != b.step || a.skipped != b.skipped) return "step";
  if (!equal_or_nan(a.parameter_rms, b.parameter_rms)) return "parameter_rms";
  for (const std::string& found :
       {bits_differ("row", a.row, b.row), bits_differ("col", a.col, b.col),
        bits_differ("second_moment", a.second_moment, b.second_moment), bits_differ("momentum", a.momentum, b.momentum),
        bits_differ("confidence_row", a.confidence_row, b.confidence_row),
        bits_differ("confidence_col", a.confidence_col, b.confidence_col),
        bits_differ("low_rank_gradient", a.low_rank_gradient, b.low_rank_gradient),
        bits_differ("low_rank_momentum", a.low_rank_momentum, b.low_rank_momentum),
        bits_differ("low_rank_second_moment", a.low_rank_second_moment, b.low_rank_second_moment),
        bits_differ("low_rank_row", a.low_rank_row, b.low_rank_row),
        bits_differ("low_rank_col", a.low_rank_col, b.low_rank_col),
        bits_differ("channel_scale", a.channel_scale, b.channel_scale)})
    if (!found.empty()) return found;
  if (!equal_or_nan(a.update_rms, b.update_rms)) return "update_rms";
  if (!equal_or_nan(a.clip, b.clip) || !equal_or_nan(a.step_size, b.step_size)) return "step_size";
  if (!equal_or_nan(double(a.keep), double(b.keep))) return "keep";
  if (!equal_or_nan(a.bias, b.bias)) return "bias";
  if (!equal_or_nan(a.update_norm, b.update_norm) || !equal_or_nan(a.limiter, b.limiter)) return "limiter";
  return "";
}
// Empty when both are in the same state.
std::string state_difference(const Optimizer& host, const Optimizer& device, int tensor = 0) {
  if (host.steps_taken(tensor) != device.steps_taken(tensor)) return "t";
  const auto slots = host.export_raw(tensor), others = device.export_raw(tensor);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (std::string found = bits_differ("values", slots[i].values, others[i].values); !found.empty())
      return slots[i].name + " " + found;
    if (std::string found = bits_differ("scales", slots[i].scales, others[i].scales); !found.empty())
      return slots[i].name + " " + found;
  }
  return "";
}

// Steps both backends side by side; the first difference, or nothing.
std::string compare(const Case& c) {
  int64_t size = 1;
  for (const int64_t extent : c.shape) size *= extent;
  const TensorSpec spec{"w", c.shape, c.parameter, c.gradient, 0};
  OptimizerConfig host_config, device_config;
  host_config.record_second_moment = device_config.record_second_moment = true;
  device_config.backend = Backend::emulator;
  device_config.schedule_seed = c.schedule;
  Optimizer host({spec}, {c.options}, host_config), device({spec}, {c.options}, device_config);
  host.set_gradient_multiplier(c.multiplier);
  device.set_gradient_multiplier(c.multiplier);
  Data loss_scale(1, Type::float32);
  if (c.loss_scale) {
    loss_scale.set(0, *c.loss_scale);
    host.set_gradient_scale(static_cast<const float*>(loss_scale.data()));
    device.set_gradient_scale(static_cast<const float*>(loss_scale.data()));
  }
  std::mt19937_64 random(uint64_t(size) * 31 + c.shape.size());
  Data parameter(size, c.parameter), gradient(size, c.gradient);
  for (int64_t i = 0; i < size; ++i) parameter.set(i, 0.25f * sample(random, Regime::plain));
  Data device_parameter = parameter;
  for (int step = 1; step <= c.steps; ++step) {
    // the first step of a wild case is tame, so that skipping one is seen to leave its state alone
    const Regime regime = step == 1 ? Regime::plain : c.regime;
    for (int64_t i = 0; i < size; ++i) gradient.set(i, sample(random, regime));
    if (c.regime == Regime::wild)
      for (int64_t i = 0; i < std::min<int64_t>(size / 3, c.shape.back()); ++i) gradient.set(i, 0.0f);
    const TensorPointers to_host{parameter.data(), gradient.data()},
        to_device{device_parameter.data(), gradient.data()};
    host.step({&to_host, 1});
    device.step({&to_device, 1});
    if (std::string found = record_difference(host, device); !found.empty())
      return "step " + std::to_string(step) + ": " + found;
    // Reading the state brings what is still on its way into it, so half of the cases do it only once.
    if (step == c.steps || c.schedule % 2 == 0)
      if (std::string found = state_difference(host, device); !found.empty())
        return "step " + std::to_string(step) + ": " + found;
    if (const int64_t at = parameter.difference(device_parameter); at >= 0)
      return "step " + std::to_string(step) + ": parameter byte " + std::to_string(at) + ", word " +
             parameter.word(at) + " on the host, " + device_parameter.word(at) + " on the device";
  }
  return "";
}

std::string name(const Case& c) {
  std::string text = "shape";
  for (const int64_t extent : c.shape) text += " " + std::to_string(extent);
  return text + ", types " + std::to_string(int(c.parameter)) + std::to_string(int(c.gradient)) + ", storage " +
         std::to_string(int(c.options.storage)) + " " + std::to_string(int(c.options.rounding)) + ", momentum " +
         (c.options.beta1 ? c.options.momentum_of == MomentumOf::update ? "of update " : "of gradient " : "none ") +
         std::to_string(int(c.options.momentum_storage)) + " " + std::to_string(int(c.options.momentum_rounding)) +
         (c.options.beta3 ? ", CAME" : "") + (c.options.limiter_margin ? ", limited" : "") + ", policy " +
         std::to_string(int(c.options.nonfinite)) + ", regime " + std::to_string(int(c.regime)) + ", schedule " +
         std::to_string(c.schedule);
}

void expect_same(const Case& c) { EXPECT_EQ(compare(c), "") << name(c); }

constexpr Type kTypes[] = {Type::float32, Type::bfloat16, Type::float16};
constexpr Storage kStorages[] = {Storage::fp32, Storage::al8, Storage::log_u8, Storage::linear_u8};
constexpr Nonfinite kPolicies[] = {Nonfinite::propagate, Nonfinite::zero, Nonfinite::skip};
const Shape kShapes[] = {{1, 1},      {1, 5},     {5, 1},     {7, 33},    {37, 129}, {64, 64},      {100, 1000},
                         {1025, 257}, {2049, 64}, {40, 4096}, {9, 16385}, {3, 5, 7}, {2, 3, 40, 8}, {1},
                         {7},         {2047},     {2048},     {2049},     {5000}};

// Every shape meets every schedule; the rest turns with the two.
TEST(EmulatorEngine, AgreesWithTheTwinOverShapesAndSchedules) {
  int turn = 0;
  for (const Shape& shape : kShapes) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    const uint64_t schedules = size > 100000 ? 2 : size > 20000 ? 3 : 7;
    for (uint64_t schedule = 0; schedule < schedules; ++schedule, ++turn) {
      Case c{shape, with(kStorages[turn % 4], 64 << (turn % 6))};
      c.parameter = kTypes[turn % 3];
      c.gradient = kTypes[turn / 3 % 3];
      c.options.nonfinite = kPolicies[turn / 2 % 3];
      c.options.parameter_norm = turn % 5 < 2 ? ParameterNorm::carried : ParameterNorm::fresh;
      c.regime = turn % 4 == 3 ? Regime::wild : Regime::plain;
      c.steps = size > 20000 ? 2 : 3;
      c.schedule = size > 20000 ? uint64_t(turn) : schedule;
      expect_same(c);
    }
  }
}

TEST(EmulatorEngine, AgreesForEveryTypeStorageAndPolicy) {
  uint64_t schedule = 0;
  for (const Type parameter : kTypes)
    for (const Type gradient : kTypes)
      for (const Storage storage : kStorages)
        for (const Nonfinite policy : kPolicies) {
          Case c{schedule % 2 == 0 ? Shape{19, 70} : Shape{2, 700}, with(storage, 64), parameter, gradient};
          c.options.nonfinite = policy;
          c.options.factored = schedule % 4 < 2;
          c.options.parameter_norm = schedule % 3 == 0 ? ParameterNorm::carried : ParameterNorm::fresh;
          c.regime = Regime::wild;
          c.schedule = schedule++ % 11;
          expect_same(c);
        }
}

TEST(EmulatorEngine, AgreesForEveryOption) {
  const auto options = [](auto change) {
    GroupOptions o = with(Storage::al8);
    change(o);
    return o;
  };
  const GroupOptions all[] = {
      options([](auto& o) { o.relative_step = true, o.lr = 0.5; }),
      options([](auto& o) { o.scale_parameter = false; }),
      options([](auto& o) { o.beta2 = 0.999; }),
      options([](auto& o) { o.clip = 0.0; }),
      options([](auto& o) { o.clip = 0.01, o.maximize = true; }),
      options([](auto& o) { o.weight_decay = 0.1, o.weight_decay_by = DecayScale::lr; }),
      options([](auto& o) { o.weight_decay = 0.1, o.eps2 = 10.0; }),
      options([](auto& o) { o.eps1 = 1.0, o.beta2_decay = -0.5; }),
      options([](auto& o) { o.factored = false, o.parameter_norm = ParameterNorm::carried; }),
      options([](auto& o) { o.factored = false, o.scale_parameter = false; }),
  };
  uint64_t schedule = 0;
  for (const GroupOptions& o : all)
    for (const Shape& shape : {Shape{33, 48}, Shape{2, 9, 65}, Shape{300}}) {
      Case c{shape, o};
      c.schedule = schedule++;
      expect_same(c);
    }
}

// Combinations that the library refuses, to their neighbours.
void keep_promises(GroupOptions& o) {
  if (o.rounding == Rounding::dither) {
    if (o.storage == Storage::log_u8 || o.storage == Storage::linear_u8) o.rounding = Rounding::stochastic;
    if (o.storage == Storage::al8) {
      o.beta2 = 0.9;
      if (o.beta3) o.beta3 = 0.9;
    }
  }
  if (!o.beta1) return;
  const bool coded = o.momentum_storage == Storage::uf4 || o.momentum_storage == Storage::uf8;
  if (!coded || (o.momentum_of == MomentumOf::update && !o.beta3)) return;
  if (o.momentum_rounding == Rounding::dither) o.momentum_rounding = Rounding::stochastic;
  if (o.momentum_rounding == Rounding::nearest) o.beta1 = 0.5;
}

// Momentum in every form, CAME and the limiter, over the storages and roundings that they can have.
TEST(EmulatorEngine, AgreesWithMomentumConfidenceAndLimiter) {
  constexpr Storage kMomentum[] = {Storage::uf4, Storage::uf8, Storage::bf16, Storage::fp32};
  constexpr Rounding kRoundings[] = {Rounding::nearest, Rounding::stochastic, Rounding::dither};
  const Shape shapes[] = {{33, 48}, {2, 9, 65}, {300}, {5, 4096}, {12, 2100}, {3, 5, 7}, {130, 31}};
  int turn = 0;
  for (const Shape& shape : shapes) {
    for (const auto& [of, came] : {std::pair(MomentumOf::gradient, false), std::pair(MomentumOf::update, false),
                                   std::pair(MomentumOf::update, true)}) {
      for (const bool limited : {false, true}) {
        for (int repeat = 0; repeat < 3; ++repeat, ++turn) {
          Case c{shape, with(turn % 2 == 0 ? Storage::al16 : kStorages[turn / 2 % 3], 64 << (turn % 6))};
          c.options.rounding = kRoundings[turn / 2 % 3];
          c.options.beta1 = 0.9;
          c.options.momentum_of = of;
          if (came) c.options.beta3 = 0.99;
          if (limited) c.options.limiter_margin = 0.01;
          c.options.momentum_storage = kMomentum[turn / 3 % 4];
          c.options.momentum_rounding = kRoundings[turn % 3];
          if (c.options.momentum_storage == Storage::bf16 && turn % 3 == 2)
            c.options.momentum_rounding = Rounding::nearest;
          c.options.momentum_block = turn % 5 == 0 ? 0 : 64 << (turn % 6);
          c.options.parameter_rounding = turn % 2 == 0 ? Rounding::stochastic : Rounding::nearest;
          c.options.seed = turn;
          c.options.weight_decay = 0.01;
          c.options.relative_step = turn % 4 == 1;
          if (turn % 4 == 2) c.options.beta2 = 0.99;
          c.options.nonfinite = kPolicies[turn / 2 % 3];
          c.options.parameter_norm = turn % 3 == 1 ? ParameterNorm::carried : ParameterNorm::fresh;
          if (turn % 7 == 6 && !came) c.options.factored = false;
          c.parameter = kTypes[turn % 3];
          c.gradient = kTypes[turn / 3 % 3];
          c.regime = turn % 3 == 2 ? Regime::wild : Regime::plain;
          c.multiplier = turn % 4 == 3 ? 0.37f : 1.0f;
          c.steps = 3;
          c.schedule = uint64_t(turn);
          keep_promises(c.options);
          expect_same(c);
        }
      }
    }
  }
}

// Projection either way, of ranks that take two forms of the kernel, with every moment, storage and scale.
TEST(EmulatorEngine, AgreesWithProjection) {
  constexpr Storage kMomentum[] = {Storage::uf4, Storage::uf8, Storage::bf16, Storage::fp32};
  constexpr Rounding kRoundings[] = {Rounding::nearest, Rounding::stochastic, Rounding::dither};
  const Shape shapes[] = {{70, 33}, {33, 70}, {300, 20}, {20, 300}, {40, 1030}, {1030, 40}, {4, 5, 30}, {64, 64}};
  int turn = 0;
  for (const Shape& shape : shapes) {
    for (const bool wide : {false, true}) {
      for (const bool factored : {false, true}) {
        const int rank = wide ? 17 + turn % 4 : 1 + turn % 16;
        const int64_t rest = std::accumulate(shape.begin() + 1, shape.end(), int64_t(1), std::multiplies<>());
        Case c{shape, with(turn % 4 == 0 ? Storage::al16 : kStorages[turn / 2 % 4], 64 << (turn % 6))};
        c.options.rounding = c.options.storage == Storage::linear_u8 ? kRoundings[turn % 2] : kRoundings[turn / 2 % 3];
        c.options.projection_rank = int(std::min<int64_t>({rank, shape[0], rest}));
        c.options.projection_refresh = 2;
        c.options.projection_factored = factored;
        c.options.projection_scale_by = turn % 3 == 0 ? ProjectionScale::tensor : ProjectionScale::channel;
        c.options.projection_scale = turn % 5 == 0 ? 2.5 : 1.0;
        c.options.projection_scale_first = turn % 2 == 0;
        c.options.projection_seed = turn;
        if (turn % 4 != 1) c.options.beta1 = 0.9;
        if (turn % 3 != 2) c.options.limiter_margin = 0.01;
        c.options.momentum_storage = kMomentum[turn / 3 % 4];
        c.options.momentum_rounding =
            c.options.momentum_storage == Storage::bf16 ? kRoundings[turn % 2] : kRoundings[turn % 3];
        c.options.momentum_block = turn % 5 == 0 ? 0 : 64 << (turn % 6);
        c.options.parameter_rounding = turn % 2 == 0 ? Rounding::stochastic : Rounding::nearest;
        c.options.weight_decay = 0.01;
        if (turn % 4 == 2) c.options.beta2 = 0.99;
        c.options.nonfinite = kPolicies[turn / 2 % 3];
        c.options.parameter_norm = turn % 3 == 1 ? ParameterNorm::carried : ParameterNorm::fresh;
        c.options.scale_parameter = turn % 7 != 0;
        c.parameter = kTypes[turn % 3];
        c.gradient = kTypes[turn / 3 % 3];
        c.regime = turn % 3 == 2 ? Regime::wild : Regime::plain;
        c.multiplier = turn % 4 == 3 ? 0.37f : 1.0f;
        c.steps = 2;
        c.schedule = uint64_t(turn++);
        keep_promises(c.options);
        expect_same(c);
      }
    }
  }
}

// A rank of every form of the kernel, over tensors that end within a tile and with values that are not finite.
TEST(EmulatorEngine, AgreesWithProjectionOfEveryRank) {
  int turn = 0;
  for (const int rank : {16, 17, 70, 135}) {
    for (const Shape& shape : {Shape{150, 141}, Shape{141, 150}, Shape{136, 168}}) {
      Case c{shape, with(Storage::fp32)};
      c.options.projection_rank = rank;
      c.options.nonfinite = kPolicies[turn % 3];
      c.gradient = kTypes[turn / 2 % 3];
      c.regime = turn % 2 == 0 ? Regime::wild : Regime::plain;
      c.steps = 2;
      c.schedule = uint64_t(turn++);
      expect_same(c);
    }
  }
}

// Channels that are rows of 256 values, each of which a warp holds: with and without momentum, in every storage.
TEST(EmulatorEngine, AgreesWhereAWarpHoldsAChannel) {
  constexpr Storage kMomentum[] = {Storage::uf4, Storage::uf8, Storage::bf16, Storage::fp32};
  for (int turn = 0; turn < 6; ++turn) {
    const int block = kStorages[turn % 4] == Storage::linear_u8 ? 64 << turn : 2048;  // a tile: the common case
    Case c{turn % 2 == 0 ? Shape{261, 257} : Shape{269, 264}, with(kStorages[turn % 4], block)};
    c.options.projection_rank = 256;
    c.options.projection_scale_by = turn % 3 == 1 ? ProjectionScale::tensor : ProjectionScale::channel;
    if (turn != 5) c.options.beta1 = 0.9;
    c.options.momentum_storage = kMomentum[turn / 2];
    c.options.momentum_rounding = turn % 3 == 0 ? Rounding::stochastic : Rounding::nearest;
    c.options.momentum_block = 64 << (turn % 4);
    c.options.parameter_norm = turn % 2 == 1 ? ParameterNorm::carried : ParameterNorm::fresh;
    c.options.nonfinite = kPolicies[turn % 3];
    c.gradient = kTypes[turn % 3];
    c.regime = turn > 3 ? Regime::wild : Regime::plain;
    c.steps = 2;
    c.schedule = uint64_t(turn);
    keep_promises(c.options);
    expect_same(c);
  }
}

// Codes that are rounded at random, and parameters.
TEST(EmulatorEngine, AgreesForEveryRounding) {
  uint64_t schedule = 0;
  for (const Storage storage : {Storage::al8, Storage::log_u8, Storage::linear_u8, Storage::al16}) {
    for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic, Rounding::dither}) {
      if (storage == Storage::linear_u8 && rounding == Rounding::dither) continue;
      for (const Shape& shape : {Shape{70, 90}, Shape{3, 20, 30}, Shape{4100}}) {
        Case c{shape, with(storage, 64 << (schedule % 6)), kTypes[schedule % 3], kTypes[schedule / 3 % 3]};
        c.options.rounding = rounding;
        c.options.parameter_rounding = Rounding::stochastic;
        c.options.seed = 7;
        c.multiplier = 0.5f;
        c.steps = 3;
        c.schedule = schedule++;
        keep_promises(c.options);
        expect_same(c);
      }
    }
  }
}

// Rows in segments with a ragged end, on a device with little shared memory.
TEST(EmulatorEngine, AgreesInSegmentsOfRows) {
  for (const int64_t cols : {1025, 3000, 4100}) {
    Case wide{{11, cols}, with(Storage::log_u8)};
    wide.schedule = 1;
    wide.options.parameter_norm = ParameterNorm::carried;
    wide.regime = cols == 3000 ? Regime::wild : Regime::plain;
    expect_same(wide);
  }
}

// Warps with roles of their own, on a device that copies ranges: rows of whole vectors, fewer slots than rows, elements
// under the non-finite policy, gradients of every type.
TEST(EmulatorEngine, AgreesWhereWarpsOwnRowsOrColumns) {
  for (const uint64_t schedule : {0, 4, 8}) {
    for (const Type gradient : {Type::float32, Type::bfloat16}) {
      Case c{schedule == 4 ? Shape{11, 4096} : Shape{10, 1032}, with(Storage::al8), Type::float32, gradient};
      c.regime = schedule == 8 ? Regime::wild : Regime::plain;
      c.multiplier = schedule == 0 ? 1.0f : 0.37f;
      c.schedule = schedule;
      expect_same(c);
    }
    Case wide{{9, 11008}, with(Storage::log_u8), Type::float32, schedule == 8 ? Type::bfloat16 : Type::float32};
    wide.regime = schedule == 4 ? Regime::wild : Regime::plain;
    wide.schedule = schedule;
    expect_same(wide);
  }
}

// More tiles than blocks, so that a block goes from one to the next, and codec blocks as wide as a tile.
TEST(EmulatorEngine, AgreesWhereABlockTakesManyTiles) {
  for (const uint64_t schedule : {2, 3, 4}) {
    for (const ParameterNorm norm : {ParameterNorm::fresh, ParameterNorm::carried}) {
      Case c{{60000}, with(Storage::al8, 2048)};
      c.options.parameter_norm = norm;
      c.schedule = schedule;
      expect_same(c);
    }
    Case many{{17, 20, 33}, with(Storage::log_u8, 2048)};  // 34 tiles of state for the 16 blocks that store it
    many.schedule = schedule;
    expect_same(many);
  }
}

// Batches of small matrices that are stepped whole: the shapes with code of their own and any other, up to what a pack
// takes and past it; packs that are full, and last ones that are not.
TEST(EmulatorEngine, AgreesInPacksOfSmallMatrices) {
  constexpr Rounding kRoundings[] = {Rounding::nearest, Rounding::stochastic, Rounding::dither};
  constexpr Storage kAll[] = {Storage::al8, Storage::fp32, Storage::log_u8, Storage::linear_u8, Storage::al16};
  const Shape shapes[] = {{256, 3, 3}, {3, 100, 3, 3}, {513, 1, 1}, {5, 1, 1},  {17, 7, 7}, {9, 16, 32},
                          {9, 16, 33}, {6, 8, 64},     {6, 8, 65},  {7, 64, 8}, {5, 65, 7}, {33, 2, 5},
                          {11, 64, 1}, {7, 1, 64},     {4, 63, 7},  {3, 3, 3}};
  int turn = 0;
  for (const Shape& shape : shapes) {
    for (int repeat = 0; repeat < 5; ++repeat, ++turn) {
      Case c{shape, with(kAll[turn % 5], turn % 2 == 0 ? 2048 : 64), kTypes[turn % 3], kTypes[turn / 3 % 3]};
      c.options.factored = turn % 3 != 2;
      if (turn % 4 != 0) c.options.rounding = kRoundings[turn / 2 % 3];
      c.options.parameter_rounding = turn % 2 == 0 ? Rounding::stochastic : Rounding::nearest;
      c.options.nonfinite = kPolicies[turn / 2 % 3];
      c.options.parameter_norm = turn % 7 < 3 ? ParameterNorm::carried : ParameterNorm::fresh;
      c.options.weight_decay = 0.01;
      if (turn % 4 == 1) c.options.limiter_margin = 0.01;
      c.regime = turn % 4 == 3 ? Regime::wild : Regime::plain;
      c.multiplier = turn % 5 == 3 ? 0.37f : 1.0f;
      c.steps = 3;
      c.schedule = uint64_t(turn);
      keep_promises(c.options);
      expect_same(c);
    }
  }
}

// Full second moments whose tiles are blocks of the codec, which take a shorter way.
TEST(EmulatorEngine, AgreesWhereATileIsABlock) {
  int turn = 0;
  for (const Shape& shape : {Shape{5000}, Shape{2048}, Shape{3, 50, 90}, Shape{2, 64, 64}, Shape{7}}) {
    for (const Nonfinite policy : kPolicies) {
      for (const ParameterNorm norm : {ParameterNorm::fresh, ParameterNorm::carried}) {
        Case c{shape, with(turn % 3 == 0 ? Storage::log_u8 : Storage::al8, 2048), kTypes[turn % 3],
               kTypes[turn / 2 % 3]};
        c.options.factored = false;
        c.options.nonfinite = policy;
        c.options.parameter_norm = norm;
        c.options.parameter_rounding = turn % 4 == 1 ? Rounding::stochastic : Rounding::nearest;
        c.regime = turn % 2 == 0 ? Regime::plain : Regime::wild;
        c.steps = 3;
        c.schedule = uint64_t(turn++);
        keep_promises(c.options);
        expect_same(c);
      }
    }
  }
}

// It puts all elements under the policy, those too that are zero.
TEST(EmulatorEngine, AgreesWithALossScaleThatRanAway) {
  uint64_t schedule = 0;
  for (const float scale : {0.0f, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::infinity()}) {
    for (const Nonfinite policy : kPolicies) {
      for (const Shape& shape : {Shape{19, 70}, Shape{3, 5000}, Shape{2, 3000}, Shape{4100}}) {
        for (const int form : {0, 1, 2}) {
          if (form == 2 && shape.size() < 2) continue;
          Case c{shape, with(Storage::al8), kTypes[schedule % 3], kTypes[schedule / 3 % 3]};
          c.options.nonfinite = policy;
          if (form == 1) c.options.beta1 = 0.9;
          if (form == 2) c.options.projection_rank = 2;
          c.regime = schedule % 2 == 0 ? Regime::wild : Regime::plain;
          c.loss_scale = scale;
          c.schedule = schedule++;
          expect_same(c);
        }
      }
    }
  }
}

// More tiles of rows than one warp sums up.
TEST(EmulatorEngine, AgreesWithVeryManyRows) {
  Case c{{66000, 1}, with(Storage::al8, 2048)};
  c.options.parameter_norm = ParameterNorm::carried;
  c.schedule = 3;
  expect_same(c);
}

// Slices of which only a part has its partial sums in scratch at a time.
TEST(EmulatorEngine, AgreesInChunksOfSlices) {
  const TensorSpec spec{"w", {7, 20, 70}};
  const int64_t size = 7 * 20 * 70;
  for (const Nonfinite policy : kPolicies) {
    GroupOptions options = with(Storage::al8, 64);
    options.nonfinite = policy;
    const Plan plan = make_plan({&spec, 1}, {&options, 1}, false);
    Plan chunked = plan;
    chunked.tensors[0].chunk = 3;
    OptimizerConfig config;
    config.schedule_seed = 2;
    const auto host = make_host_engine(plan, {}), device = make_emulator_engine(chunked, config);
    std::mt19937_64 random(5);
    Data parameter(size, spec.parameter), gradient(size, spec.gradient);
    for (int64_t i = 0; i < size; ++i) parameter.set(i, sample(random, Regime::plain));
    Data device_parameter = parameter;
    for (int step = 0; step < 3; ++step) {
      for (int64_t i = 0; i < size; ++i) gradient.set(i, sample(random, step == 1 ? Regime::wild : Regime::plain));
      const TensorPointers to_host{parameter.data(), gradient.data()},
          to_device{device_parameter.data(), gradient.data()};
      host->step({&to_host, 1}, nullptr);
      device->step({&to_device, 1}, nullptr);
      std::vector<std::byte> state(plan.state_bytes), device_state(plan.state_bytes);
      host->read(ArenaKind::state, 0, state, nullptr);
      device->read(ArenaKind::state, 0, device_state, nullptr);
      EXPECT_EQ(bits_differ("state", state, device_state), "") << "policy " << int(policy) << " step " << step;
      EXPECT_EQ(parameter.difference(device_parameter), -1) << "policy " << int(policy) << " step " << step;
    }
  }
}

// A step of many tensors has the bits of their steps one by one (which are the twin's).
TEST(EmulatorEngine, TakesManyTensorsInWaves) {
  std::vector<TensorSpec> specs;
  const Shape shapes[] = {{20, 30}, {64}, {2, 4, 6}, {9, 1100}, {4100}, {33, 7}};
  for (int i = 0; i < 24; ++i)
    specs.push_back({"t" + std::to_string(i), shapes[i % 6], kTypes[i / 6 % 3], kTypes[i / 3 % 3], i % 4});
  std::vector<GroupOptions> groups(4, with(Storage::al8, 64));
  groups[0].parameter_norm = ParameterNorm::carried;
  groups[1].beta1 = 0.9;
  groups[2].beta1 = 0.9, groups[2].momentum_of = MomentumOf::update, groups[2].limiter_margin = 0.01;
  groups[3].beta1 = 0.9, groups[3].momentum_of = MomentumOf::update, groups[3].beta3 = 0.99;
  for (const uint64_t schedule : {0, 2, 4, 9}) {
    OptimizerConfig device_config;
    device_config.backend = Backend::emulator;
    device_config.schedule_seed = schedule;
    Optimizer host(specs, groups, {}), device(specs, groups, device_config);
    std::mt19937_64 random(schedule);
    std::vector<Data> p, q, g;
    for (const TensorSpec& spec : specs) {
      int64_t size = 1;
      for (const int64_t extent : spec.shape) size *= extent;
      p.emplace_back(size, spec.parameter);
      g.emplace_back(size, spec.gradient);
      for (int64_t i = 0; i < size; ++i)
        p.back().set(i, sample(random, Regime::plain)), g.back().set(i, sample(random, Regime::plain));
    }
    q = p;
    for (int step = 0; step < 3; ++step) {
      std::vector<TensorPointers> to_host, to_device;
      for (size_t i = 0; i < specs.size(); ++i) {
        to_host.push_back({p[i].data(), g[i].data()});
        to_device.push_back({q[i].data(), g[i].data()});
      }
      host.step(to_host);
      device.step(to_device);
      for (size_t i = 0; i < specs.size(); ++i)
        EXPECT_EQ(p[i].difference(q[i]), -1) << "schedule " << schedule << " step " << step << " tensor " << i;
    }
  }
}

// Steps of many tensors side by side; the first difference, or nothing.
std::string compare_many(const std::vector<TensorSpec>& specs, const GroupOptions& options, uint64_t schedule,
                         int steps) {
  OptimizerConfig device_config;
  device_config.backend = Backend::emulator;
  device_config.schedule_seed = schedule;
  Optimizer host(specs, {options}, {}), device(specs, {options}, device_config);
  std::mt19937_64 random(schedule);
  std::vector<Data> p, g;
  for (const TensorSpec& spec : specs) {
    const int64_t size = std::accumulate(spec.shape.begin(), spec.shape.end(), int64_t(1), std::multiplies<>());
    p.emplace_back(size, spec.parameter);
    g.emplace_back(size, spec.gradient);
    for (int64_t i = 0; i < size; ++i) p.back().set(i, sample(random, Regime::plain));
  }
  std::vector<Data> q = p;
  for (int step = 1; step <= steps; ++step) {
    std::vector<TensorPointers> to_host, to_device;
    for (size_t i = 0; i < specs.size(); ++i) {
      const int64_t size =
          std::accumulate(specs[i].shape.begin(), specs[i].shape.end(), int64_t(1), std::multiplies<>());
      const bool wild = step > 1 && i % 3 == 1;  // under the policy `skip` some tensors take the step, some do not
      for (int64_t k = 0; k < size; ++k) g[i].set(k, sample(random, wild ? Regime::wild : Regime::plain));
      to_host.push_back({p[i].data(), g[i].data()});
      to_device.push_back({q[i].data(), g[i].data()});
    }
    host.step(to_host);
    device.step(to_device);
    for (int i = 0; i < int(specs.size()); ++i) {
      const std::string at = "step " + std::to_string(step) + ", tensor " + std::to_string(i) + ": ";
      if (std::string found = record_difference(host, device, i); !found.empty()) return at + found;
      if (p[size_t(i)].difference(q[size_t(i)]) >= 0) return at + "parameter";
      if (step < steps && schedule % 2 == 1) continue;  // reading a carried norm brings it into the state
      if (std::string found = state_difference(host, device, i); !found.empty()) return at + found;
    }
  }
  return "";
}

// Tensors of one kind that are more than the ring of partial sums holds, by blocks that are alone, few or many.
TEST(EmulatorEngine, TakesTensorsByTickets) {
  const Shape shapes[] = {{20, 30}, {33, 70}, {64, 64}, {2, 9, 65}, {260, 5}, {7, 129}};
  for (uint64_t schedule = 0; schedule < 18; ++schedule) {
    GroupOptions options = with(kStorages[schedule % 4], 64);
    options.nonfinite = kPolicies[schedule / 2 % 3];
    options.parameter_norm = schedule % 3 == 0 ? ParameterNorm::fresh : ParameterNorm::carried;
    options.weight_decay = 0.01;
    std::vector<TensorSpec> specs;
    for (int i = 0; i < 14; ++i)
      specs.push_back({"t" + std::to_string(i), shapes[(i + int(schedule)) % 6], kTypes[schedule % 3],
                       kTypes[schedule / 3 % 3], 0});
    EXPECT_EQ(compare_many(specs, options, schedule, 3), "") << "schedule " << schedule;
  }
}

// Tensors of the full path that a block steps whole where the device has room for it, of every number of tiles, beside
// larger ones. Some are alone in their launch.
TEST(EmulatorEngine, TakesSmallTensorsWhole) {
  const Shape shapes[] = {{4096}, {2, 3, 100}, {2048}, {12288}, {300}, {12289}, {3, 1, 2048}, {8193}, {2, 64, 65}};
  constexpr Storage kTileStorages[] = {Storage::al8, Storage::log_u8, Storage::fp32};
  for (uint64_t schedule = 0; schedule < 12; ++schedule) {
    GroupOptions options = with(kTileStorages[schedule % 3], 2048);
    options.factored = false;
    options.nonfinite = kPolicies[schedule / 2 % 3];
    options.parameter_norm = schedule % 4 < 2 ? ParameterNorm::fresh : ParameterNorm::carried;
    options.parameter_rounding = schedule % 4 == 2 ? Rounding::stochastic : Rounding::nearest;
    if (schedule % 5 == 4) options.limiter_margin = 0.01;
    std::vector<TensorSpec> specs;
    for (int i = 0; i < 9; ++i)
      specs.push_back({"t" + std::to_string(i), shapes[i], kTypes[schedule / 4 % 3], kTypes[schedule / 2 % 3], 0});
    EXPECT_EQ(compare_many(specs, options, schedule, 3), "") << "schedule " << schedule;
  }
}

// Rows of every form of the sweep, on a device that has them and, with an odd seed, on one that takes the wide ones in
// waves; rows of several panels, and more of them than one sum of a norm covers.
TEST(EmulatorEngine, TakesWideTensorsByTickets) {
  int turn = 0;
  for (const int64_t cols : {1000, 3000, 5000, 8200, 16384}) {
    for (const uint64_t schedule : {2, 4, 9}) {
      if (cols > 4096 && schedule != uint64_t(turn % 3 == 0 ? 2 : 4)) continue;
      GroupOptions options = with(Storage::al8, 256);
      options.parameter_norm = turn % 3 == 2 ? ParameterNorm::fresh : ParameterNorm::carried;
      const int64_t rows = cols == 1000 ? 300 : 9;
      std::vector<TensorSpec> specs;
      for (int i = 0; i < (cols > 4096 ? 3 : 5); ++i)
        specs.push_back({"t" + std::to_string(i), {rows + i % 2, cols - i}, kTypes[turn % 3], kTypes[turn / 3 % 3], 0});
      EXPECT_EQ(compare_many(specs, options, schedule, 2), "") << "columns " << cols << ", schedule " << schedule;
      ++turn;
    }
  }
}

// On a device that copies ranges: warps with roles, through whose ring of rows strip after strip goes.
TEST(EmulatorEngine, TakesTensorsOfWholeVectorsByTickets) {
  int turn = 0;
  for (const int64_t cols : {1032, 4096, 5000}) {
    for (const uint64_t schedule : {0, 4, 8, 12, 16}) {
      if (cols > 4096 && schedule % 16 != 0) continue;
      GroupOptions options = with(Storage::al8, 256);
      options.parameter_norm = turn % 3 == 2 ? ParameterNorm::fresh : ParameterNorm::carried;
      options.nonfinite = kPolicies[turn % 3];
      std::vector<TensorSpec> specs;
      for (int i = 0; i < (cols == 1032 ? 9 : 5); ++i)
        specs.push_back({"t" + std::to_string(i),
                         {cols == 1032 ? 37 + i : 19, cols - 8 * (i % 2)},
                         kTypes[turn % 3],
                         kTypes[turn / 2 % 3],
                         0});
      EXPECT_EQ(compare_many(specs, options, schedule, 3), "") << "columns " << cols << ", schedule " << schedule;
      ++turn;
    }
  }
}

TEST(EmulatorEngine, TakesSeveralTensorsANewRateAndAnImportedState) {
  const std::vector<TensorSpec> specs = {
      {"a", {20, 30}, Type::float32, Type::bfloat16, 0}, {"b", {77}}, {"c", {2, 4, 6}}};
  GroupOptions options = with(Storage::al8, 64);
  options.parameter_norm = ParameterNorm::carried;
  OptimizerConfig device_config;
  device_config.backend = Backend::emulator;
  device_config.schedule_seed = 9;
  Optimizer host(specs, {options}, {}), device(specs, {options}, device_config);
  std::mt19937_64 random(1);
  std::vector<Data> p, q, g;
  for (const TensorSpec& spec : specs) {
    int64_t size = 1;
    for (const int64_t extent : spec.shape) size *= extent;
    p.emplace_back(size, spec.parameter);
    g.emplace_back(size, spec.gradient);
    for (int64_t i = 0; i < size; ++i)
      p.back().set(i, sample(random, Regime::plain)), g.back().set(i, sample(random, Regime::plain));
  }
  q = p;
  for (int step = 0; step < 4; ++step) {
    std::vector<TensorPointers> to_host, to_device;
    for (size_t i = 0; i < specs.size(); ++i) {
      to_host.push_back({p[i].data(), g[i].data()});
      to_device.push_back({q[i].data(), g[i].data()});
    }
    if (step == 1) host.set_lr(0.5), device.set_lr(0.5);
    if (step == 2) {  // a fresh optimizer goes on from the host's state
      device = Optimizer(specs, {options}, device_config);
      device.set_lr(0.5);
      for (int i = 0; i < int(specs.size()); ++i) device.import_raw(i, host.steps_taken(i), host.export_raw(i));
    }
    host.step(to_host);
    device.step(to_device);
    for (size_t i = 0; i < specs.size(); ++i)
      EXPECT_EQ(p[i].difference(q[i]), -1) << "step " << step << " tensor " << i;
  }
}

}  // namespace
}  // namespace plumbline
