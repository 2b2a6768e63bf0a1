// Draws of a generator: a value depends on (seed, index) and the draws before it alone.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <random>

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

}  // namespace plumbline::properties
