// G_low = G P (m x r, channels are rows) or P^T G (r x n, channels are columns) as core/projection.h has it: the
// gradient on its channels' grids, three digits an element, times P on the tensor cores, all in exact integers.
//
// Warps put the digits of a slab of terms into shared memory while others still multiply those of the slab before. P
// comes through a ring there, from scratch, where make_entries has put it as the products read it. A block takes a tile
// of channels and ranks; each of its warps has one digit, some ranks and every so manyth slab, and all sums are added
// up at the end. Writes scratch only.
#pragma once
#include "cuda/core/projection.h"
#include "cuda/kernels/rows.cuh"
#include "cuda/linear/mma.h"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kProjectChannels = 32;  // of a tile

// Warps: one a digit, across the ranks (Tiles of 8 each), and for the parts that take turns with the slabs.
template <int Tiles, int Across, int Parts, int BlocksPerMultiprocessor>
struct ProjectForm {
  static constexpr int kTiles = Tiles, kAcross = Across, kParts = Parts, kBlocks = BlocksPerMultiprocessor;
  static constexpr int kThreads = kWarp * core::kDigits * Across * Parts;
  static constexpr int kChannels = kProjectChannels, kRanks = 8 * Tiles * Across;
  // shared memory, in bytes: slabs of P in stages, digits of a slab twice; then some of the sums of a thread at once
  static constexpr int kStages = 3, kSlab = kRanks * core::kSlab, kStage = Parts * kSlab;
  static constexpr int kOfDigit = kChannels * core::kSlab, kBuffer = Parts * core::kDigits * kOfDigit;
  static constexpr int kSums = 2 * 4 * Tiles, kAtOnce = kSums < 32 ? kSums : 32;
  static constexpr int kExchange = core::kDigits * Across * kAtOnce * kWarp * int(sizeof(int32_t));
  static constexpr int kRing = kStages * kStage + 2 * kBuffer;
  static constexpr size_t kBytes = kRing > kExchange ? kRing : kExchange;
  // eight warps make digits, of eight terms of a channel a thread
  static constexpr int kSlicers = 8, kOctets = Parts * kChannels * core::kSlab / (8 * kSlicers * kWarp);
};
using WideProject = ProjectForm<16, 2, 2, 1>;
using LargeProject = ProjectForm<8, 2, 2, 1>;
using MiddleProject = ProjectForm<8, 1, 4, 1>;
using NarrowProject = ProjectForm<2, 1, 4, 2>;
inline constexpr int kProjectThreads = 384, kProjectAhead = 4;  // rounds from a prefetch to its load
static_assert(WideProject::kThreads == kProjectThreads && LargeProject::kThreads == kProjectThreads &&
              MiddleProject::kThreads == kProjectThreads && NarrowProject::kThreads == kProjectThreads);

// Whether a step leaves the tensor alone; the count of non-finite elements is known.
PLUMBLINE_DEVICE bool skips(const Task& task) {
  return task.plan.nonfinite == Nonfinite::skip &&
         load_fresh(scratch_at<uint64_t>(task, task.plan.nonfinite_count)) != 0;
}

// ---- P in scratch, in pieces of 16 bytes: slab by slab, each as the product's instructions take it ----

// By pair of tiles of 8 ranks, a piece a lane: lane 4 group + t has terms 8t ... 8t + 7 for rank `group` of the first
// tile, then of the second. An operand of mma_s8 but for the order of terms, which is that of the gradient's fragments.
struct LaneEntries {
  // Piece `piece` of a slab: rank and first term of its word `w`.
  static PLUMBLINE_DEVICE int rank(int piece, int w) { return piece / kWarp * 16 + w / 2 * 8 + piece % kWarp / 4; }
  static PLUMBLINE_DEVICE int term(int piece, int w) { return piece % 4 * 8 + w % 2 * 4; }
  // Byte of a slab.
  static PLUMBLINE_DEVICE int offset(int term, int rank) {
    return rank / 16 * (16 * core::kSlab) + (rank % 8 * 4 + term / 8) * 16 + rank % 16 / 8 * 8 + term % 8;
  }
};
// By tile of 256 ranks, then by half of the terms, a piece a rank: an operand of Hopper's products in shared memory.
struct RowEntries {
  static constexpr int kRanks = 256;
  static PLUMBLINE_DEVICE int rank(int piece, int) { return piece / (2 * kRanks) * kRanks + piece % kRanks; }
  static PLUMBLINE_DEVICE int term(int piece, int w) { return piece / kRanks % 2 * 16 + w * 4; }
  static PLUMBLINE_DEVICE int offset(int term, int rank) {
    return (rank / kRanks * (2 * kRanks) + term / 16 * kRanks + rank % kRanks) * 16 + term % 16;
  }
};

