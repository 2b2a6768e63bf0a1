// Scans of a function over float32: all 2^32 inputs, or one of every 2^shift in turn, drawn by a hash, so that a
// sample meets every exponent, sign and stretch of mantissas. Device and host give the same Scan, bit for bit.
#pragma once
#include <array>
#include <cstdint>

#include "cuda/diagnostics/function.h"

namespace plumbline::diagnostics {

// Error in ulps: sixteenths below 1, then octaves; the last holds all from 2^15 up and what is wrong altogether.
inline constexpr int kUlpBuckets = 16 + 16;
double lower_edge(int bucket);  // ulps

struct Scan {
  uint64_t inputs = 0;       // visited
  uint64_t outside = 0;      // of them outside the function's domain
  uint64_t not_nearest = 0;  // of those inside: not correctly rounded
  float largest = 0;         // ulps, to float32
  uint32_t worst_input = 0;  // its bits: the smallest where several are as bad
  uint32_t worst_result = 0;
  std::array<uint64_t, kUlpBuckets> histogram{};
  uint64_t checksum = 0;  // of every input with its result, in any order
  bool operator==(const Scan&) const = default;
};
// What the function's promise says to it; true for one that promises nothing.
bool holds(const ScanSubject& subject, const Scan& scan);

// Throws std::invalid_argument for a function that has no host form.
Scan scan_on_host(const ScanSubject& subject, int shift, int threads);
#ifdef PLUMBLINE_HAVE_CUDA
// Waits for the device. Throws CudaError.
Scan scan_on_gpu(const ScanSubject& subject, int shift, int device);
#endif
// The scan's own kernel on fibers.
Scan scan_on_emulator(const ScanSubject& subject, int shift, uint64_t schedule_seed);

}  // namespace plumbline::diagnostics
