// Draws of a generator: a value depends on (seed, index) and the draws before it alone.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <string>

namespace plumbline::properties {

class Draw {
 public:
  Draw(uint64_t seed, int index) {
    std::seed_seq words{uint32_t(seed), uint32_t(seed >> 32), uint32_t(index)};
    engine_.seed(words);
  }
  int below(int n) { return int(engine_() % uint64_t(n)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool one_in(int n) { return below(n) == 0; }
  template <class T>
  T of(std::initializer_list<T> values) {
    return values.begin()[below(int(values.size()))];
  }
  uint64_t seed() { return engine_() >> 32; }

 private:
  std::mt19937_64 engine_;
};

// The first of a bounded number of draws that fits. Throws std::runtime_error where none does: an error of the suite.
template <class Make, class Fits>
auto draw_until(const char* what, Make&& make, Fits&& fits) {
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i)
    if (auto drawn = make(); fits(drawn)) return drawn;
  throw std::runtime_error(std::string("the generator finds no ") + what + " in " + std::to_string(kTries) + " draws");
}

}  // namespace plumbline::properties
