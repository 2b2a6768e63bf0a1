// A block takes 32 channels and 256 ranks. Its warpgroups have roles: one brings P and rows of the gradient, two make
// digits, in turns, two multiply, 128 ranks each. Barriers of phases join them, so that no warp waits for one that does
// the same work. Two blocks form a cluster: of two slabs of P each brings one to both.
//
// A product has ranks for rows and (digit, channel) for columns: a thread then holds all digits of its sums.
#include "cuda/kernels/project_hopper.h"

#include <type_traits>

#include "cuda/core/with_type.h"
#include "cuda/kernels/project.cuh"
#include "cuda/linear/hopper.cuh"

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "compile for sm_90a"
#endif

namespace plumbline::gpu {
namespace {

struct Form {
  static constexpr int kRanks = kHopperRanks, kChannels = 32, kPair = 2;
  // Warpgroups: that copy, that make digits, that multiply 128 ranks each.
  static constexpr int kCopiers = 1, kSlicers = 2, kMultipliers = 2;
  static constexpr int kThreads = 128 * (kCopiers + kSlicers + kMultipliers);
  // Shared memory, in bytes. Work goes by stages of two slabs, through three rings: of P, by half of the terms;
  static constexpr int kEntries = 8, kHalf = kRanks * 16, kSlab = 2 * kHalf;
  // of digits, likewise, the halves in different banks;
  static constexpr int kDigits = 6, kDigitsHalf = 3 * kChannels * 16 + 64, kDigitsSlab = 2 * kDigitsHalf;
  // of rows of the gradient, in different banks: of elements of 4 bytes, of 2.
  static constexpr int kRows = 4, kTerms = 64, kWidePitch = kTerms * 4 + 16, kNarrowPitch = kTerms * 2 + 64;
  static constexpr int kDigitsAt = kEntries * 2 * kSlab, kRowsAt = kDigitsAt + kDigits * 2 * kDigitsSlab;
  static constexpr size_t kBytes = size_t(kRowsAt) + size_t(kRows) * kChannels * kWidePitch;
};
static_assert(Form::kRanks == RowEntries::kRanks && Form::kChannels == kProjectChannels &&
              Form::kSlab == Form::kRanks * core::kSlab && Form::kTerms == 2 * core::kSlab);
constexpr int kWarpgroup = 128;
constexpr int kSums = 4 * core::kDigits * Form::kChannels / 8;  // of a thread, of 64 ranks

// Barriers of a ring.
template <int Places>
struct Ring {
  uint64_t full[Places], empty[Places];
  __device__ void prepare(int place, int fill, int drain) {
    if (place >= Places) return;
    barrier_init(&full[place], fill);
    barrier_init(&empty[place], drain);
  }
};
struct HopperShared {
  Ring<Form::kEntries> entries;
  Ring<Form::kDigits> digits;
  Ring<Form::kRows> rows;
  ProjectShared channels;
};

// The place of a stage in a ring, and the phase of its barriers.
template <int Places>
struct Place {
  int at;
  uint32_t phase;
  __device__ explicit Place(int stage) : at(stage % Places), phase(uint32_t(stage / Places) & 1) {}
  __device__ void wait_full(Ring<Places>& ring) const { barrier_wait(&ring.full[at], phase); }
  __device__ void wait_empty(Ring<Places>& ring) const { barrier_wait(&ring.empty[at], phase ^ 1); }
};
__device__ std::byte* entries_at(std::byte* memory, int at) { return memory + at * (2 * Form::kSlab); }
__device__ std::byte* digits_at(std::byte* memory, int at) {
  return memory + Form::kDigitsAt + at * (2 * Form::kDigitsSlab);
}
__device__ std::byte* rows_at(std::byte* memory, int at) {
  return memory + Form::kRowsAt + at * (Form::kChannels * Form::kWidePitch);
}

// P, by one thread: of two slabs this block brings one to both.
__device__ void bring_entries(const std::byte* entries, int64_t pitch, int slabs, int block, std::byte* memory,
                              HopperShared& shared) {
#pragma unroll 1
  for (int stage = 0; 2 * stage < slabs; ++stage) {
    const Place<Form::kEntries> to(stage);
    const int slab = 2 * stage + block;
    uint64_t* const full = &shared.entries.full[to.at];
    to.wait_empty(shared.entries);
    barrier_arrive_bytes(full, 2 * stage + 1 < slabs ? 2 * Form::kSlab : Form::kSlab);
    if (slab < slabs)
      copy_range_to(entries_at(memory, to.at) + block * Form::kSlab, entries + slab * pitch, Form::kSlab, full, 0b11);
  }
}

// Rows of whole vectors, by the warps of a warpgroup but its first. What lies behind their ends counts nothing, as P is
// 0 there.
template <class G>
__device__ void bring_rows(const Task& task, int first, int slabs, std::byte* memory, HopperShared& shared) {
  constexpr int kPitch = sizeof(G) == 4 ? Form::kWidePitch : Form::kNarrowPitch, kWarps = 3;
  const TensorPlan& plan = task.plan;
  const int warp = thread_index() / kWarp % 4 - 1, lane = thread_index() % kWarp;
  const int channel = warp + lane * kWarps, left = plan.channels - first;
  const int rows = left < 0 ? 0 : left < Form::kChannels ? left : Form::kChannels;
  const int own = rows <= warp ? 0 : (rows - warp + kWarps - 1) / kWarps;  // of this warp, a lane each
  const G* const row = static_cast<const G*>(task.gradient) + int64_t(first + channel) * plan.cols;
#pragma unroll 1
  for (int stage = 0; 2 * stage < slabs; ++stage) {
    const Place<Form::kRows> to(stage);
    const int at = stage * Form::kTerms, terms = plan.cols - at < Form::kTerms ? plan.cols - at : Form::kTerms;
    uint64_t* const full = &shared.rows.full[to.at];
    to.wait_empty(shared.rows);
    if (lane == 0) barrier_arrive_bytes(full, uint32_t(own * terms * int(sizeof(G))));
    warp_barrier();
    if (lane < own) copy_range(rows_at(memory, to.at) + channel * kPitch, row + at, terms * int(sizeof(G)), full);
  }
}

// What a warpgroup that makes digits does for its stages.
template <class G>
struct Slicer {
  HopperShared& shared;
  std::byte* memory;
  int slabs;
  ProjectedGradient gradient;
  core::ChannelGrid grid;
  bool plain;  // of the gradient only `coarse` is to be multiplied by, in this warp
  int place;   // of a thread's eight terms among the digits of a slab

