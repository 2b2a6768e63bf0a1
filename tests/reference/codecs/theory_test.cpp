// The formulas of reference/CODECS.md, each as a property.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "reference/codecs/float_format.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_codec.h"
#include "reference/codecs/uniform.h"

namespace plumbline::reference {
namespace {

constexpr double kLn2 = std::numbers::ln2;
constexpr double kRounding = 1e-12;  // of double, through log2 and exp2

// Even over [low, high), of 2^-20 steps; shrinks towards low.
double draw(double low, double high) { return low + (high - low) * *rc::gen::inRange(0, 1 << 20) * 0x1p-20; }

LogCodec any_log_codec() { return *rc::gen::element(kAl8, kAl16, kLogU8, LogCodec{0, 255}, LogCodec{0, 255, -40.0}); }

// A grid of up to 240 octaves within float32, and a value on it.
struct OnGrid {
  LogScale scale;
  double value, h;
};
OnGrid on_grid(const LogCodec& codec) {
  const double lo = codec.lo_always.value_or(draw(-126, 0)), r = std::exp2(draw(-4, std::log2(125.0)));
  return {{lo, r}, std::exp2(lo + r * draw(0, 1)), r / (2 * codec.steps())};
}

RC_GTEST_PROP(CodecTheory, HalfStep, ()) {
  const LogCodec codec = any_log_codec();
  const OnGrid at = on_grid(codec);
  const double ratio = codec.decode(codec.encode(at.value, at.scale), at.scale) / at.value;
  RC_ASSERT(std::abs(std::log2(ratio)) <= at.h + 1e-13);
  RC_ASSERT(std::abs(ratio - 1) <= std::expm1(at.h * kLn2) + kRounding);
  const double x = draw(-1, 1);
  for (const UniformCodec& even : {kUf4, kUf8})
    RC_ASSERT(std::abs(even.decode(even.encode(x, 1), 1) - x) <= 0.5 / even.steps + kRounding);
  RC_ASSERT(std::abs(LinearU8::decode(LinearU8::encode(std::abs(x), {1}), {1}) - std::abs(x)) <= 1 / 510.0 + kRounding);
  RC_ASSERT(std::abs(kBfloat16.nearest(at.value) / at.value - 1) <= 0x1p-8);
}

// Over a whole step, the mean square is a third of the largest.
TEST(CodecTheory, HalfStepIsEvenlyUsed) {
  constexpr int kPoints = 10000;
  const LogScale scale{-20, 30};
  const double h = scale.r / (2 * kAl8.steps()), middle = scale.lo + 100 * 2 * h;
  double squares = 0;
  for (int i = 0; i < kPoints; ++i) {
    const double l = middle + 2 * h * ((i + 0.5) / kPoints - 0.5), v = std::exp2(l);
    const double error = std::log2(kAl8.decode(kAl8.encode(v, scale), scale)) - l;
    squares += error * error / kPoints;
  }
  EXPECT_NEAR(std::sqrt(squares), h / std::sqrt(3.0), 1e-6 * h);
}

// Mean and mean square of what is read back, over an even grid of draws.
template <class Read>
std::pair<double, double> moments(Read read) {
  constexpr int kDraws = 4096;
  double mean = 0, squares = 0;
  for (int k = 0; k < kDraws; ++k) {
    const double v = read((k + 0.5) / kDraws);
    mean += v / kDraws;
    squares += v * v / kDraws;
  }
  return {mean, squares};
}

RC_GTEST_PROP(CodecTheory, StochasticMoments, ()) {
  const LogCodec codec = any_log_codec();
  const OnGrid at = on_grid(codec);
  const Interval near = codec.reach(at.value, at.scale, Rounding::stochastic);
  const double gap = near.high - near.low, v = at.value;
  const auto [mean, squares] =
      moments([&](double u) { return codec.decode(codec.encode_stochastic(v, at.scale, u), at.scale); });
  RC_ASSERT(std::abs(mean - v) <= gap / 4096 + kRounding * v);  // the grid of draws misses by one draw
  const double variance = (near.high - v) * (v - near.low);
  RC_ASSERT(std::abs(squares - 2 * mean * v + v * v - variance) <= gap * gap / 2048 + kRounding * v * v);
  RC_ASSERT(variance <= gap * gap / 4 * (1 + kRounding) + kRounding * v * v);
}

RC_GTEST_PROP(CodecTheory, DitherMoments, ()) {
  const LogCodec codec = any_log_codec();
  const OnGrid at = on_grid(codec);
  const double a = kLn2 * at.scale.r / (2 * (codec.steps() - 1)), v = at.value;
  const auto [mean, squares] = moments([&](double u) {
    const double d = u - 0.5, read = codec.decode_dither(codec.encode_dither(v, at.scale, d), at.scale, d);
    RC_ASSERT(read >= v * std::exp(-a) * a / std::sinh(a) * (1 - kRounding));
    RC_ASSERT(read <= v * std::exp(a) * a / std::sinh(a) * (1 + kRounding));
    return read;
  });
  const double jump = std::expm1(2 * a) / 4096;  // one draw falls on one side of the wrap or the other
  RC_ASSERT(std::abs(mean / v - 1) <= jump + kRounding);
  RC_ASSERT(std::abs(squares / (v * v) - a / std::tanh(a)) <= 3 * jump + kRounding);

  const UniformCodec even = *rc::gen::element(kUf4, kUf8);
  const double x = draw(-1, 1), gap = 1 / (even.steps - 1.5);
  const auto [even_mean, even_squares] =
      moments([&](double u) { return even.decode_dither(even.encode_dither(x, 1, u - 0.5), 1, u - 0.5); });
  RC_ASSERT(std::abs(even_mean - x) <= gap / 4096 + kRounding);
  RC_ASSERT(std::abs(even_squares - x * x - gap * gap / 12) <= gap / 1024 + kRounding);
}

RC_GTEST_PROP(CodecTheory, UpdateHalves, ()) {
  const LogCodec codec = any_log_codec();
  const OnGrid at = on_grid(codec);
  const double stored = codec.decode(codec.encode(at.value, at.scale), at.scale);
  const double update = std::sqrt(at.value / stored), b = std::abs(stored / at.value - 1);
  RC_ASSERT(std::abs(std::log2(update)) <= at.h / 2 + 1e-13);
  RC_PRE(b < 1);
  RC_ASSERT(std::abs(update - 1) <= 1 / std::sqrt(1 - b) - 1 + kRounding);
}

RC_GTEST_PROP(CodecTheory, FactoredHalvesAdd, ()) {
  const LogCodec codec = *rc::gen::element(kAl8, kAl16);
  const auto draw_average = [](size_t n) {
    std::vector<double> values(n);
    for (double& v : values) v = std::exp2(draw(-60, 0));
    return values;
  };
  const auto row = draw_average(7), col = draw_average(5);
  const LogScale row_scale = codec.scale_of(row), col_scale = codec.scale_of(col);
  const double h_row = row_scale.r / (2 * codec.steps()), h_col = col_scale.r / (2 * codec.steps());
  const auto stored = [&](double v, LogScale s) { return codec.decode(codec.encode(v, s), s); };
  double mean = 0, stored_mean = 0;
  for (const double r : row) mean += r / 7, stored_mean += stored(r, row_scale) / 7;
  for (const double r : row)
    for (const double c : col) {
      const double exact = std::sqrt(r * c / mean);
      const double read = std::sqrt(stored(r, row_scale) * stored(c, col_scale) / stored_mean);
      RC_ASSERT(std::abs(std::log2(exact / read)) <= (h_row + h_col + h_row) / 2 + 1e-12);
    }
}

// d_t = (1 - w) d_{t-1} + q_t, step by step, and so at most max |q|/w.
RC_GTEST_PROP(CodecTheory, DriftBound, ()) {
  const double w = draw(0.01, 0.5);
  const LogScale scale{-20, 20};
  double exact = draw(0.001, 0.9), stored = exact, drift = 0, largest = 0;
  for (int t = 0; t < 100; ++t) {
    const double sample = draw(0, 1), x = (1 - w) * stored + w * sample;
    exact = (1 - w) * exact + w * sample;
    stored = kAl8.decode(kAl8.encode(x, scale), scale);
    drift = (1 - w) * drift + (stored - x);
    largest = std::max(largest, std::abs(stored - x));
    RC_ASSERT(std::abs(stored - exact - drift) <= 1e-13);
    RC_ASSERT(std::abs(stored - exact) <= largest / w + 1e-13);
  }
}

// Averages under unbiased rounding, against the sum of variances: 4,000 of them, so within six standard deviations of
// their mean square, sqrt(2/4000) each were they normal.
TEST(CodecTheory, DriftVariance) {
  constexpr double kW = 0.1;
  constexpr int kRuns = 4000, kSteps = 100;
  double squares = 0, sum = 0;
  for (uint32_t run = 0; run < kRuns; ++run) {
    double stored = 0.3, exact = 0.3;
    for (uint32_t t = 0; t < kSteps; ++t) {
      const double d = RoundingStream{17, 0, t}.offset(run, 0, 0), sample = t % 2 ? 0.9 : -0.7;
      exact = (1 - kW) * exact + kW * sample;
      stored = kUf4.decode_dither(kUf4.encode_dither((1 - kW) * stored + kW * sample, 1, d), 1, d);
    }
    squares += (stored - exact) * (stored - exact) / kRuns;
    sum += (stored - exact) / kRuns;
  }
  const double gap = 1 / 5.5, expected = gap * gap / 12 / (1 - (1 - kW) * (1 - kW));
  EXPECT_NEAR(squares / expected, 1, 6 * std::sqrt(2.0 / kRuns));
  EXPECT_LE(std::abs(sum), 6 * std::sqrt(expected / kRuns));
  EXPECT_NEAR(expected, gap * gap / 12 / (2 * kW), 0.06 * expected);  // the short form
}

RC_GTEST_PROP(CodecTheory, FreezingThreshold, ()) {
  const LogCodec codec = *rc::gen::element(kAl8, kLogU8);
  const OnGrid at = on_grid(codec);
  const int code = *rc::gen::inRange(codec.first + 1, codec.last);
  const double v = codec.decode(code, at.scale), w = draw(1e-4, 0.9);
  const double low = 1 - (1 - std::exp2(-at.h)) / w, high = 1 + std::expm1(at.h * kLn2) / w;
  const auto next = [&](double ratio) { return codec.encode((1 - w) * v + w * ratio * v, at.scale); };
  const double margin = 1e-9 / w;  // of double, in s/v
  const double inside = std::max(low + margin, 0.0);
  RC_ASSERT(next(inside) == code);
  RC_ASSERT(next(high - margin) == code);
  RC_ASSERT(next(high + margin) > code);
  if (low - margin >= 0) RC_ASSERT(next(low - margin) < code);
  RC_ASSERT((low < 0) == (w < 1 - std::exp2(-at.h)));

  const int even = *rc::gen::inRange(-126, 127);
  const double x = kUf8.decode(even, 1), threshold = 1.0 / (2 * 127 * w);
  const auto next_even = [&](double s) { return kUf8.encode((1 - w) * x + w * s, 1); };
  RC_ASSERT(next_even(x + threshold * (1 - 1e-9)) == even);
  RC_ASSERT(next_even(x - threshold * (1 - 1e-9)) == even);
  RC_ASSERT(next_even(x + threshold * (1 + 1e-9)) == even + 1);
  RC_ASSERT(next_even(x - threshold * (1 + 1e-9)) == even - 1);
}

TEST(CodecTheory, FreezingThresholdOfTheUsualWeight) {
  const double h = -std::log2(1 - 0.001);
  EXPECT_NEAR(h, 0.00144, 5e-6);
  EXPECT_NEAR(h * 2 * kAl8.steps(), 0.73, 0.005);
  EXPECT_NEAR(h * 2 * kAl16.steps(), 189, 0.5);
}

// Constant samples, from below and from above: the average stops within the threshold, on the side that it came from.
RC_GTEST_PROP(CodecTheory, StopsShort, ()) {
  const double w = draw(0.01, 0.5), sample = draw(0.1, 0.9), gap = 1.0 / 127;
  for (const double from : {0.0, 1.0}) {
    double x = from;
    for (int t = 0; t < 2000; ++t) x = kUf8.decode(kUf8.encode((1 - w) * x + w * sample, 1), 1);
    RC_ASSERT(std::abs(x - sample) <= gap / (2 * w) + kRounding);
    RC_ASSERT(std::abs(x - sample) <= gap / 2 || (x < sample) == (from < sample));
  }
}

TEST(CodecTheory, StopsShortByTheWholeThreshold) {
  double x = 0;
  for (int t = 0; t < 2000; ++t) x = kUf8.decode(kUf8.encode(0.99 * x + 0.01 * 0.39, 1), 1);
  EXPECT_EQ(x, 0);  // w s is just below half a step: the average never starts
}

TEST(CodecTheory, SettlesBySign) {
  const auto settle = [](double g) {
    double m = 0;
    for (int t = 0; t < 500; ++t) {
      const double x = 0.9 * m + 0.1 * g, scale = kAdafactor8bitMomentum.scale_of(std::span(&x, 1));
      m = kAdafactor8bitMomentum.decode(kAdafactor8bitMomentum.encode(x, scale), scale);
    }
    return m;
  };
  EXPECT_NEAR(settle(1), 7.0 / 8 * 0.1 / (1 - 7.0 / 8 * 0.9), 1e-12);
  EXPECT_NEAR(settle(1), 0.41, 0.005);
  EXPECT_NEAR(settle(-1), -1, 1e-12);
}

// E x^2 of an average under dither, step by step, with samples of 1: settles or grows as the criterion says.
RC_GTEST_PROP(CodecTheory, DitherStability, ()) {
  const double w = draw(1e-4, 0.1), a = draw(1e-3, 0.8);
  const double noise = a / std::tanh(a), keep = (1 - w) * (1 - w) * noise;
  double squares = 1;
  for (int t = 0; t < 400000 && squares < 1e6; ++t)
    squares = noise * ((1 - w) * (1 - w) * squares + 2 * w * (1 - w) + w * w);
  RC_PRE(std::abs(keep - 1) > 1e-3 * w + 1e-4);
  if (keep < 1)
    RC_ASSERT(std::abs(squares / (noise * (2 * w - w * w) / (1 - keep)) - 1) <= 1e-6);
  else
    RC_ASSERT(squares >= 1e6);
  if (a * a < 6 * w * (1 - 2 * w)) RC_ASSERT((1 - w) * (1 - w) * noise < 1);
}

TEST(CodecTheory, DitherStabilityOfTheUsualWeight) {
  double stable = 0;
  for (double r = 1; r < 100; r += 0.01) {
    const double a = kLn2 * r / 506;
    if (0.999 * 0.999 * a / std::tanh(a) < 1) stable = r;
  }
  EXPECT_NEAR(stable, 56.5, 0.5);
}

// P(|e + n z| < |e|/2) for normal e and z, by a double integral over an even grid of quantiles.
RC_GTEST_PROP(CodecTheory, StaleUnderNoise, ()) {
  const double spread = draw(0.1, 5), noise = draw(0.1, 5);
  const auto below = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
  double share = 0;
  constexpr int kPoints = 4000;
  for (int k = 0; k < kPoints; ++k) {
    const double z = -8 + 16 * (k + 0.5) / kPoints, weight = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
    const double e = std::abs(spread * z) / noise;
    share += weight * (below(-e / 2) - below(-1.5 * e)) * 16 / kPoints;
  }
  const double closed = (std::atan(1.5 * spread / noise) - std::atan(0.5 * spread / noise)) / std::numbers::pi;
  RC_ASSERT(std::abs(share - closed) <= 1e-4);
  RC_ASSERT(closed <= 1.0 / 6 + kRounding);
}

// Weights w (1 - w)^k of independent squares of variance 2.
RC_GTEST_PROP(CodecTheory, EstimateOwnNoise, ()) {
  const double w = draw(0.001, 0.5);
  double variance = 0;
  for (int k = 0; k < 20000; ++k) variance += 2 * std::pow(w * std::pow(1 - w, k), 2);
  RC_ASSERT(std::abs(variance / (2 * w / (2 - w)) - 1) <= 1e-9);
}

// M^2 <= K^2 V for averages of the same gradients, and the gradients of equality.
RC_GTEST_PROP(CodecTheory, AveragesOfTheSameGradients, ()) {
  const double beta1 = draw(0, 0.95), beta2 = draw(0.9, 0.9999);
  const int steps = *rc::gen::inRange(1, 400);
  double k = 0, momentum = 0, second = 0, worst_momentum = 0, worst_second = 0;
  std::vector<double> weight(static_cast<size_t>(steps));  // of g_s^2 in V in the end
  for (int t = 0; t < steps; ++t) weight[size_t(t)] = (t == 0 ? 1 : 1 - beta2) * std::pow(beta2, steps - 1 - t);
  for (int t = 0; t < steps; ++t) {
    const double w = t == 0 ? 1 : 1 - beta2, g = draw(-1, 1) * std::exp2(draw(-20, 20));
    k = (1 - beta1) * (1 - beta1) / w + (t == 0 ? 0 : beta1 * beta1 * k / (1 - w));
    momentum = beta1 * momentum + (1 - beta1) * g;
    second = (1 - w) * second + w * g * g;
    RC_ASSERT(momentum * momentum <= k * second * (1 + 1e-9));
    const double adverse = (1 - beta1) * std::pow(beta1, steps - 1 - t) / weight[size_t(t)];
    worst_momentum = beta1 * worst_momentum + (1 - beta1) * adverse;
    worst_second = (1 - w) * worst_second + w * adverse * adverse;
  }
  RC_ASSERT(std::abs(worst_momentum * worst_momentum / worst_second / k - 1) <= 1e-9);
}

TEST(CodecTheory, AveragesOfTheSameGradientsAtTheUsualWeights) {
  double k = 1;  // w_1 = 1 - beta2 from nothing, bias apart
  for (int t = 0; t < 10000; ++t) k = 0.01 / 0.001 + 0.81 * k / 0.999;
  EXPECT_NEAR(std::sqrt(k), 7.27, 0.01);
}

// At a constant scale a code's mean falls by beta1 a step, and a code that is not 0 is at least 1.
RC_GTEST_PROP(CodecTheory, CodesReachZero, ()) {
  const double beta1 = draw(0, 0.99);
  const int steps = *rc::gen::inRange(1, 100);
  for (const UniformCodec& codec : {kUf4, kUf8}) {
    const int first = *rc::gen::inRange(1, codec.steps);
    std::vector<double> chance(static_cast<size_t>(codec.steps), 0.0);
    chance[size_t(first)] = 1;
    for (int n = 0; n < steps; ++n) {
      std::vector<double> next(chance.size(), 0.0);
      for (size_t code = 0; code < chance.size(); ++code) {
        const double x = double(code) * beta1, below = std::floor(x);
        next[size_t(below)] += chance[code] * (1 - (x - below));
        if (x > below) next[size_t(below) + 1] += chance[code] * (x - below);
      }
      chance = next;
    }
    RC_ASSERT(1 - chance[0] <= first * std::pow(beta1, steps) + 1e-12);
    // and that is the codec's own rounding
    const double x = beta1 * codec.decode_stochastic(first, 1), part = first * beta1 - std::floor(first * beta1);
    RC_PRE(part > 1e-6 && part < 1 - 1e-6);
    RC_ASSERT(codec.encode_stochastic(x, 1, part - 1e-9) == int(std::floor(first * beta1)) + 1);
    RC_ASSERT(codec.encode_stochastic(x, 1, part + 1e-9) == int(std::floor(first * beta1)));
    RC_ASSERT(codec.encode_stochastic(0, 1, 0x1p-17) == 0);
  }
}

TEST(CodecTheory, NearestSticks) {
  for (const UniformCodec& codec : {kUf4, kUf8}) {
    for (const double beta1 : {0.6, 0.75, 0.9, 0.99})
      for (int code = 1; code < std::min<double>(codec.steps, 0.5 / (1 - beta1) - 1e-9); ++code)
        EXPECT_EQ(codec.encode(beta1 * codec.decode(code, 1), 1), code) << beta1;
    for (int code = codec.steps, n = 0; n < 10; ++n) {
      code = codec.encode(0.5 * codec.decode(code, 1), 1);
      if (n > 7) {
        EXPECT_EQ(code, 0) << "at 1/2, ties go to the even 0";
      }
    }
  }
  // and bfloat16, where what falls is less than half an ulp
  const auto next = [](double x, double beta1) { return kBfloat16.nearest(beta1 * x); };
  EXPECT_EQ(next(1 + 0x1p-7, 1 - 0x1p-9), 1 + 0x1p-7);
  for (double x = 1; x < 2; x += 0x1p-7) EXPECT_LT(next(x, 1 - 0x1.01p-8), x);
}

TEST(CodecTheory, EstimateOwnNoiseOfUsualWeights) {
  EXPECT_NEAR(std::sqrt(2 * 0.001 / 1.999) / 2, 0.016, 0.0005);
  EXPECT_NEAR(std::sqrt(2 * 0.01 / 1.99) / 2, 0.05, 0.0005);
}

}  // namespace
}  // namespace plumbline::reference
