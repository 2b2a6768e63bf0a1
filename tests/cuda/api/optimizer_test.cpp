// The optimizer on its host twin.
#include "cuda/api/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "cuda/core/codec.h"
#include "cuda/core/number.h"
#include "cuda/core/step.h"
#include "tests/cuda/straight_line.h"

namespace plumbline {
namespace {

// A tensor's data in its type, 16-byte aligned.
class Data {
 public:
  Data(int64_t size, Type type) : type_(type), words_(size_t(size / 4 + 1)), size_(size) {}
  void set(int64_t i, float x) {
    if (type_ == Type::float32) {
      at<float>()[i] = x;
    } else if (type_ == Type::bfloat16) {
      core::narrow(x, at<core::bf16>()[i]);
    } else {
      core::narrow(x, at<core::f16>()[i]);
    }
  }
  float get(int64_t i) const {
    if (type_ == Type::float32) return at<float>()[i];
    return type_ == Type::bfloat16 ? core::widen(at<core::bf16>()[i]) : core::widen(at<core::f16>()[i]);
  }
  void* data() { return words_.data(); }
  int64_t size() const { return size_; }
  bool operator==(const Data& other) const {
    return size_ == other.size_ && std::memcmp(words_.data(), other.words_.data(), words_.size() * sizeof(Word)) == 0;
  }

 private:
  struct alignas(16) Word {
    float x[4] = {};
  };
  template <class T>
  T* at() const {
    return reinterpret_cast<T*>(const_cast<Word*>(words_.data()));
  }
  Type type_;
  std::vector<Word> words_;
  int64_t size_;
};

Data filled(int64_t size, Type type, double scale, uint64_t seed) {
  Data data(size, type);
  std::mt19937_64 random(seed);
  for (int64_t i = 0; i < size; ++i) {
    const double unit = std::ldexp(double(random() >> 11), -52) - 1.0;
    data.set(i, float(unit * scale * std::ldexp(1.0, -int(random() % 6))));
  }
  return data;
}

int64_t product(const std::vector<int64_t>& shape) {
  int64_t size = 1;
  for (int64_t extent : shape) size *= extent;
  return size;
}

// One tensor with its optimizer; step k always uses the same gradient.
struct Trial {
  TensorSpec spec;
  GroupOptions options;
  Optimizer optimizer;
  Data parameter;
  Trial(std::vector<int64_t> shape, const GroupOptions& o, Type p = Type::float32, Type g = Type::float32,
        int threads = 1)
      : spec{"w", std::move(shape), p, g, 0},
        options(o),
        optimizer({spec}, {o}, config(threads)),
        parameter(filled(product(spec.shape), p, 0.5, 1)) {}
  static OptimizerConfig config(int threads) {
    OptimizerConfig c;
    c.threads = threads;
    c.record_second_moment = true;
    return c;
  }
  Data gradient(int k) const { return filled(parameter.size(), spec.gradient, 1e-2, 100 + uint64_t(k)); }
  void step(Data g) {
    const TensorPointers pointers[] = {{parameter.data(), g.data()}};
    optimizer.step(pointers);
  }
  void step(int k) { step(gradient(k)); }
};

bool equal_state(const Trial& a, const Trial& b) {
  const auto x = a.optimizer.export_raw(0), y = b.optimizer.export_raw(0);
  if (x.size() != y.size() || a.optimizer.steps_taken(0) != b.optimizer.steps_taken(0)) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].values != y[i].values || x[i].scales.size() != y[i].scales.size()) return false;
    for (size_t k = 0; k < x[i].scales.size(); ++k) {
      if (core::to_bits(x[i].scales[k]) != core::to_bits(y[i].scales[k])) return false;
    }
  }
  return true;
}

std::vector<float> values(const Data& data, int64_t first, int64_t count) {
  std::vector<float> x;
  x.reserve(size_t(count));
  for (int64_t i = 0; i < count; ++i) x.push_back(data.get(first + i));
  return x;
}
double sum_squares(const std::vector<float>& x) {
  std::vector<double> squares;
  squares.reserve(x.size());
  for (float v : x) squares.push_back(double(v) * double(v));
  return straight_line::tree(squares);
}

