// Damaged trace files, one after the other, to a reader that must read or refuse each: flips, cuts, copies, numbers and
// JSON that lie, several at once.
#pragma once
#include <cstdint>
#include <string>

namespace plumbline::harness {

struct FuzzCounts {
  uint64_t read = 0;     // every array could be loaded
  uint64_t judged = 0;   // of those: a recorded run that a judge takes
  uint64_t refused = 0;  // InputError, one line
  std::string broken;    // anything else, of the first file that gave it
};

// Stops at the first file that breaks the reader.
FuzzCounts fuzz_reader(uint64_t files, uint64_t seed);

}  // namespace plumbline::harness