inline constexpr int kEntryThreads = 128, kEntriesEach = 4;  // pieces of a thread
PLUMBLINE_HD int64_t entry_pieces(const TensorPlan& plan) {
  return core::projection_bytes(plan.reduced, plan.rank) / 16;
}
PLUMBLINE_HD int64_t entry_blocks(const TensorPlan& plan) {
  return core::ceil_div(entry_pieces(plan), kEntryThreads * kEntriesEach);
}
template <class Entries>
PLUMBLINE_DEVICE int64_t entry_offset(const TensorPlan& plan, int term, int rank) {
  return int64_t(term / core::kSlab) * core::padded_ranks(plan.rank) * core::kSlab +
         Entries::offset(term % core::kSlab, rank);
}

template <class Entries>
PLUMBLINE_DEVICE void make_entries(const Task& task, int64_t block) {
  const TensorPlan& plan = task.plan;
  std::byte* const entries = scratch_at<std::byte>(task, plan.projection_entries);
  const int64_t step = core::at<const core::TensorClock>(task.state, plan.clock)->t + 1, pieces = entry_pieces(plan);
  const uint32_t refresh = core::refresh_index(step, plan.refresh);
  const int of_slab = core::padded_ranks(plan.rank) * (core::kSlab / 16);
  PLUMBLINE_LOOP
  for (int i = 0; i < kEntriesEach; ++i) {
    const int64_t piece = (block * kEntriesEach + i) * kEntryThreads + thread_index();
    if (piece >= pieces) return;
    const int slab = int(piece / of_slab), within = int(piece % of_slab);
    Bits<16> out;
    PLUMBLINE_UNROLL
    for (int w = 0; w < 4; ++w) {
      const int rank = Entries::rank(within, w), term = slab * core::kSlab + Entries::term(within, w);
      const core::PhiloxWords words = core::projection_words(plan.projection_seed, plan.index, refresh, term / 4, rank);
      out.word[w] = 0;
      PLUMBLINE_UNROLL
      for (int e = 0; e < 4; ++e)
        if (rank < plan.rank && term + e < plan.reduced)
          out.word[w] |= uint32_t(uint8_t(core::projection_entry(core::word_of(words, e)))) << (8 * e);
    }
    store<16>(entries + piece * 16, out);
  }
}

// ---- the gradient ----

// As statistics see it.
struct ProjectedGradient {
  float multiplier;
  bool zero;
  template <class G>
  PLUMBLINE_DEVICE float operator()(G value) const {
    const float g = core::widen(value) * multiplier;
    return zero && core::is_nonfinite(g) ? 0.0f : g;
  }
};

// Eight terms of a channel as they lie in memory, what lies past an edge as 0. Threads of a warp side by side: four
// times eight terms of eight channels where those are rows, of 32 channels where they are columns.
template <class G>
struct TermReader {
  const G* from;   // the channel's terms 8t ... of a slab
  int left, cols;  // terms from there on; 0: no such channel
  int channel, t;  // of the tile, of the slab
  bool columns, whole;
  PLUMBLINE_DEVICE TermReader(const Task& task, int first) : cols(task.plan.cols), columns(!task.plan.reduces_columns) {
    const TensorPlan& plan = task.plan;
    const int lane = thread_index() % kWarp, quarter = thread_index() / kWarp % 4;
    channel = columns ? lane : 8 * quarter + lane / 4;
    t = columns ? quarter : lane % 4;
    const int terms = core::is_mutant(core::Mutant::last_terms_lost) ? plan.reduced & ~3 : plan.reduced;
    left = first + channel < plan.channels ? terms - 8 * t : 0;
    from = static_cast<const G*>(task.gradient) +
           (columns ? int64_t(8 * t) * cols + first + channel : int64_t(first + channel) * cols + 8 * t);
    whole = cols % 8 == 0;
  }
  PLUMBLINE_DEVICE Packed<G, 8> read(int slab) const {
    const int start = slab * core::kSlab;
    if (!columns) return load_elements<G, 8>(from + start, left - start, whole);
    Vec<G, 8> v = {};
    const G* const at = from + int64_t(start) * cols;
    if (start + 8 <= left) {
      PLUMBLINE_UNROLL
      for (int e = 0; e < 8; ++e) v.x[e] = at[int64_t(e) * cols];
    } else {
      PLUMBLINE_UNROLL
      for (int e = 0; e < 8; ++e)
        if (start + e < left) v.x[e] = at[int64_t(e) * cols];
    }
    return pack<Packed<G, 8>>(v);
  }
  // Of a slab that will be read: a thread's own terms, or one row of the warp's.
  PLUMBLINE_DEVICE void prefetch(int slab) const {
    const int start = slab * core::kSlab, e = columns ? thread_index() % 8 : 0;
    if (start + e < left) prefetch_line(from + (columns ? int64_t(start + e) * cols : start));
  }
};