// One step in the canonical order, straight from the core functions; fp32 state in row/col/v.
struct StraightLine {
  GroupOptions options;
  core::Hyper hyper;
  int64_t slices, m, n;
  bool factored;
  core::TensorClock clock = {};
  std::vector<straight_line::Averages<float>> averages;
  std::vector<float> v;

  StraightLine(const Trial& run) : options(run.options) {
    const std::vector<int64_t>& shape = run.spec.shape;
    n = shape.back();
    m = shape.size() > 1 ? shape[shape.size() - 2] : 1;
    slices = product(shape) / (m * n);
    factored = shape.size() > 1 && options.factored;
    averages.resize(size_t(slices));
    for (auto& a : averages) {
      a.row.assign(size_t(m), 0.0f);
      a.col.assign(size_t(n), 0.0f);
    }
    v.assign(size_t(slices * m * n), 0.0f);
    hyper = {};
    hyper.projection_scale = 1.0;
    hyper.beta2_decay = options.beta2_decay;
    hyper.fixed_weight = options.beta2.has_value();
    hyper.beta2 = options.beta2.value_or(0);
    hyper.eps1 = float(options.eps1);
    hyper.eps2 = options.eps2;
    hyper.clip = options.clip;
    hyper.weight_decay = options.weight_decay;
    hyper.relative_step = options.relative_step;
    hyper.scale_parameter = options.scale_parameter;
    hyper.decay_by_lr = options.weight_decay_by == DecayScale::lr;
    hyper.maximize = options.maximize;
  }

  void step(const Data& g, Data& p) {
    core::StepScalars s = core::begin_step(hyper, clock, options.lr, 1.0f);
    std::vector<double> parameter_sums, update_sums, means;
    std::vector<float> u(v.size());
    for (int64_t k = 0; k < slices; ++k) {
      const int64_t start = k * m * n;
      if (factored) {
        std::vector<double> rows;
        for (int64_t i = 0; i < m; ++i) rows.push_back(sum_squares(values(p, start + i * n, n)));
        parameter_sums.push_back(straight_line::tree(rows));
        std::vector<float> squares;
        for (float x : values(g, start, m * n)) squares.push_back(core::square(x));
        auto& a = averages[size_t(k)];
        straight_line::update_averages(squares, int(m), int(n), s.weights, a);
        std::vector<double> terms;
        for (size_t j = 0; j < size_t(n); ++j) terms.push_back(core::norm_term(a.weighted[j], a.col[j]));
        means.push_back(core::mean_row(straight_line::tree(std::vector<double>(a.row.begin(), a.row.end())), int(m)));
        update_sums.push_back(core::slice_update_sum(means.back(), straight_line::tree(terms)));
      } else {
        parameter_sums.push_back(sum_squares(values(p, start, m * n)));
        for (int64_t i = start; i < start + m * n; ++i) {
          v[size_t(i)] = core::full_average(v[size_t(i)], g.get(i), s.weights);
          u[size_t(i)] = core::full_update(g.get(i), v[size_t(i)]);
        }
        update_sums.push_back(sum_squares({u.begin() + start, u.begin() + start + m * n}));
      }
    }
    if (hyper.scale_parameter) s.parameter_sum = straight_line::tree(parameter_sums);
    core::finish_step(hyper, slices * m * n, straight_line::tree(update_sums), false, s);
    for (int64_t at = 0; at < slices * m * n; ++at) {
      const int64_t k = at / (m * n), i = at / n % m, j = at % n;
      if (factored) {
        const auto& a = averages[size_t(k)];
        const float coefficient = float(core::step_coefficient(s.applied, means[size_t(k)]));
        p.set(at, core::apply(p.get(at), g.get(at), core::row_scale(coefficient, a.row[size_t(i)]),
                              core::col_scale(a.col[size_t(j)]), s.keep));
      } else {
        p.set(at, core::apply_full(p.get(at), u[size_t(at)], s.full_step, s.keep));
      }
    }
    clock.t = s.step;
  }
};

struct Setting {
  std::vector<int64_t> shape;
  Type parameter, gradient;
  std::vector<std::pair<const char*, const char*>> options;
};

