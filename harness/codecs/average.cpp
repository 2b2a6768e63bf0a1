#include "harness/codecs/average.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "harness/codecs/staleness.h"

namespace plumbline::harness::codecs {
namespace {

using reference::Interval;
using reference::Rounding;

constexpr size_t kValues = 128;

// The average of one storage as it goes: exact, stored, and what the stored one may be off by.
class Run {
 public:
  Run(const Storage& storage, const AverageSamples& drawn, uint64_t seed)
      : storage_(storage),
        drawn_(drawn),
        codec_(storage.make()),
        stream_{uint32_t(seed), 0, 0},
        exact_(start()),
        input_(exact_),
        stored_(kValues),
        slack_(kValues, 0.0),
        variance_(kValues, 0.0),
        window_(int64_t(std::ceil(1 / drawn.scenario.weight - 1e-9))) {}

  AverageFigures run() {
    store(0);
    open_window();
    for (int64_t t = 1; t <= drawn_.scenario.steps; ++t) {
      step(t);
      if (t % window_ == 0) {
        close_window();
        open_window();
      }
    }
    return figures();
  }

 private:
  bool squares() const { return drawn_.scenario.kind == StateKind::second_moment; }
  SampleLaw law(size_t i) const {
    const AverageScenario& scenario = drawn_.scenario;
    if (!squares()) return {false, 1, drawn_.scale[i], scenario.mean * drawn_.scale[i]};
    return {true, scenario.columns, drawn_.scale[i] * (drawn_.pinned(i) ? 1 : scenario.fall)};
  }
  std::vector<double> start() const {
    if (squares()) return drawn_.scale;
    std::vector<double> out(kValues);  // momentum: spread as its average is
    const double w = drawn_.scenario.weight;
    for (size_t i = 0; i < kValues; ++i) out[i] = drawn_.samples[i] * drawn_.scale[i] * std::sqrt(w / (2 - w));
    return out;
  }

  void step(int64_t t) {
    const double w = drawn_.scenario.weight;
    const float* samples = drawn_.samples.data() + size_t(t) * kValues;
    for (size_t i = 0; i < kValues; ++i) {
      const SampleLaw from = law(i);
      const double sample = from.scale * samples[i] + (squares() ? 0 : from.shift);
      exact_[i] = (1 - w) * exact_[i] + w * sample;
      fresh_[i] = (1 - w) * fresh_[i] + w * sample;
      input_[i] = (1 - w) * stored_[i] + w * sample;
      slack_[i] *= 1 - w;
      variance_[i] *= (1 - w) * (1 - w);
    }
    store(t);
  }

  void store(int64_t t) {
    stream_.writes = uint32_t(t);
    const auto block = size_t(storage_.block);
    for (size_t begin = 0; begin < kValues; begin += block) {
      const std::span<const double> part(input_.data() + begin, std::min(block, kValues - begin));
      codec_->begin(part, {stream_, int64_t(begin / block), int64_t(begin)});
      for (size_t i = 0; i < part.size(); ++i) {
        const Interval r = codec_->reach(part[i]);
        stored_[begin + i] = codec_->stored(part[i], int64_t(i));
        variance_[begin + i] += variance_of(part[i], r);
        slack_[begin + i] += std::max(std::abs(r.low - part[i]), std::abs(r.high - part[i]));
      }
    }
  }

  // Of the rounding error of one value.
  double variance_of(double x, Interval r) const {
    if (storage_.rounding == Rounding::stochastic) return std::max((r.high - x) * (x - r.low), 0.0);
    return storage_.rounding == Rounding::dither ? (r.high - r.low) * (r.high - r.low) / 12 : 0;
  }

  // From here on, the exact average starts at what is stored.
  void open_window() {
    opened_ = fresh_ = stored_;
    const auto block = size_t(storage_.block);
    for (size_t begin = 0; begin < kValues; begin += block) {
      const std::span<const double> part(input_.data() + begin, std::min(block, kValues - begin));
      codec_->begin(part, {stream_, int64_t(begin / block), int64_t(begin)});
      for (size_t i = begin; i < begin + part.size(); ++i)
        if (!drawn_.pinned(i))
          predicted_of_window_ +=
              predict_stale(law(i), drawn_.scenario.weight, stored_[i], codec_->cell(stored_[i]), storage_.rounding);
    }
  }

