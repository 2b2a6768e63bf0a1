// The canonical tree T (core/geometry.h) over vectors, warps, blocks and arrays: adjacent pairs first, everywhere.
#pragma once
#include "cuda/core/geometry.h"
#include "cuda/core/mutant.h"
#include "cuda/core/tree.h"
#include "cuda/core/update.h"
#include "cuda/device.h"

namespace plumbline::PLUMBLINE_TARGET {

// T over N values of one thread, N a power of two. Recursive: a loop over levels does not always unroll, and its array
// then lies in local memory.
template <class F, int N, int First = 0, int Count = N>
PLUMBLINE_DEVICE F thread_tree(const F (&x)[N]) {
  static_assert(N >= 1 && (N & (N - 1)) == 0);
  if constexpr (Count == 1)
    return x[First];
  else
    return core::pair(thread_tree<F, N, First, Count / 2>(x), thread_tree<F, N, First + Count / 2, Count / 2>(x));
}

// T over core::norm_square of N values: as squares are exact, a fused sum of two has the bits of the sum.
template <int N>
PLUMBLINE_DEVICE double norm_tree(const float (&x)[N]) {
  double pairs[N / 2];
  PLUMBLINE_UNROLL
  for (int i = 0; i < N / 2; ++i)
    pairs[i] = core::fma(double(x[2 * i]), double(x[2 * i]), core::norm_square(x[2 * i + 1]));
  return thread_tree(pairs);
}

// T over the lanes; every lane gets it.
template <class F>
PLUMBLINE_DEVICE F warp_tree(F x) {
  PLUMBLINE_UNROLL
  for (int distance = 1; distance < kWarp; distance *= 2) {
    if (core::is_mutant(core::Mutant::half_warp_lost) && distance == kWarp / 2) continue;
    x = core::pair(x, shuffle_xor(x, distance));
  }
  return x;
}

// N trees over the lanes at once: each exchange halves how many a lane carries on with, N - 1 + log2(32/N) exchanges in
// place of 5 N. Lane l gets tree number tree_of_lane<N>(l).
template <int N>
PLUMBLINE_DEVICE int tree_of_lane(int lane) {
  int which = 0;
  PLUMBLINE_UNROLL
  for (int half = N / 2, distance = 1; half >= 1; half /= 2, distance *= 2) which += lane & distance ? half : 0;
  return which;
}
template <class F, int N>
PLUMBLINE_DEVICE F warp_trees(F (&x)[N], int lane) {
  static_assert(N <= kWarp && (N & (N - 1)) == 0);
  int distance = 1;
  PLUMBLINE_UNROLL
  for (int half = N / 2; half >= 1; half /= 2) {
    const bool upper = lane & distance;
    PLUMBLINE_UNROLL
    for (int i = 0; i < half; ++i) {
      const F give = upper ? x[i] : x[i + half], keep = upper ? x[i + half] : x[i];
      x[i] = core::pair(keep, shuffle_xor(give, distance));
    }
    distance *= 2;
  }
  PLUMBLINE_UNROLL
  for (int d = N; d < kWarp; d *= 2) x[0] = core::pair(x[0], shuffle_xor(x[0], d));
  return x[0];
}

// T over the tree numbers of warp_trees<N>: lane l holds number tree_of_lane<N>(l); every lane gets the sum.
template <int N, class F>
PLUMBLINE_DEVICE F tree_over_numbers(F x) {
  PLUMBLINE_UNROLL
  for (int distance = N / 2; distance >= 1; distance /= 2) x = core::pair(x, shuffle_xor(x, distance));
  return x;
}

// Who works together: all threads of a block, or its first ones, while the others do something else.
struct WholeBlock {
  PLUMBLINE_DEVICE static int size() { return block_size(); }
  PLUMBLINE_DEVICE static void barrier() { block_barrier(); }
};
template <int Threads>
struct FirstThreads {
  PLUMBLINE_DEVICE static int size() { return Threads; }
  PLUMBLINE_DEVICE static void barrier() { part_barrier(Threads); }
};

struct TreeScratch {
  double warp[kWarp];
  double level[48];  // of push_level, thread 0 only
};

// T over one value per thread of the block; the sum is valid in warp 0.
template <class Team = WholeBlock>
PLUMBLINE_DEVICE double block_tree(double x, TreeScratch& shared) {
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp, warps = Team::size() / kWarp;
  x = warp_tree(x);
  if (lane == 0) shared.warp[warp] = x;
  if (!core::is_mutant(core::Mutant::tree_barrier_lost)) Team::barrier();
  if (warp == 0) x = warp_tree(lane < warps ? shared.warp[lane] : 0.0);
  Team::barrier();
  return x;
}

// T kept as a binary counter while values come one by one: level l holds a sum of 2^l of them.
template <class F>
PLUMBLINE_DEVICE void push_level(F* level, int64_t index, F x) {
  int l = 0;
  for (int64_t i = index; i & 1; i >>= 1) x = core::pair(level[l++], x);
  level[l] = x;
}
// T over all `count` that were pushed; what is missing to a power of two is +0.
template <class F>
PLUMBLINE_DEVICE F fold_levels(const F* level, int64_t count) {
  F sum = 0;
  bool any = false;
  for (int l = 0; count >> l; ++l) {
    if ((count >> l & 1) == 0) continue;
    sum = any ? core::pair(level[l], sum) : level[l];
    any = true;
  }
  return sum;
}

// T over load(0) ... load(count - 1) by a block; the sum is valid in thread 0.
template <int Each, class Team = WholeBlock, class Load>
PLUMBLINE_DEVICE double block_tree_over(int64_t count, const Load& load, TreeScratch& shared) {
  const bool one_warp = count <= int64_t(Each) * kWarp;  // then the others have nothing, and nothing to wait for
  if (one_warp && thread_index() >= kWarp) return 0.0;
  const int readers = 1 << (core::tree_height(Team::size() + 1) - 1);  // the largest power of two of threads
  const int64_t span = int64_t(Each) * readers, rounds = core::ceil_div(count, span);
  double sum = 0.0;
  for (int64_t round = 0; round < rounds; ++round) {
    const int64_t first = round * span + int64_t(Each) * thread_index();
    const int64_t end = thread_index() < readers ? count : 0;
    double x[Each];
    PLUMBLINE_UNROLL
    for (int i = 0; i < Each; ++i) x[i] = first + i < end ? load(first + i) : 0.0;
    if (one_warp) return warp_tree(thread_tree(x));
    sum = block_tree<Team>(thread_tree(x), shared);
    if (rounds > 1 && thread_index() == 0) push_level(shared.level, round, sum);
  }
  if (rounds > 1 && thread_index() == 0) sum = fold_levels(shared.level, rounds);
  return sum;
}

// T over load(0) ... load(count - 1) by one warp, count at most Each kWarp; every lane gets it.
template <int Each, class Load>
PLUMBLINE_DEVICE double warp_tree_over(int64_t count, const Load& load) {
  const int first = Each * (thread_index() % kWarp);
  double x[Each];
  PLUMBLINE_UNROLL
  for (int i = 0; i < Each; ++i) x[i] = first + i < count ? load(first + i) : 0.0;
  return warp_tree(thread_tree(x));
}

// T over load(0) ... load(count - 1) by one thread; of F what load gives.
template <class F, class Load>
PLUMBLINE_DEVICE F serial_tree(int64_t count, const Load& load) {
  constexpr int kEach = 8;
  F level[40];
  int64_t groups = 0;
  for (int64_t first = 0; first < count; first += kEach) {
    F x[kEach];
    PLUMBLINE_UNROLL
    for (int i = 0; i < kEach; ++i) x[i] = first + i < count ? load(first + i) : F(0);
    push_level(level, groups++, thread_tree(x));
  }
  return fold_levels(level, groups);
}
// The same by a warp; every lane gets it.
template <class F, class Load>
PLUMBLINE_DEVICE F warp_row_tree(int64_t count, const Load& load) {
  constexpr int kEach = 8;
  const int lane = thread_index() % kWarp;
  const auto piece_tree = [&](int64_t piece) {
    const int64_t first = (piece * kWarp + lane) * kEach;
    F x[kEach];
    PLUMBLINE_UNROLL
    for (int i = 0; i < kEach; ++i) x[i] = first + i < count ? load(first + i) : F(0);
    return warp_tree(thread_tree(x));
  };
  if (count <= kEach * kWarp) return piece_tree(0);
  return serial_tree<F>(core::ceil_div(count, kEach * kWarp), piece_tree);
}
// Part `part` of `parts` (a power of two) of T over `count` values: their T in order is the whole.
template <class F, class Load>
PLUMBLINE_DEVICE F tree_part(int64_t count, int part, int parts, const Load& load) {
  const int64_t size = core::ceil_div(int64_t(1) << core::tree_height(count), parts), first = part * size;
  const int64_t left = count - first;
  return serial_tree<F>(left < size ? left : size, [&](int64_t i) { return load(first + i); });
}

// True in every thread of the last of `total` blocks to come here, once all that they wrote is visible to it.
template <class Team = WholeBlock>
PLUMBLINE_DEVICE bool is_last_block(uint32_t* arrived, uint32_t total, uint32_t& shared) {
  Team::barrier();
  if (thread_index() == 0) {
    memory_fence();
    shared = atomic_add(arrived, uint32_t(1));
  }
  Team::barrier();
  const bool early = core::is_mutant(core::Mutant::last_block_early) && total > 1;
  const bool last = shared == total - (early ? 2 : 1);
  if (last) memory_fence();
  return last;
}

}  // namespace plumbline::PLUMBLINE_TARGET
