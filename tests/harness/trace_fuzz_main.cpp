// trace_fuzz [FILES [SEED]]: damaged trace files to the reader; 0 when it read or refused every one. Meant for the asan
// preset, where a wild read ends the program.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "tests/harness/trace_fuzz.h"

int main(int argc, char** argv) {
  const uint64_t files = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000000;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const auto counts = plumbline::harness::fuzz_reader(files, seed);
  std::printf("%" PRIu64 " files, seed %" PRIu64 ": %" PRIu64 " read, %" PRIu64 " of them judged, %" PRIu64
              " refused\n",
              files, seed, counts.read, counts.judged, counts.refused);
  if (counts.broken.empty()) return 0;
  std::printf("%s\n", counts.broken.c_str());
  return 1;
}