  __device__ static int turn() { return thread_index() / kWarpgroup - Form::kCopiers; }

  // Eight terms of both slabs.
  __device__ void slice(int stage, const Packed<G, 8> (&raw)[2]) const {
    uint32_t word[2][core::kDigits][2];
    if (plain) {
#pragma unroll
      for (int s = 0; s < 2; ++s) digits_of<G>(raw[s], {1.0f, false}, {grid.coarse, 1.0f}, word[s]);
    } else {
#pragma unroll
      for (int s = 0; s < 2; ++s) digits_of<G>(raw[s], gradient, grid, word[s]);
    }
    const Place<Form::kDigits> to(stage);
    to.wait_empty(shared.digits);
    std::byte* const digits = digits_at(memory, to.at) + place;
#pragma unroll
    for (int s = 0; s < 2; ++s) {
#pragma unroll
      for (int d = 0; d < core::kDigits; ++d)
        store<8>(digits + s * Form::kDigitsSlab + d * (Form::kChannels * 16), Bits<8>{{word[s][d][0], word[s][d][1]}});
    }
    store_before_ranges();
    warp_barrier();
    if (thread_index() % kWarp == 0) barrier_arrive(&shared.digits.full[to.at]);
  }
};

template <class G>
__device__ void slice_rows(const TermReader<G>& reader, const Slicer<G>& slicer) {
  constexpr int kPitch = sizeof(G) == 4 ? Form::kWidePitch : Form::kNarrowPitch;
  HopperShared& shared = slicer.shared;
#pragma unroll 1
  for (int stage = slicer.turn(); 2 * stage < slicer.slabs; stage += Form::kSlicers) {
    const Place<Form::kRows> from(stage);
    from.wait_full(shared.rows);
    const std::byte* const row =
        rows_at(slicer.memory, from.at) + reader.channel * kPitch + 8 * reader.t * int(sizeof(G));
    Packed<G, 8> raw[2];
#pragma unroll
    for (int s = 0; s < 2; ++s) {
#pragma unroll
      for (int v = 0; v < int(sizeof raw[s]) / 16; ++v) {
        const auto piece = load<16>(row + s * (core::kSlab * int(sizeof(G))) + 16 * v);
#pragma unroll
        for (int w = 0; w < 4; ++w) raw[s].word[4 * v + w] = piece.word[w];
      }
    }
    barrier_arrive(&shared.rows.empty[from.at]);  // every lane: what a warp's barrier passes on, race checkers miss
    slicer.slice(stage, raw);
  }
}

template <class G>
__device__ void slice_any(const TermReader<G>& reader, const Slicer<G>& slicer) {
  Packed<G, 8> raw[2];
#pragma unroll 1
  for (int stage = slicer.turn(); 2 * stage < slicer.slabs; stage += Form::kSlicers) {
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      raw[s] = reader.read(2 * stage + s);
      reader.prefetch(2 * (stage + 4 * Form::kSlicers) + s);
    }
    slicer.slice(stage, raw);
  }
}

// 64 ranks from `tile` x 64 on and the next 64.
__device__ void multiply(int tile, int slabs, std::byte* memory, HopperShared& shared, int32_t (&sum)[2][kSums]) {
  const bool speaks = threadIdx.x % kWarpgroup == 0;
  const auto release = [&](int stage) {  // both blocks copy into this one's P, so both have to know
    if (!speaks) return;
    const Place<Form::kEntries> entries(stage);
#pragma unroll
    for (int r = 0; r < Form::kPair; ++r) barrier_arrive_at(&shared.entries.empty[entries.at], r);
    barrier_arrive(&shared.digits.empty[Place<Form::kDigits>(stage).at]);
  };
  // Without branches among its products, which would end their group.
  const auto take = [&]<int Slabs>(std::integral_constant<int, Slabs>, int stage) {
    const Place<Form::kEntries> entries(stage);
    const Place<Form::kDigits> digits(stage);
    entries.wait_full(shared.entries);
    digits.wait_full(shared.digits);
    const uint64_t p = plain_operand(entries_at(memory, entries.at) + tile * (64 * 16), Form::kHalf);
    const uint64_t d = plain_operand(digits_at(memory, digits.at), Form::kDigitsHalf);
    settle(sum[0]);
    settle(sum[1]);
    product_fence();
#pragma unroll
    for (int s = 0; s < Slabs; ++s) {
#pragma unroll
      for (int half = 0; half < 2; ++half)  // in units of 16 bytes
        product_64x96x32(sum[half], p + (s * Form::kSlab + half * (64 * 16)) / 16, d + s * Form::kDigitsSlab / 16);
    }
    product_commit();
    settle(sum[0]);
    settle(sum[1]);
    product_wait<1>();  // of the stage before
    if (stage > 0) release(stage - 1);
  };
#pragma unroll 1
  for (int stage = 0; stage < slabs / 2; ++stage) take(std::integral_constant<int, 2>{}, stage);
  if (slabs % 2 != 0) take(std::integral_constant<int, 1>{}, slabs / 2);
  product_wait<0>();
  settle(sum[0]);
  settle(sum[1]);
}

__device__ void put_sums(const Task& task, int first, int first_rank, const int32_t (&sum)[kSums],
                         const ProjectShared& shared) {
  constexpr int kDigit = kSums / core::kDigits;
  const double unit = core::projection_unit(task.plan.rank);
  const LowRankOutput output(task);
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp % 4;
  const int rank = first_rank + 16 * warp + lane / 4;
#pragma unroll
  for (int i = 0; i < kDigit / 4; ++i) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int c = 8 * i + lane % 4 * 2 + e;
      const uint32_t largest = shared.largest[c];
      const double step = core::grid_step(largest, unit);
      if (largest >= core::kInfinityBits) continue;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = 4 * i + 2 * half + e;
        const int64_t total = core::sum_of_digits(sum[2 * kDigit + at], sum[kDigit + at], sum[at]);
        output.put(first + c, rank + 8 * half, core::low_rank_gradient(total, step));
      }
    }
  }
}