  void close_window() {
    for (size_t i = 0; i < kValues; ++i) {
      if (drawn_.pinned(i)) continue;
      stale_ += std::abs(stored_[i] - opened_[i]) < 0.5 * std::abs(fresh_[i] - opened_[i]);
      ++seen_;
    }
    predicted_ += predicted_of_window_;
    predicted_of_window_ = 0;
  }

  AverageFigures figures() {
    AverageFigures out;
    double drift = 0, bound = 0, expected = 0, norm = 0, bias = 0, update = 0, update_bound = 0, count = 0;
    for (size_t i = 0; i < kValues; ++i) {
      if (drawn_.pinned(i)) continue;
      ++count;
      const double x = exact_[i], d = stored_[i] - x, unit = squares() ? x : 1;
      drift += d * d / (unit * unit);
      bound += slack_[i] * slack_[i] / (unit * unit);
      expected += variance_[i] / (unit * unit);
      norm += squares() ? 1 : x * x;
      bias += d / (squares() ? x : law(i).scale);
      if (!squares()) continue;
      const double low = x - slack_[i], u = inverse_root(x);
      const double off = inverse_root(stored_[i]) / u - 1;
      const double most = low > 0 ? std::max(inverse_root(low) / u - 1, 1 - inverse_root(x + slack_[i]) / u)
                                  : std::numeric_limits<double>::infinity();
      update += off * off;
      update_bound += most * most;
    }
    out.drift = {std::sqrt(drift / norm), std::sqrt(bound / norm)};
    out.expected = storage_.rounding == Rounding::nearest ? std::nan("") : std::sqrt(expected / norm);
    out.bias = bias / count;
    if (squares()) out.update = {std::sqrt(update / count), std::sqrt(update_bound / count)};
    out.stale = stale_ / seen_;
    out.predicted = predicted_ / seen_;
    return out;
  }

  const Storage& storage_;
  const AverageSamples& drawn_;
  std::unique_ptr<BlockCodec> codec_;
  reference::RoundingStream stream_;
  std::vector<double> exact_, input_, stored_, slack_, variance_;
  std::vector<double> opened_, fresh_;  // of the window: what was stored, and the exact average from there on
  int64_t window_;
  double stale_ = 0, seen_ = 0, predicted_ = 0, predicted_of_window_ = 0;
};

}  // namespace

const std::vector<AverageScenario>& average_scenarios() {
  constexpr auto kV = StateKind::second_moment, kM = StateKind::momentum;
  static const std::vector<AverageScenario> list = {
      {"second moment, steady", "V", kV, 1e-3},
      {"second moment, steady, pinned", "V pinned", kV, 1e-3, 1, 1, 0, true},
      {"second moment, falling", "V falls", kV, 1e-3, 1, 0.01},
      {"second moment, falling, pinned", "V falls, pinned", kV, 1e-3, 1, 0.01, 0, true},
      {"row average, steady", "R", kV, 1e-3, 64},
      {"row average, falling", "R falls", kV, 1e-3, 64, 0.01},
      {"row average, falling, pinned", "R falls, pinned", kV, 1e-3, 64, 0.01, 0, true},
      {"momentum, no mean", "M", kM, 0.1},
      {"momentum, a mean", "M, a mean", kM, 0.1, 1, 1, 0.3},
  };
  return list;
}

AverageSamples draw_samples(const AverageScenario& scenario, uint64_t seed) {
  AverageSamples out{scenario, std::vector<double>(kValues), std::vector<float>(size_t(scenario.steps + 1) * kValues)};
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::gamma_distribution<double> mean_of_squares(scenario.columns / 2.0, 2.0 / scenario.columns);
  for (double& s : out.scale) s = 1e-8 * std::exp(0.5 * std::log(10.0) * normal(random));
  for (float& x : out.samples)
    x = float(scenario.kind == StateKind::momentum ? normal(random) : mean_of_squares(random));
  if (!scenario.pinned) return out;
  const auto [low, high] = std::minmax_element(out.scale.begin(), out.scale.end());
  const double below = *low * 1e-4, above = *high * 10;
  for (size_t i = 0; i < kValues; ++i)
    if (out.pinned(i)) {
      out.scale[i] = i % kPinnedEvery == 0 ? below : above;
      for (size_t at = i; at < out.samples.size(); at += kValues) out.samples[at] = 1;
    }
  return out;
}

AverageFigures run_average(const Storage& storage, const AverageSamples& samples, uint64_t seed) {
  return Run(storage, samples, seed).run();
}

}  // namespace plumbline::harness::codecs
