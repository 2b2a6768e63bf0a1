// Tuning of launches. None of it can change a bit of the results.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace plumbline {

struct DeviceLimits {
  int multiprocessors = 1;
  size_t shared_per_block = 48 * 1024;  // bytes, the most that a kernel can ask for
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
inline constexpr size_t kLargeShared = 200 * 1024;  // what the forms beside `narrow` need
inline constexpr int kNarrowColumns = 1024, kWidestColumns = 16384;

// Blocks of a kernel that takes item after item.
inline int64_t looping_blocks(const DeviceLimits& limits, int per_multiprocessor, int64_t items) {
  return std::clamp<int64_t>(int64_t(limits.multiprocessors) * per_multiprocessor, 1, items);
}

}  // namespace plumbline
