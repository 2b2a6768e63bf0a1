// What a failing step read, left and should have left: bits, for a bundle that can be looked at and replayed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace plumbline::harness {

struct EvidenceArray {
  std::string name;   // "before/parameter", "gradient", "after/row/values", "expected/parameter", "twin/parameter", ...
  std::string dtype;  // of safetensors: "F32", "BF16", "F16", "F64", "U8"
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

struct Evidence {
  int64_t step = 0;
  std::vector<EvidenceArray> arrays;
};

}  // namespace plumbline::harness