TEST(Optimizer, FollowsTheCanonicalOrderBitForBit) {
  const Setting settings[] = {
      {{37, 129}, Type::float32, Type::float32, {}},
      {{1, 1}, Type::float32, Type::float32, {{"weight_decay", "0.1"}}},
      {{1030, 9}, Type::bfloat16, Type::float32, {{"relative_step", "true"}, {"clip", "0.25"}}},
      {{3, 20, 70}, Type::float32, Type::float16, {{"beta2", "0.99"}, {"maximize", "true"}}},
      {{2, 2, 5, 300}, Type::float16, Type::bfloat16, {{"weight_decay", "0.1"}, {"weight_decay_by", "lr"}}},
      {{5, 2200}, Type::float32, Type::float32, {{"clip", "0"}, {"scale_parameter", "false"}}},
      {{5000}, Type::float32, Type::float32, {{"weight_decay", "0.01"}}},
      {{2100}, Type::bfloat16, Type::float16, {{"maximize", "true"}}},
      {{3, 50, 61}, Type::float32, Type::float32, {{"factored", "false"}, {"clip", "0.5"}}},
  };
  for (const Setting& setting : settings) {
    GroupOptions options;
    options.storage = Storage::fp32;
    for (const auto& [name, value] : setting.options) set_option(options, name, value);
    Trial run(setting.shape, options, setting.parameter, setting.gradient);
    StraightLine straight(run);
    Data expected = run.parameter;
    for (int k = 1; k <= 4; ++k) {
      run.step(k);
      straight.step(run.gradient(k), expected);
      ASSERT_EQ(run.parameter, expected) << testing::PrintToString(setting.shape) << " step " << k;
    }
    const StepRecord record = run.optimizer.last_step(0);
    if (straight.factored) {
      for (size_t k = 0; k < straight.averages.size(); ++k) {
        const auto& a = straight.averages[k];
        EXPECT_TRUE(std::equal(a.row.begin(), a.row.end(), record.row.begin() + int64_t(k * a.row.size())));
        EXPECT_TRUE(std::equal(a.col.begin(), a.col.end(), record.col.begin() + int64_t(k * a.col.size())));
      }
    } else {
      EXPECT_EQ(record.second_moment, straight.v);
    }
  }
}

TEST(Optimizer, OneStepAgreesWithTheEquationsInDouble) {
  const int64_t m = 23, n = 41;
  GroupOptions options;
  options.storage = Storage::fp32;
  options.clip = 0.5;
  options.weight_decay = 0.1;
  Trial run({m, n}, options);
  const Data before = run.parameter, g = run.gradient(1);
  run.step(g);
  std::vector<double> row(size_t(m), 1e-30), col(size_t(n), 1e-30);
  double mean = 0, p2 = 0, u2 = 0;
  for (int64_t i = 0; i < m * n; ++i) {
    row[size_t(i / n)] += double(g.get(i)) * g.get(i) / double(n);
    col[size_t(i % n)] += double(g.get(i)) * g.get(i) / double(m);
    p2 += double(before.get(i)) * before.get(i);
  }
  for (double r : row) mean += r / double(m);
  std::vector<double> u;
  for (int64_t i = 0; i < m * n; ++i) {
    u.push_back(g.get(i) / std::sqrt(row[size_t(i / n)] * col[size_t(i % n)] / mean));
    u2 += u.back() * u.back();
  }
  const double alpha = 1e-2 * std::sqrt(p2 / double(m * n)), clip = std::sqrt(u2 / double(m * n)) / 0.5;
  const StepRecord record = run.optimizer.last_step(0);
  EXPECT_NEAR(record.parameter_rms, std::sqrt(p2 / double(m * n)), 1e-12);
  EXPECT_NEAR(record.clip, clip, 1e-6 * clip);
  EXPECT_NEAR(record.step_size, alpha, 1e-12);
  for (int64_t i = 0; i < m * n; ++i) {
    EXPECT_NEAR(run.parameter.get(i), before.get(i) * (1 - 0.1 * alpha) - alpha / clip * u[size_t(i)], 2e-7);
  }
}

