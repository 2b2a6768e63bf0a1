// Tuning of launches. None of it can change a bit of the results.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace plumbline {

struct DeviceLimits {
  int multiprocessors = 1;
  size_t shared_per_block = 48 * 1024;  // bytes, the most that a kernel can ask for
  bool copies_ranges = false;           // cuda/device.h: copies of ranges, barriers of phases
  bool warpgroups = false;              // Hopper's products by warpgroups
};

// Forms of the sweep kernel (kernels/sweep.cuh); the ring of the wide ones takes up to 192 KiB.
struct SweepForm {
  int columns, rows, stages, threads;
  bool keep;  // squares of two batches in registers
  int most_columns() const { return columns * threads; }
  size_t ring_bytes(size_t element) const { return size_t(stages) * rows * columns * threads * element; }
};
template <class G>
struct SweepForms {
  static constexpr bool kWide = sizeof(G) == 4;
  static constexpr SweepForm narrow{8, 4, 3, 128, true};
  static constexpr SweepForm middle{8, kWide ? 4 : 8, 3, 512, kWide};
  static constexpr SweepForm wide{8, kWide ? 1 : 2, 6, 1024, false};
  static constexpr SweepForm wider{16, kWide ? 1 : 2, 4, 768, false};
  static constexpr SweepForm widest{16, kWide ? 1 : 2, 3, 1024, false};
};
// Forms of the sweep by roles (kernels/stream.cuh), where it measured better: columns per thread, warps that own rows,
// rows of a batch, threads at most, rows of a strip at most.
struct StreamForm {
  int columns, row_warps, batch, threads, rows;
  int ring;  // bytes
  constexpr int other_threads() const { return (row_warps + 1) * 32; }
  constexpr int most_columns() const { return columns * (threads - other_threads()); }
};
template <class G>
struct StreamForms {
  static constexpr bool kWide = sizeof(G) == 4;
  static constexpr int kAnyRows = 1 << 30;
  static constexpr StreamForm narrow{16, kWide ? 6 : 12, 2, kWide ? 480 : 672, kWide ? 128 : kAnyRows, 208 * 1024};
  static constexpr StreamForm wide{16, kWide ? 7 : 8, kWide ? 1 : 2, 1024, kAnyRows, 220 * 1024};
};
// The same among tickets (kernels/stream_tickets.cuh): warps that take tiles, rows of so many columns at most, in so
// many slots.
struct StreamTicketForm {
  int columns, tile_warps, row_warps, batch, most_columns, slots;
  constexpr int other_threads() const { return (tile_warps + row_warps + 2) * 32; }
  constexpr int threads() const { return most_columns / columns + other_threads(); }
  constexpr int pitch(size_t element) const { return most_columns * int(element) / 16; }
  constexpr size_t ring_bytes(size_t element) const { return size_t(slots) * most_columns * element; }
};
template <class G>
struct StreamTicketForms {
  static constexpr bool kWide = sizeof(G) == 4;
  static constexpr StreamTicketForm narrow{16, 8, kWide ? 6 : 8, 2, 4096, kWide ? 12 : 24};
  static constexpr StreamTicketForm wide{16, 4, 4, kWide ? 1 : 2, 11264, kWide ? 4 : 8};
};
inline constexpr size_t kLargeShared = 224 * 1024;  // what the forms beside `narrow` need
inline constexpr int kNarrowColumns = 1024, kWidestColumns = 16384;
inline constexpr int kTicketThreads = 128;  // at least, where the blocks of a sweep do the tiles of finish, too

// The longest row that a block sweeps.
inline int sweep_columns(const DeviceLimits& limits) {
  return limits.shared_per_block < kLargeShared ? kNarrowColumns : kWidestColumns;
}
// Calls work.operator()<Form>() with the form for rows of `cols` gradients.
template <class G, class Work>
void with_sweep_form(int cols, const Work& work) {
  using Forms = SweepForms<G>;
  if (cols <= Forms::narrow.most_columns()) return work.template operator()<Forms::narrow>();
  if (cols <= Forms::middle.most_columns()) return work.template operator()<Forms::middle>();
  if (cols <= Forms::wide.most_columns()) return work.template operator()<Forms::wide>();
  if (cols <= Forms::wider.most_columns()) return work.template operator()<Forms::wider>();
  return work.template operator()<Forms::widest>();
}

// Blocks of a kernel that takes item after item.
inline int64_t looping_blocks(const DeviceLimits& limits, int per_multiprocessor, int64_t items) {
  return std::clamp<int64_t>(int64_t(limits.multiprocessors) * per_multiprocessor, 1, items);
}

}  // namespace plumbline
