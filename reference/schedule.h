// Weight of the new sample in a moving average.                           [Shazeer & Stern 2018, sec. 7.2]
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

namespace plumbline::reference {

struct Weights {
  double sample = 1;  // w_t
  double old = 0;     // 1 - w_t, without cancellation
};

// How a moving average begins.
struct AverageStart {
  int64_t every = 0;          // anew, from zero, at steps 1, 1 + every, ...; 0: at step 1 alone
  bool whole = false;         // its first sample has weight 1
  bool without_eps1 = false;  // and no eps1
  double floor = 0;           // the first average is at least this

  bool at(int64_t step) const { return step == 1 || (every > 0 && (step - 1) % every == 0); }
  bool operator==(const AverageStart&) const = default;
};

// How (1-w) a + w b is written. Of infinities, a + w (b - a) and b - (b - a)(1 - w), whichever weight is less, make
// NaN.
enum class AverageForm : uint8_t { sum, lerp };

struct DecaySchedule {
  double exponent = -0.8;         // w_t = t^exponent
  std::optional<double> beta2{};  // instead: w_t = 1 - beta2
  bool float32 = false;           // 1 - t^exponent is evaluated in float32, as optax does

  int64_t offset = 0;           // t counts from here: (t - offset)^exponent, from 1 on
  std::optional<double> cap{};  // 1 - w_t is at most this

  static DecaySchedule power(double exponent) { return {.exponent = exponent, .beta2 = std::nullopt}; }
  static DecaySchedule fixed(double beta) { return {.exponent = 0, .beta2 = beta}; }

  Weights at(int64_t step) const {
    if (beta2) return {1 - *beta2, *beta2};
    const int64_t t = std::max<int64_t>(step - offset, 1);
    if (float32) {
      const float old = 1.0f - std::pow(static_cast<float>(t), static_cast<float>(exponent));
      return {1.0f - old, old};
    }
    const double x = static_cast<double>(t);
    const Weights weights{std::pow(x, exponent), -std::expm1(exponent * std::log(x))};
    return cap && weights.old > *cap ? Weights{1 - *cap, *cap} : weights;
  }
};

}  // namespace plumbline::reference
