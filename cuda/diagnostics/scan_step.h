// What device and host scans do with one input.
#pragma once
#include "cuda/diagnostics/judge.h"
#include "cuda/diagnostics/mix.h"
#include "cuda/diagnostics/scan.h"

namespace plumbline::diagnostics {

// The i-th input.
PLUMBLINE_HD uint32_t scan_input(uint32_t i, int shift) {
  if (shift == 0) return i;
  return (i << shift) | (mix32(i) & ((1u << shift) - 1u));
}

PLUMBLINE_HD int ulp_bucket(double ulps) {
  if (ulps < 1.0) return int(ulps * 16.0);
  const int octave = ulps < 0x1p15 ? exponent_of(ulps) : 15;
  return 16 + octave;
}

// Orders errors by size, then by input, smallest first; as float32, rounded to nearest.
PLUMBLINE_HD uint64_t worst_key(double ulps, uint32_t input) {
  return uint64_t(core::to_bits(float(ulps))) << 32 | uint64_t(~input);
}

struct Visit {
  uint64_t key;   // 0 outside the domain
  uint64_t hash;  // to be added up
  uint32_t bits;  // the result
  int bucket;
  bool in_domain, nearest;
};
template <Function F>
PLUMBLINE_HD Visit visit(uint32_t input, float divisor) {
  const float x = core::from_bits(input);
  const uint32_t bits = evaluate<F>(x, divisor);
  const Judgement j = judge<F>(x, divisor, bits);
  Visit v;
  v.bits = bits;
  v.in_domain = j.in_domain;
  v.nearest = j.nearest;
  v.bucket = ulp_bucket(j.ulps);
  v.key = j.in_domain ? worst_key(j.ulps, input) : 0;
  v.hash = j.in_domain ? mix64(uint64_t(input) << 32 | bits) : 0;
  return v;
}

// The scan that a block or a thread of the host makes: what Scan holds, with the key.
struct ScanPartial {
  uint64_t key, worst_bits, checksum, outside, not_nearest;
  uint64_t histogram[kUlpBuckets];
};
PLUMBLINE_HD void add(ScanPartial& into, const Visit& v) {
  if (v.key > into.key) {
    into.key = v.key;
    into.worst_bits = v.bits;
  }
  into.checksum += v.hash;
  into.outside += !v.in_domain;
  into.not_nearest += !v.nearest;
}
Scan to_scan(const ScanPartial& partial, uint64_t inputs);
void merge(ScanPartial& into, const ScanPartial& other);

}  // namespace plumbline::diagnostics
