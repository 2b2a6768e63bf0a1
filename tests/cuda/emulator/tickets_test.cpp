// What blocks that claim tickets wait for: without either wait the emulator gives other bits.
#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/mutants/mutants.h"

namespace plumbline {
namespace {

// Two steps of more tensors than the ring of partial sums holds; the parameters then.
std::vector<float> steps(uint64_t schedule, int rows, int cols) {
  constexpr int kTensors = 30;
  std::vector<TensorSpec> specs;
  for (int i = 0; i < kTensors; ++i) specs.push_back({"t" + std::to_string(i), {rows, cols}});
  OptimizerConfig config;
  config.backend = Backend::emulator;
  config.schedule_seed = schedule;
  Optimizer optimizer(specs, {GroupOptions{}}, config);
  std::mt19937 random(1);
  std::vector<float> parameters(size_t(kTensors) * size_t(rows) * size_t(cols)), gradients(parameters.size());
  std::vector<TensorPointers> pointers;
  for (int i = 0; i < kTensors; ++i)
    pointers.push_back({parameters.data() + i * rows * cols, gradients.data() + i * rows * cols});
  for (float& p : parameters) p = float(random() >> 8);
  for (int step = 0; step < 2; ++step) {
    for (float& g : gradients) g = float(int(random() >> 8) - (1 << 23));
    optimizer.step(pointers);
  }
  return parameters;
}

class ActiveMutant {
 public:
  explicit ActiveMutant(core::Mutant id) { set_mutant(id); }
  ~ActiveMutant() { set_mutant(core::Mutant::none); }
  ActiveMutant(const ActiveMutant&) = delete;
  ActiveMutant& operator=(const ActiveMutant&) = delete;
};

// Of few strips and tiles each, so that the next tensor in a place of the ring is not many tickets behind.
TEST(Tickets, ALostWaitIsNoticed) {
  constexpr int kRows = 8, kCols = 150;
  const std::vector<float> good = steps(0, kRows, kCols);
  int strips = 0, ring = 0;
  for (uint64_t schedule = 0; schedule < 12; ++schedule) {
    EXPECT_EQ(steps(schedule, kRows, kCols), good) << "schedule " << schedule;
    {
      const ActiveMutant active(core::Mutant::strips_unwaited);
      strips += steps(schedule, kRows, kCols) != good;
    }
    const ActiveMutant active(core::Mutant::ring_unwaited);
    ring += steps(schedule, kRows, kCols) != good;
  }
  EXPECT_GT(strips, 0);
  EXPECT_GT(ring, 0);
}

// Rows of whole vectors on a device that copies ranges: warps with roles.
TEST(Tickets, ALostWaitIsNoticedAmongRoles) {
  constexpr int kRows = 40, kCols = 1032;
  const std::vector<float> good = steps(1, kRows, kCols);  // without roles
  constexpr core::Mutant kLost[] = {core::Mutant::strips_unwaited, core::Mutant::ring_unwaited,
                                    core::Mutant::ready_unwaited};
  int noticed[std::size(kLost)] = {};
  for (uint64_t schedule = 0; schedule < 24; schedule += 4) {
    EXPECT_EQ(steps(schedule, kRows, kCols), good) << "schedule " << schedule;
    for (size_t i = 0; i < std::size(kLost); ++i) {
      const ActiveMutant active(kLost[i]);
      noticed[i] += steps(schedule, kRows, kCols) != good;
    }
  }
  for (size_t i = 0; i < std::size(kLost); ++i) EXPECT_GT(noticed[i], 0) << "fault " << i;
}

}  // namespace
}  // namespace plumbline
