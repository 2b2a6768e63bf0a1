// Steps of three presets through the public headers alone, and a checksum of what they left. Whatever flags this file
// is compiled with, the checksum is the same: nothing here computes, gradients are whole numbers over powers of two.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cuda/api/checkpoint.h"
#include "cuda/api/optimizer.h"
#include "cuda/api/presets.h"

#if defined(EXPECT_PLAIN) && defined(__AVX2__)
#error "the architecture of the library's own code has reached its user"
#endif

namespace {

uint64_t checksum = 0xcbf29ce484222325u;  // FNV-1a
void add(const void* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    checksum ^= static_cast<const unsigned char*>(bytes)[i];
    checksum *= 0x100000001b3u;
  }
}

void train(const char* preset) {
  using namespace plumbline;
  GroupOptions options = presets::by_name(preset);
  options.lr = 0.01;
  const std::vector<int64_t> shape = {48, 33};
  Optimizer optimizer({{.name = "weight", .shape = shape}}, {options}, OptimizerConfig{});
  std::vector<float> parameter(48 * 33 + 4), gradient(parameter.size());
  uint32_t state = 12345;
  const auto next = [&] {
    state = state * 1664525u + 1013904223u;
    return float(int32_t(state >> 8) - (1 << 23)) * 0x1p-23f;
  };
  for (float& p : parameter) p = next();
  int unused = 0;  // a warning of -Wall, which this project does not ask for
  for (int t = 0; t < 5; ++t) {
    for (float& g : gradient) g = next();
    optimizer.step(std::vector<TensorPointers>{{parameter.data(), gradient.data()}});
  }
  add(parameter.data(), 48 * 33 * sizeof(float));
  for (const RawSlot& slot : optimizer.export_raw(0)) add(slot.values.data(), slot.values.size());
}

}  // namespace

int main() {
  for (const char* preset : {"adafactor", "came", "apollo"}) {
    train(preset);
    std::printf("%s %016llx\n", preset, static_cast<unsigned long long>(checksum));
  }
}
