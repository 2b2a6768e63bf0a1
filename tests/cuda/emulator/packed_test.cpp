// What keeps packs of small matrices right: without it the emulator gives other bits than without a fault.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/mutants/mutants.h"

namespace plumbline {
namespace {

// Two steps of a batch; the parameters then, and the codes of the second moment where it is not factored.
std::vector<float> steps(uint64_t schedule, bool factored, int64_t cols) {
  constexpr int64_t kMatrices = 300, kRows = 3;
  const int64_t size = kMatrices * kRows * cols;
  GroupOptions options;
  options.factored = factored;
  options.min_quantized_size = 1;
  OptimizerConfig config;
  config.backend = Backend::emulator;
  config.schedule_seed = schedule;
  Optimizer optimizer({{"w", {kMatrices, kRows, cols}}}, {options}, config);
  std::mt19937 random(1);
  std::vector<float> parameters(static_cast<size_t>(size)), gradients(parameters.size());
  for (float& p : parameters) p = float(random() >> 8) * 0x1p-24f;
  const TensorPointers pointers{parameters.data(), gradients.data()};
  for (int step = 0; step < 2; ++step) {
    for (float& g : gradients) g = float(int(random() >> 8) - (1 << 23));
    optimizer.step({&pointers, 1});
  }
  for (const RawSlot& slot : optimizer.export_raw(0))
    parameters.insert(parameters.end(), slot.scales.begin(), slot.scales.end());
  return parameters;
}

struct Fault {
  core::Mutant id;
  bool factored;
  int64_t cols;  // 3: a shape that the compiler knows
};
class PackedFault : public testing::TestWithParam<Fault> {};

TEST_P(PackedFault, IsNoticed) {
  const Fault fault = GetParam();
  set_mutant(core::Mutant::none);
  const std::vector<float> good = steps(0, fault.factored, fault.cols);
  int noticed = 0;
  for (uint64_t schedule = 0; schedule < 4; ++schedule) {
    EXPECT_EQ(steps(schedule, fault.factored, fault.cols), good) << "schedule " << schedule;
    set_mutant(fault.id);
    noticed += steps(schedule, fault.factored, fault.cols) != good;
    set_mutant(core::Mutant::none);
  }
  EXPECT_GT(noticed, 0);
}

INSTANTIATE_TEST_SUITE_P(Of, PackedFault,
                         testing::Values(Fault{core::Mutant::pack_barrier_lost, true, 5},
                                         Fault{core::Mutant::pack_shares_step, true, 3},
                                         Fault{core::Mutant::pack_shares_step, true, 5},
                                         Fault{core::Mutant::pack_tail_left, true, 3},
                                         Fault{core::Mutant::pack_range_of_piece, false, 4}));

}  // namespace
}  // namespace plumbline