// The digits of eight terms: word `w` of digit d has those of terms 4w ... 4w + 3.
template <class G>
PLUMBLINE_DEVICE void digits_of(const Packed<G, 8>& raw, const ProjectedGradient& gradient, core::ChannelGrid grid,
                                uint32_t (&word)[core::kDigits][2]) {
  const auto v = unpack<G, 8>(raw);
  PLUMBLINE_UNROLL
  for (int w = 0; w < 2; ++w) {
    uint32_t q[4];
    PLUMBLINE_UNROLL
    for (int e = 0; e < 4; ++e) q[e] = core::grid_digits(core::grid_point(gradient(v.x[4 * w + e]), grid));
    const uint32_t low01 = byte_permute(q[0], q[1], 0x5140), low23 = byte_permute(q[2], q[3], 0x5140);
    word[0][w] = byte_permute(low01, low23, 0x5410);
    word[1][w] = byte_permute(low01, low23, 0x7632);
    word[2][w] = byte_permute(byte_permute(q[0], q[1], 0x0062), byte_permute(q[2], q[3], 0x0062), 0x5410);
  }
}
// As an operand of mma_s8 but for the order of terms, which is that of P: by digit, by tile of 16 channels, by half of
// the eight, then two words a lane.
template <class G>
PLUMBLINE_DEVICE void put_digits(const Packed<G, 8>& raw, const ProjectedGradient& gradient, core::ChannelGrid grid,
                                 int channel, int t, int of_digit, std::byte* to) {
  uint32_t word[core::kDigits][2];
  digits_of<G>(raw, gradient, grid, word);
  to += channel / 16 * (16 * core::kSlab) + (channel % 8 * 4 + t) * 8 + channel % 16 / 8 * 4;
  PLUMBLINE_UNROLL
  for (int d = 0; d < core::kDigits; ++d) {
    PLUMBLINE_UNROLL
    for (int w = 0; w < 2; ++w) store<4>(to + d * of_digit + w * (8 * core::kSlab), Bits<4>{{word[d][w]}});
  }
}

// ---- the product ----

struct ProjectShared {
  uint32_t largest[kProjectChannels];
};

// Bits of the largest |g| of the tile's channels.
PLUMBLINE_DEVICE void find_largest(const Task& task, int first, ProjectShared& shared) {
  const TensorPlan& plan = task.plan;
  const uint32_t* const all = scratch_at<const uint32_t>(task, plan.channel_largest);
  const int lane = thread_index() % kWarp, parts = plan.reduces_columns ? plan.panels : plan.strips;
  const int count = core::is_mutant(core::Mutant::grid_of_first_part) ? 1 : parts;
  PLUMBLINE_LOOP
  for (int c = thread_index() / kWarp; c < kProjectChannels; c += block_size() / kWarp) {
    uint32_t largest = 0;
    if (first + c < plan.channels) {
      PLUMBLINE_LOOP
      for (int i = lane; i < count; i += kWarp) {
        const uint32_t x =
            plan.reduces_columns ? all[int64_t(first + c) * parts + i] : all[int64_t(i) * plan.cols + first + c];
        largest = x > largest ? x : largest;
      }
    }
    largest = warp_max(largest);
    if (lane == 0) shared.largest[c] = largest;
  }
}

// G_low as it lies in scratch; what is outside it goes nowhere.
struct LowRankOutput {
  float* low;
  int channels, ranks;
  int64_t channel_pitch, rank_pitch;
  PLUMBLINE_DEVICE explicit LowRankOutput(const Task& task)
      : low(scratch_at<float>(task, task.plan.low_rank_gradient)),
        channels(task.plan.channels),
        ranks(task.plan.rank),
        channel_pitch(task.plan.reduces_columns ? task.plan.rank : 1),
        rank_pitch(task.plan.reduces_columns ? 1 : task.plan.cols) {}
  PLUMBLINE_DEVICE void put(int channel, int rank, float value) const {
    if (channel >= channels || rank >= ranks) return;
    low[channel * channel_pitch + rank * rank_pitch] =
        core::canonical(core::perturbed(core::PerturbedStage::low_rank_gradient, value));
  }
};