TEST(Optimizer, ThreadsCannotChangeABit) {
  for (const bool factored : {true, false}) {
    GroupOptions options;
    options.factored = factored;
    options.min_quantized_size = 0;
    options.parameter_norm = ParameterNorm::carried;
    Trial one({3, 130, 1500}, options), three({3, 130, 1500}, options, Type::float32, Type::float32, 3);
    for (int k = 1; k <= 3; ++k) {
      one.step(k);
      three.step(k);
      ASSERT_EQ(one.parameter, three.parameter);
      ASSERT_TRUE(equal_state(one, three));
    }
  }
}

TEST(Optimizer, CarriedAndFreshNormsGiveTheSameBits) {
  for (const bool factored : {true, false}) {
    for (const Type type : {Type::float32, Type::bfloat16}) {
      GroupOptions fresh, carried;
      fresh.factored = carried.factored = factored;
      carried.parameter_norm = ParameterNorm::carried;
      Trial a({2, 70, 100}, fresh, type), b({2, 70, 100}, carried, type);
      for (int k = 1; k <= 5; ++k) {
        a.step(k);
        b.step(k);
        ASSERT_EQ(a.parameter, b.parameter) << k;
        ASSERT_EQ(a.optimizer.last_step(0).parameter_rms, b.optimizer.last_step(0).parameter_rms);
      }
    }
  }
}

TEST(Optimizer, StateIsTheCodeOfWhatTheStepUsed) {
  for (const Storage storage : {Storage::al8, Storage::log_u8, Storage::linear_u8}) {
    GroupOptions options;
    options.storage = storage;
    options.block = 64;
    Trial run({2, 90, 150}, options);
    for (int k = 1; k <= 2; ++k) run.step(k);
    const std::vector<float> row = run.optimizer.last_step(0).row, decoded = run.optimizer.export_decoded(0, "row");
    const RawSlot slot = run.optimizer.export_raw(0)[0];
    ASSERT_EQ(slot.name, "row");
    ASSERT_EQ(slot.block, 64);
    const size_t words = storage == Storage::linear_u8 ? 1 : 2;
    ASSERT_EQ(slot.scales.size(), 2 * 2 * words);
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t matrix = i / 90, in = i % 90, block = matrix * 2 + in / 64;
      core::BlockRange range;
      for (size_t j = in / 64 * 64; j < std::min<size_t>(in / 64 * 64 + 64, 90); ++j)
        core::include(range, row[matrix * 90 + j]);
      const core::BlockScale scale = core::block_scale(storage, range);
      ASSERT_EQ(slot.scales[block * words], scale.lo);
      const uint32_t code = core::encode(storage, row[i], scale);
      ASSERT_EQ(uint8_t(slot.values[i]), code);
      ASSERT_EQ(decoded[i], core::decode(storage, code, core::block_decoder(storage, scale)));
    }
  }
}

TEST(Optimizer, SmallTensorsKeepFloatState) {
  GroupOptions options;
  options.min_quantized_size = 100;
  EXPECT_EQ(Trial({9, 11}, options).optimizer.export_raw(0)[0].storage, Storage::fp32);
  EXPECT_EQ(Trial({10, 10}, options).optimizer.export_raw(0)[0].storage, Storage::al8);
}

TEST(Optimizer, ExportAndImportContinueBitForBit) {
  for (const bool factored : {true, false}) {
    for (const Storage storage : {Storage::fp32, Storage::al8, Storage::log_u8, Storage::linear_u8}) {
      GroupOptions options;
      options.factored = factored;
      options.storage = storage;
      options.parameter_norm = ParameterNorm::carried;
      Trial a({50, 90}, options), b({50, 90}, options);
      for (int k = 1; k <= 3; ++k) a.step(k);
      b.optimizer.import_raw(0, a.optimizer.steps_taken(0), a.optimizer.export_raw(0));
      b.parameter = a.parameter;
      EXPECT_TRUE(equal_state(a, b));
      a.step(4);
      b.step(4);
      EXPECT_EQ(a.parameter, b.parameter);
      EXPECT_TRUE(equal_state(a, b));
      EXPECT_EQ(b.optimizer.steps_taken(0), 4);
    }
  }
}

