// Orders in which the emulator lets threads go on: the adversary.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace plumbline::emulator {

// splitmix64 (Steele, Lea, Flood 2014): small, and the same on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t operator()() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int below(int n) { return int((*this)() % uint64_t(n)); }

 private:
  uint64_t state_;
};

enum class Order : uint8_t {
  forward,   // rounds over all threads, in order
  reverse,   // rounds, last thread first
  shuffled,  // rounds, a new permutation each
  greedy,    // one warp runs as far as it can before another may; which one leads is a fixed random ranking
};

struct Schedule {
  Order order = Order::forward;
  int blocks_in_flight = 1;
  bool shuffle_blocks = false;
  bool reverse_lanes = false;  // greedy: order inside a warp

  static Schedule of(uint64_t seed) {
    switch (seed) {
      case 0:
        return {};
      case 1:
        return {Order::reverse, 1, false, true};
      case 2:
        return {Order::shuffled, 2, true, false};
      case 3:
        return {Order::greedy, 1, true, false};
      case 4:
        return {Order::greedy, 3, true, true};
      default:
        break;
    }
    Random random(seed);
    // half of them greedy: those find what a lead of one warp breaks
    return {Order(std::min(random.below(6), 3)), 1 + random.below(4), random.below(4) != 0, random.below(2) != 0};
  }
};

inline void permute(std::vector<int>& x, Random& random) {
  for (int i = int(x.size()) - 1; i > 0; --i) std::swap(x[i], x[random.below(i + 1)]);
}
inline std::vector<int> iota(int n) {
  std::vector<int> x(n);
  std::iota(x.begin(), x.end(), 0);
  return x;
}

}  // namespace plumbline::emulator