// The tile's channels that are not finite, of `ranks` ranks, by thread number `thread` of `threads`.
template <class G, class Entries>
PLUMBLINE_DEVICE void put_nonfinite(const Task& task, const ProjectedGradient& gradient, int first, int first_rank,
                                    int ranks, int thread, int threads, const ProjectShared& shared) {
  const TensorPlan& plan = task.plan;
  const G* const elements = static_cast<const G*>(task.gradient);
  const int8_t* const entries = scratch_at<const int8_t>(task, plan.projection_entries);
  const LowRankOutput output(task);
  PLUMBLINE_LOOP
  for (int c = 0; c < kProjectChannels && first + c < plan.channels; ++c) {
    if (shared.largest[c] < core::kInfinityBits) continue;
    PLUMBLINE_LOOP
    for (int k = first_rank + thread; k < first_rank + ranks && k < plan.rank; k += threads) {
      double sum = 0.0;
      PLUMBLINE_LOOP
      for (int j = 0; j < plan.reduced; ++j) {
        const int64_t at =
            plan.reduces_columns ? int64_t(first + c) * plan.cols + j : int64_t(j) * plan.cols + first + c;
        sum = core::add_nonfinite(sum, gradient(elements[at]), entries[entry_offset<Entries>(plan, j, k)]);
      }
      output.put(first + c, k, float(sum));
    }
  }
}

// The sums of a block: parts first, digits then, some of every thread's at once.
template <class Form>
PLUMBLINE_DEVICE void put_sums(const Task& task, int32_t (&sum)[Form::kSums], int first, int first_rank,
                               int32_t* exchange, const ProjectShared& shared) {
  constexpr int kOfWarp = Form::kAtOnce * kWarp;
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp;
  const int digit = warp / 4, across = warp % Form::kAcross, part = warp % 4 / Form::kAcross;
  int32_t* const own = exchange + (digit * Form::kAcross + across) * kOfWarp + lane;
  const double unit = core::projection_unit(task.plan.rank);
  const LowRankOutput output(task);
  PLUMBLINE_UNROLL
  for (int start = 0; start < Form::kSums; start += Form::kAtOnce) {
    PLUMBLINE_UNROLL
    for (int from = Form::kParts - 1; from >= 0; --from) {
      block_barrier();  // what lay there was read
      if (part == from) {
        PLUMBLINE_UNROLL
        for (int i = 0; i < Form::kAtOnce; ++i) own[i * kWarp] = sum[start + i];
      }
      block_barrier();
      if (part != 0 || from == 0) continue;
      PLUMBLINE_UNROLL
      for (int i = 0; i < Form::kAtOnce; ++i) sum[start + i] += own[i * kWarp];
    }
    PLUMBLINE_LOOP
    for (int at = thread_index(); at < Form::kAcross * kOfWarp; at += kProjectThreads) {
      const int i = start + at / kWarp % Form::kAtOnce, of_lane = at % kWarp;
      const int c = i / (4 * Form::kTiles) * 16 + i % 4 / 2 * 8 + of_lane / 4;
      const int rank = (at / kOfWarp * Form::kTiles + i / 4 % Form::kTiles) * 8 + of_lane % 4 * 2 + i % 2;
      const uint32_t largest = shared.largest[c];
      if (largest >= core::kInfinityBits) continue;
      const int64_t total = core::sum_of_digits(exchange[2 * Form::kAcross * kOfWarp + at],
                                                exchange[Form::kAcross * kOfWarp + at], exchange[at]);
      output.put(first + c, first_rank + rank, core::low_rank_gradient(total, core::grid_step(largest, unit)));
    }
  }
}