TEST(Optimizer, ImportRejectsWhatDoesNotFitAndChangesNothing) {
  Trial run({50, 90}, GroupOptions{}), untouched({50, 90}, GroupOptions{});
  run.step(1);
  untouched.step(1);
  const std::vector<RawSlot> good = run.optimizer.export_raw(0);
  const auto expect_rejected = [&](auto change, int64_t steps = 1) {
    std::vector<RawSlot> slots = good;
    change(slots);
    EXPECT_THROW(run.optimizer.import_raw(0, steps, slots), OptionError);
    EXPECT_TRUE(equal_state(run, untouched));
  };
  expect_rejected([](auto& s) { s.pop_back(); });
  expect_rejected([](auto& s) { s[1].name = "column"; });
  expect_rejected([](auto& s) { s[1].storage = Storage::log_u8; });
  expect_rejected([](auto& s) { s[1].values.pop_back(); });
  expect_rejected([](auto& s) { s[1].scales.push_back(0); });
  expect_rejected([](auto& s) { s[1].block = 64; });
  expect_rejected([](auto& s) { s[1].count += 1; });
  expect_rejected([](auto& s) { s[1].scales[1] = -1; });
  expect_rejected([](auto& s) { s[1].scales[0] = 1e9f; });
  expect_rejected([](auto& s) { s[1].scales[1] = 300.0f; });
  expect_rejected([](auto& s) { s[1].scales[1] = std::nanf(""); });
  expect_rejected([](auto&) {}, -1);
  EXPECT_THROW((void)run.optimizer.export_decoded(0, "momentum"), OptionError);
  EXPECT_THROW((void)run.optimizer.export_raw(1), OptionError);
}

Data with_bad(Data g, const std::vector<std::pair<int64_t, float>>& bad) {
  for (const auto& [at, x] : bad) g.set(at, x);
  return g;
}
const std::vector<std::pair<int64_t, float>> kBad = {{0, std::numeric_limits<float>::infinity()},
                                                     {777, std::nanf("")},
                                                     {778, -0x1p50f},
                                                     {5999, -std::numeric_limits<float>::infinity()}};
const std::vector<std::pair<int64_t, float>> kZeros = {{0, 0.0f}, {777, 0.0f}, {778, 0.0f}, {5999, 0.0f}};

TEST(Nonfinite, ZeroCountsThemAndGivesTheBitsOfZeros) {
  for (const bool factored : {true, false}) {
    for (const Type type : {Type::float32, Type::bfloat16}) {
      GroupOptions options;
      options.factored = factored;
      Trial a({60, 100}, options, Type::float32, type), b({60, 100}, options, Type::float32, type);
      a.step(with_bad(a.gradient(1), kBad));
      b.step(with_bad(b.gradient(1), kZeros));
      EXPECT_EQ(a.parameter, b.parameter);
      EXPECT_TRUE(equal_state(a, b));
      EXPECT_EQ(a.optimizer.last_step(0).nonfinite, 4);
      EXPECT_EQ(b.optimizer.last_step(0).nonfinite, 0);
    }
  }
}

TEST(Nonfinite, SkipLeavesEveryByte) {
  for (const bool factored : {true, false}) {
    GroupOptions options;
    options.factored = factored;
    options.nonfinite = Nonfinite::skip;
    options.parameter_norm = ParameterNorm::carried;
    Trial run({60, 100}, options), untouched({60, 100}, options);
    for (const int64_t before : {0, 1}) {
      run.step(with_bad(run.gradient(9), {{4321, std::nanf("")}}));
      EXPECT_EQ(run.parameter, untouched.parameter);
      EXPECT_TRUE(equal_state(run, untouched));
      const StepRecord record = run.optimizer.last_step(0);
      EXPECT_TRUE(record.skipped);
      EXPECT_EQ(record.step, before + 1);
      EXPECT_EQ(record.nonfinite, 1);
      EXPECT_EQ(run.optimizer.steps_taken(0), before);
      run.step(1);
      untouched.step(1);
      EXPECT_EQ(run.parameter, untouched.parameter);
      EXPECT_FALSE(run.optimizer.last_step(0).skipped);
    }
  }
}

