// What scans over all float32 inputs found, rounded up: the errors that the contracts build on. A scan that finds more
// is a failure, of the code or of the machine (cuda/diagnostics/scan.h).
//
// Checksums are those of the scan over all inputs, as the host twin computes it: every result is in them.
#pragma once
#include <cstdint>

namespace plumbline::core {

// log2 of all 2,130,706,432 normal positive numbers: 0.557814777 at kLog2WorstInput.
constexpr double kLog2Ulps = 0.5579;
constexpr uint32_t kLog2WorstInput = 0x3fb19159u;  // 1.3872482
constexpr uint64_t kLog2Checksum = 0xfb050a08165c1917u;
// exp2 of every x with a normal result, hence of all fractions: 0.58776927.
constexpr double kExp2Ulps = 0.5878;
constexpr uint32_t kExp2WorstInput = 0x3f0009d6u;  // 0.50015008
constexpr uint64_t kExp2Checksum = 0xc07cd184364a1f5du;
// A subnormal result rounds twice: half an ulp beside at most half of the error above (scanned: 0.756172419).
constexpr double kExp2SubnormalUlps = 0.5 + 0.5 * kExp2Ulps;
constexpr uint32_t kExp2SubnormalWorstInput = 0xc2fcbb0du;  // -126.3653
constexpr uint64_t kExp2SubnormalChecksum = 0xe2d5bceb4b4a00c2u;

}  // namespace plumbline::core