template <class G>
__global__ void __cluster_dims__(Form::kPair, 1, 1) __launch_bounds__(Form::kThreads, 1)
    project_hopper(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(HopperShared, shared);
  PLUMBLINE_DYNAMIC_SHARED(std::byte, memory);
  if (thread_index() < kWarp) {
    shared.entries.prepare(thread_index(), 1, Form::kMultipliers * Form::kPair);
    shared.digits.prepare(thread_index(), 4, Form::kMultipliers);
    shared.rows.prepare(thread_index(), 3, kWarpgroup);
    barrier_init_visible();
  }
  const Task task = open_task(launch, plan_shared);
  if (skips(task)) return;  // so does the other block
  const TensorPlan& plan = task.plan;
  const int rank_tiles = int(core::ceil_div(plan.rank, Form::kRanks)), block = task.block % Form::kPair;
  const int pair = task.block / Form::kPair, tile = pair % rank_tiles, first_rank = tile * Form::kRanks;
  const int first = (pair / rank_tiles * Form::kPair + block) * Form::kChannels;  // at the end there may be none left
  const int slabs = core::projection_slabs(plan.reduced);
  const bool found = load_fresh(scratch_at<uint64_t>(task, plan.nonfinite_count)) != 0;
  const ProjectedGradient gradient = {scalars_of(task)->multiplier, found && plan.nonfinite == Nonfinite::zero};
  find_largest(task, first, shared.channels);
  cluster_barrier();
  const bool by_rows = plan.reduces_columns && plan.cols % 8 == 0;
  const int group = thread_index() / kWarpgroup - Form::kCopiers;
  if (group < 0) {
    fewer_registers<32>();
    if (thread_index() >= kWarp) {
      if (by_rows) bring_rows<G>(task, first, slabs, memory, shared);
    } else if (thread_index() == 0) {
      bring_entries(scratch_at<const std::byte>(task, plan.projection_entries) + tile * Form::kSlab,
                    int64_t(core::padded_ranks(plan.rank)) * core::kSlab, slabs, block, memory, shared);
    }
  } else if (group < Form::kSlicers) {
    fewer_registers<80>();
    const TermReader<G> reader(task, first);
    const core::ChannelGrid grid = core::channel_grid(shared.channels.largest[reader.channel]);
    const bool plain = warp_max(grid.fine == 1.0f && gradient.multiplier == 1.0f && !gradient.zero ? 0u : 1u) == 0;
    const Slicer<G> slicer = {shared,
                              memory,
                              slabs,
                              gradient,
                              grid,
                              plain,
                              reader.t / 2 * Form::kDigitsHalf + reader.channel * 16 + reader.t % 2 * 8};
    if (by_rows)
      slice_rows(reader, slicer);
    else
      slice_any(reader, slicer);
    put_nonfinite<G, RowEntries>(task, gradient, first, first_rank, Form::kRanks,
                                 thread_index() - Form::kCopiers * kWarpgroup, Form::kSlicers * kWarpgroup,
                                 shared.channels);
  } else {
    more_registers<136>();
    const int tiles = 2 * (group - Form::kSlicers);
    int32_t sum[2][kSums] = {};
    multiply(tiles, slabs, memory, shared, sum);
#pragma unroll
    for (int half = 0; half < 2; ++half)
      put_sums(task, first, first_rank + 64 * (tiles + half), sum[half], shared.channels);
  }
  // a block stays until the other has nothing more to say to its barriers
  warp_barrier();
  cluster_barrier();
}

}  // namespace

HopperKernel hopper_project(Type gradient) {
  HopperKernel kernel = {nullptr, Form::kThreads, Form::kBytes};
  core::with_type(gradient, [&]<class G>(G) { kernel.kernel = project_hopper<G>; });
  return kernel;
}
int64_t hopper_project_blocks(const TensorPlan& plan) {
  return core::ceil_div(plan.channels, Form::kPair * Form::kChannels) * core::ceil_div(plan.rank, Form::kRanks) *
         Form::kPair;
}

}  // namespace plumbline::gpu