TEST(Nonfinite, PropagateMakesCanonicalNans) {
  for (const Storage storage : {Storage::fp32, Storage::al8, Storage::linear_u8}) {
    for (const bool factored : {true, false}) {
      GroupOptions options;
      options.factored = factored;
      options.storage = storage;
      options.nonfinite = Nonfinite::propagate;
      Trial run({60, 100}, options);
      run.step(with_bad(run.gradient(1), {{4321, -std::nanf("")}}));
      EXPECT_EQ(run.optimizer.last_step(0).nonfinite, 1);
      for (int64_t i = 0; i < 6000; ++i) {
        const float p = run.parameter.get(i);
        EXPECT_EQ(core::to_bits(p), core::kCanonicalNan);
      }
      const std::vector<float> state = run.optimizer.export_decoded(0, factored ? "row" : "second_moment");
      EXPECT_TRUE(std::isnan(state[factored ? 43 : 4321]));
    }
  }
}

TEST(Nonfinite, LargeFiniteGradientsBelowTheLimitAreTaken) {
  Trial run({60, 100}, GroupOptions{});
  Data g = run.gradient(1);
  for (int64_t i = 0; i < g.size(); ++i) g.set(i, std::nextafter(0x1p50f, 0.0f));
  run.step(g);
  EXPECT_EQ(run.optimizer.last_step(0).nonfinite, 0);
  for (int64_t i = 0; i < g.size(); ++i) EXPECT_TRUE(std::isfinite(run.parameter.get(i)));
}

TEST(Optimizer, AnAllZeroGradientGivesFiniteParameters) {
  Trial run({60, 100}, GroupOptions{});
  const Data before = run.parameter;
  for (int k = 0; k < 3; ++k) run.step(Data(6000, Type::float32));
  EXPECT_EQ(run.parameter, before);
}

TEST(Optimizer, SetLrActsFromTheNextStep) {
  GroupOptions slow, fast;
  fast.lr = 0.05;
  Trial a({9, 11}, slow), b({9, 11}, fast);
  a.optimizer.set_lr(0.05);
  a.step(1);
  b.step(1);
  EXPECT_EQ(a.parameter, b.parameter);
  EXPECT_THROW(a.optimizer.set_lr(-1), OptionError);
  EXPECT_THROW(a.optimizer.set_lr(0.1, nullptr, 1), OptionError);
}

