#include "cuda/diagnostics/scan.h"

#include <cmath>
#include <stdexcept>

#include <vector>
#include "cuda/diagnostics/dispatch.h"
#include "cuda/diagnostics/scan_step.h"

namespace plumbline::diagnostics {

double lower_edge(int bucket) { return bucket < 16 ? bucket / 16.0 : std::ldexp(1.0, bucket - 16); }

bool holds(const ScanSubject& subject, const Scan& scan) {
  const FunctionRow& row = row_of(subject.function);
  switch (row.promise) {
    case Promise::certified:
      return double(scan.largest) <= row.bound &&
             (scan.inputs != uint64_t(1) << 32 || scan.checksum == row.full_checksum);
    case Promise::nearest:
      return scan.not_nearest == 0;
    case Promise::information:
      break;
  }
  return true;
}

void merge(ScanPartial& into, const ScanPartial& other) {
  if (other.key > into.key) {
    into.key = other.key;
    into.worst_bits = other.worst_bits;
  }
  into.checksum += other.checksum;
  into.outside += other.outside;
  into.not_nearest += other.not_nearest;
  for (int b = 0; b < kUlpBuckets; ++b) into.histogram[b] += other.histogram[b];
}

Scan to_scan(const ScanPartial& partial, uint64_t inputs) {
  Scan scan;
  scan.inputs = inputs;
  scan.outside = partial.outside;
  scan.not_nearest = partial.not_nearest;
  scan.checksum = partial.checksum;
  for (int b = 0; b < kUlpBuckets; ++b) scan.histogram[size_t(b)] = partial.histogram[b];
  scan.largest = core::from_bits(uint32_t(partial.key >> 32));
  scan.worst_input = ~uint32_t(partial.key);
  scan.worst_result = uint32_t(partial.worst_bits);
  return scan;
}

Scan scan_on_host(const ScanSubject& subject, int shift, int threads) {
  const FunctionRow& row = row_of(subject.function);
  if (row.chip_only) throw std::invalid_argument(std::string(row.name) + " has no host form");
  const uint64_t inputs = uint64_t(1) << (32 - shift);
  constexpr int64_t kChunks = 256;
  std::vector<ScanPartial> partials(kChunks);
  with_function(subject.function, [&]<Function F>() {
    for_each(threads, kChunks, [&](int64_t chunk) {
      ScanPartial partial = {};
      const uint64_t from = inputs * uint64_t(chunk) / kChunks, to = inputs * uint64_t(chunk + 1) / kChunks;
      for (uint64_t i = from; i < to; ++i) {
        const Visit v = visit<F>(scan_input(uint32_t(i), shift), subject.divisor);
        add(partial, v);
        partial.histogram[v.bucket] += v.in_domain;
      }
      partials[size_t(chunk)] = partial;
    });
  });
  ScanPartial all = {};
  for (const ScanPartial& partial : partials) merge(all, partial);
  return to_scan(all, inputs);
}

}  // namespace plumbline::diagnostics