template <class G, class Form>
PLUMBLINE_KERNEL(kProjectThreads, Form::kBlocks)
project(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ProjectShared, shared);
  PLUMBLINE_DYNAMIC_SHARED(std::byte, ring);
  const Task task = open_task(launch, plan_shared);
  if (skips(task)) return;
  const TensorPlan& plan = task.plan;
  const int padded = core::padded_ranks(plan.rank), rank_tiles = padded / Form::kRanks;
  const int first_rank = task.block % rank_tiles * Form::kRanks, first = task.block / rank_tiles * Form::kChannels;
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp;
  const int digit = warp / 4, across = warp % Form::kAcross, part = warp % 4 / Form::kAcross;
  const bool slices = warp < Form::kSlicers;
  const bool found = load_fresh(scratch_at<uint64_t>(task, plan.nonfinite_count)) != 0;
  const ProjectedGradient gradient = {scalars_of(task)->multiplier, found && plan.nonfinite == Nonfinite::zero};
  const TermReader<G> reader(task, first);

  const int slabs = core::projection_slabs(plan.reduced), rounds = int(core::ceil_div(slabs, Form::kParts));
  const std::byte* const entries =
      scratch_at<const std::byte>(task, plan.projection_entries) + first_rank * core::kSlab;
  // By the warps that make no digits.
  const auto copy = [&](int round) {
    constexpr int kCopiers = kProjectThreads - Form::kSlicers * kWarp, kPieces = Form::kSlab / 16;
    const int t = thread_index() - Form::kSlicers * kWarp;
    if (!slices) {
      PLUMBLINE_UNROLL
      for (int p = 0; p < Form::kParts; ++p) {
        const int slab = round * Form::kParts + p;
        const bool valid = slab < slabs;
        const std::byte* const from = entries + (valid ? int64_t(slab) * padded * core::kSlab : 0) + t * 16;
        std::byte* const to = ring + round % Form::kStages * Form::kStage + p * Form::kSlab + t * 16;
        PLUMBLINE_UNROLL
        for (int i = 0; i < kPieces; i += kCopiers)
          if (kPieces - i >= kCopiers || t < kPieces - i) copy16_async(to + i * 16, from + i * 16, valid);
      }
    }
    copy_commit();  // also where there is nothing more to copy, so that a wait counts the same groups
  };
  PLUMBLINE_UNROLL
  for (int s = 0; s < Form::kStages - 1; ++s) copy(s);

  // Octet i of a slicing thread is of part warp / 4 + 2 i.
  Packed<G, 8> raw[Form::kOctets];
  const auto read = [&](int round) {
    if (!slices) return;
    PLUMBLINE_UNROLL
    for (int i = 0; i < Form::kOctets; ++i) {
      const int slab = round * Form::kParts + warp / 4 + 2 * i;
      raw[i] = reader.read(slab);
      reader.prefetch(slab + kProjectAhead * Form::kParts);
    }
  };
  read(0);
  find_largest(task, first, shared);
  block_barrier();
  const core::ChannelGrid grid = core::channel_grid(shared.largest[reader.channel]);
  std::byte* const digits = ring + Form::kStages * Form::kStage;
  const auto slice = [&](int round) {
    if (!slices) return;
    PLUMBLINE_UNROLL
    for (int i = 0; i < Form::kOctets; ++i)
      put_digits<G>(raw[i], gradient, grid, reader.channel, reader.t, Form::kOfDigit,
                    digits + round % 2 * Form::kBuffer + (warp / 4 + 2 * i) * (core::kDigits * Form::kOfDigit));
  };
  slice(0);
  read(1);

  int32_t sum[Form::kSums] = {};  // by tile of channels, then by tile of ranks
  const auto multiply = [&](int round) {
    const std::byte* const a_from =
        digits + round % 2 * Form::kBuffer + (part * core::kDigits + digit) * Form::kOfDigit + lane * 8;
    const std::byte* const b_from = ring + round % Form::kStages * Form::kStage + part * Form::kSlab +
                                    across * (Form::kTiles * 8 * core::kSlab) + lane * 16;
    uint32_t a[2][4];
    PLUMBLINE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const auto x = load<8>(a_from + i * (8 * core::kSlab));
      a[i / 2][i % 2 * 2] = x.word[0], a[i / 2][i % 2 * 2 + 1] = x.word[1];
    }
    PLUMBLINE_UNROLL
    for (int pair = 0; pair < Form::kTiles / 2; ++pair) {
      const auto p = load<16>(b_from + pair * (16 * core::kSlab));
      PLUMBLINE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const uint32_t b[2] = {p.word[2 * half], p.word[2 * half + 1]};
        PLUMBLINE_UNROLL
        for (int m = 0; m < 2; ++m) {
          int32_t* const d = sum + (m * Form::kTiles + 2 * pair + half) * 4;
          mma_s8(*reinterpret_cast<int32_t(*)[4]>(d), a[m], b);
        }
      }
    }
  };
  PLUMBLINE_LOOP
  for (int round = 0; round < rounds; ++round) {
    copy_wait<Form::kStages - 2>();
    if (!core::is_mutant(core::Mutant::project_barrier_lost))
      block_barrier();  // digits and P are there for all, and those of the round before were read by all
    copy(round + Form::kStages - 1);
    slice(round + 1);
    read(round + 2);
    multiply(round);
  }
  copy_wait<0>();  // the last ones only bring zeros, but to where the sums go now
  put_sums<Form>(task, sum, first, first_rank, reinterpret_cast<int32_t*>(ring), shared);
  put_nonfinite<G, LaneEntries>(task, gradient, first, first_rank, Form::kRanks, thread_index(), kProjectThreads,
                                shared);
}

}  // namespace plumbline::PLUMBLINE_TARGET