TEST(Optimizer, BadPointersAreNamedBeforeAnythingChanges) {
  const TensorSpec specs[] = {{"first", {8}, Type::float32, Type::float32, 0},
                              {"second", {8}, Type::float32, Type::float32, 0}};
  Optimizer optimizer({specs[0], specs[1]}, {GroupOptions{}}, {});
  Data p = filled(8, Type::float32, 1, 1), q = p, g = p, h = p;
  const Data before = p;
  const auto expect_rejected = [&](std::vector<TensorPointers> pointers, const char* what) {
    try {
      optimizer.step(pointers);
      ADD_FAILURE() << "accepted, expected: " << what;
    } catch (const OptionError& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
    EXPECT_EQ(p, before);
    EXPECT_EQ(optimizer.steps_taken(0), 0);
  };
  expect_rejected({{p.data(), g.data()}}, "1 given, expected 2");
  expect_rejected({{p.data(), g.data()}, {nullptr, g.data()}}, "'second': parameter pointer is null");
  expect_rejected({{p.data(), g.data()}, {q.data(), nullptr}}, "'second': gradient pointer is null");
  expect_rejected({{p.data(), g.data()}, {static_cast<char*>(q.data()) + 4, g.data()}}, "not aligned");
  expect_rejected({{p.data(), g.data()}, {q.data(), static_cast<char*>(q.data()) + 16}}, "overlap");
  // between tensors
  const auto at = [](Data& data, int bytes) { return static_cast<char*>(data.data()) + bytes; };
  expect_rejected({{p.data(), g.data()}, {p.data(), h.data()}},
                  "'second': parameter overlaps the parameter of tensor 'first'");
  expect_rejected({{p.data(), g.data()}, {at(p, 16), h.data()}}, "overlaps the parameter of tensor 'first'");
  expect_rejected({{p.data(), g.data()}, {q.data(), at(p, 16)}},
                  "'second': gradient overlaps the parameter of tensor 'first'");
  expect_rejected({{p.data(), at(q, 16)}, {q.data(), h.data()}}, "'first': gradient overlaps the parameter of");
  EXPECT_THROW(Trial({4}, GroupOptions{}, Type::float32, Type::float32, 0), OptionError);
  // gradients may share memory, ranges may touch, and bad pointers are seen after good ones, too
  const TensorPointers good[] = {{p.data(), g.data()}, {q.data(), g.data()}};
  optimizer.step(good);
  optimizer.step(good);
  EXPECT_EQ(optimizer.steps_taken(1), 2);
  const TensorPointers bad[] = {{p.data(), g.data()}, {q.data(), p.data()}};
  EXPECT_THROW(optimizer.step(bad), OptionError);
  EXPECT_EQ(optimizer.steps_taken(1), 2);
}

// Counts what is allocated; refuses the allocation with the given number.
class Memory final : public MemoryResource {
 public:
  explicit Memory(int refused = -1) : refused_(refused) {}
  void* allocate(size_t bytes) override {
    if (allocations++ == refused_) throw std::bad_alloc();
    live += bytes;
    return ::operator new (bytes, std::align_val_t{256});
  }
  void deallocate(void* memory, size_t bytes) noexcept override {
    live -= bytes;
    ::operator delete (memory, std::align_val_t{256});
  }
  int allocations = 0;
  size_t live = 0;

 private:
  int refused_;
};

TEST(Optimizer, TakesTwoArenasAndGivesThemBack) {
  Memory memory;
  OptimizerConfig config;
  config.memory = &memory;
  {
    Optimizer optimizer({{"w", {64, 64}, Type::float32, Type::float32, 0}}, {GroupOptions{}}, config);
    EXPECT_EQ(memory.allocations, 2);
    EXPECT_EQ(memory.live, optimizer.state_bytes() + optimizer.scratch_bytes());
    Data p = filled(4096, Type::float32, 1, 1), g = p;
    const TensorPointers pointers[] = {{p.data(), g.data()}};
    optimizer.step(pointers);
    EXPECT_EQ(memory.allocations, 2);
  }
  EXPECT_EQ(memory.live, 0u);
  // a device takes a third one, for its tables
  for (const auto& [backend, refused] :
       {std::pair(Backend::host, 0), {Backend::host, 1}, {Backend::emulator, 1}, {Backend::emulator, 2}}) {
    Memory refusing(refused);
    config.memory = &refusing;
    config.backend = backend;
    EXPECT_THROW(Optimizer({{"w", {64, 64}, Type::float32, Type::float32, 0}}, {GroupOptions{}}, config),
                 std::bad_alloc);
    EXPECT_EQ(refusing.allocations, refused + 1);
    EXPECT_EQ(refusing.live, 0u);
  }
}

TEST(Optimizer, ManyTensorsGiveTheBitsOfEachAlone) {
  GroupOptions second;
  second.lr = 0.3;
  second.factored = false;
  const std::vector<TensorSpec> specs = {{"a", {70, 80}, Type::float32, Type::float32, 0},
                                         {"b", {6000}, Type::float32, Type::float32, 1},
                                         {"c", {2, 33, 90}, Type::float32, Type::float32, 0}};
  const GroupOptions groups[] = {{}, second};
  Optimizer together(specs, {groups[0], groups[1]}, {});
  std::vector<Data> p, g;
  std::vector<TensorPointers> pointers;
  for (const TensorSpec& s : specs) p.push_back(filled(product(s.shape), Type::float32, 0.5, 1));
  for (const TensorSpec& s : specs) g.push_back(filled(product(s.shape), Type::float32, 1e-2, 101));
  for (size_t i = 0; i < specs.size(); ++i) pointers.push_back({p[i].data(), g[i].data()});
  for (int k = 0; k < 2; ++k) together.step(pointers);
  for (size_t i = 0; i < specs.size(); ++i) {
    Trial alone(specs[i].shape, groups[specs[i].group]);
    for (int k = 0; k < 2; ++k) alone.step(1);
    EXPECT_EQ(alone.parameter, p[i]) << specs[i].name;
  }
}

TEST(Optimizer, AStepNotYetTakenHasAnEmptyRecord) {
  Trial run({4, 4}, GroupOptions{});
  EXPECT_EQ(run.optimizer.last_step(0).step, 0);
  EXPECT_EQ(run.optimizer.steps_taken(0), 0);
}

TEST(Backends, TheHostIsAlwaysAvailable) { EXPECT_EQ(backend_unavailable(Backend::host), ""); }

}  // namespace
}  // namespace plumbline
