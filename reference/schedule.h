// Weight of the new sample in a moving average.                           [Shazeer & Stern 2018, sec. 7.2]
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>

namespace plumbline::reference {

struct Weights {
  double sample = 1;  // w_t
  double old = 0;     // 1 - w_t, without cancellation
};

struct DecaySchedule {
  double exponent = -0.8;         // w_t = t^exponent
  std::optional<double> beta2{};  // instead: w_t = 1 - beta2
  bool float32 = false;           // 1 - t^exponent is evaluated in float32, as optax does

  int64_t offset = 0;  // t counts from here: (t - offset)^exponent

  static DecaySchedule power(double exponent) { return {.exponent = exponent, .beta2 = std::nullopt}; }
  static DecaySchedule fixed(double beta) { return {.exponent = 0, .beta2 = beta}; }

  Weights at(int64_t step) const {
    if (beta2) return {1 - *beta2, *beta2};
    const int64_t t = step - offset;
    if (float32) {
      const float old = 1.0f - std::pow(static_cast<float>(t), static_cast<float>(exponent));
      return {1.0f - old, old};
    }
    const double x = static_cast<double>(t);
    return {std::pow(x, exponent), -std::expm1(exponent * std::log(x))};
  }
};

}  // namespace plumbline::reference
