// The emulator itself, on kernels of a few lines: what it must report, and what it must leave alone.
#include "cuda/emulator/machine.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cuda/device.h"

namespace plumbline::PLUMBLINE_TARGET {
namespace {

constexpr int kThreads = 128, kBlocks = 5;
constexpr uint64_t kSeeds = 12;

enum class Fault {
  none,
  no_barrier_before_read,
  no_barrier_after_read,
  no_wait,
  stored_under_way,
  ended_under_way,
  barrier_not_reached,
  different_barriers,
  early_exit,
  exchange_not_reached,
  wild_shared_write,
  misaligned,
};

struct Arguments {
  const float* in;
  float* out;
  uint32_t* arrived;
  Fault fault;
};
struct Shared {
  float x[kThreads];
};

// Two rounds of: copy a value to shared memory, wait, take the mirrored thread's value, sum it over the warp.
PLUMBLINE_KERNEL(kThreads, 1)
mirror(Arguments a) {
  PLUMBLINE_SHARED(Shared, shared);
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, ring);
  const int t = thread_index(), base = block_index() * block_size();
  float sum = 0.0f;
  if (a.fault == Fault::early_exit && t == 77) return;
  for (int round = 0; round < 2; ++round) {
    copy16_async(ring + t, a.in + 4 * (base + t), round == 0 || t % 2 == 0);
    copy_commit();
    const bool late = t == 5 && round == 1, never = late && a.fault == Fault::ended_under_way;
    if (never || (late && a.fault == Fault::stored_under_way)) store<16>(ring + t, Bits<16>{});
    if (a.fault != Fault::no_wait && !never) copy_wait<0>();
    float four[4];
    std::memcpy(four, ring + t, sizeof four);
    if (a.fault != Fault::no_barrier_after_read) block_barrier();
    shared.x[t] = four[0] + four[1] + four[2] + four[3] + float(round);
    if (a.fault == Fault::different_barriers && t >= 64)
      block_barrier();
    else if (a.fault != Fault::no_barrier_before_read && !(a.fault == Fault::barrier_not_reached && t == 3))
      block_barrier();
    float x = shared.x[kThreads - 1 - t];
    for (int distance = 1; distance < kWarp; distance *= 2)
      if (!(a.fault == Fault::exchange_not_reached && t == 40)) x += shuffle_xor(x, distance);
    sum += x;
  }
  if (a.fault == Fault::wild_shared_write && t < 4) reinterpret_cast<volatile float*>(ring + kThreads)[t] = 1.0f;
  if (a.fault == Fault::misaligned && t == 9) sum += float(load<16>(a.in + 1).word[0]);
  a.out[base + t] = sum;
  block_barrier();
  if (t == 0) atomic_add(a.arrived, uint32_t(1));
}

struct Outcome {
  std::vector<float> out;
  uint32_t arrived = 0;
  std::string error;
};
Outcome run_mirror(Fault fault, uint64_t seed) {
  struct alignas(16) Four {
    float x[4];
  };
  std::vector<Four> in(kThreads * kBlocks);
  for (size_t i = 0; i < in.size(); ++i) in[i] = {{float(i), float(i % 7), 0.5f, -1.0f}};
  Outcome outcome;
  outcome.out.assign(kThreads * kBlocks, -1.0f);
  const Arguments arguments{in[0].x, outcome.out.data(), &outcome.arrived, fault};
  try {
    emulator::run(
        {"mirror", kBlocks, kThreads, kThreads * 16, seed},
        [](const void* a) { mirror(*static_cast<const Arguments*>(a)); }, &arguments);
  } catch (const emulator::EmulationError& e) {
    outcome.error = e.what();
  }
  return outcome;
}

// Compared bit for bit: a poisoned value is a NaN.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Machine, EveryScheduleOfACorrectKernelGivesTheSameResult) {
  const Outcome first = run_mirror(Fault::none, 0);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Outcome outcome = run_mirror(Fault::none, seed);
    EXPECT_EQ(outcome.error, "") << "seed " << seed;
    EXPECT_TRUE(same(outcome.out, first.out)) << "seed " << seed;
    EXPECT_EQ(outcome.arrived, kBlocks);
  }
  EXPECT_EQ(
      first.out[kThreads - 1], 0.0f + 31 * 16 + (31 * 32 / 2 - 31 * 16) +  // threads 0..31, round 0 and 1
                                   [] {
                                     float sum = 0;
                                     for (int i = 0; i < 32; ++i) {
                                       sum += float(i % 7) - 0.5f;
                                       sum += i % 2 == 0 ? float(i) + float(i % 7) - 0.5f : 0.0f;
                                       sum += 1.0f;
                                     }
                                     return sum;
                                   }());
}

TEST(Machine, AMissingBarrierOrWaitShowsInTheResult) {
  const Outcome good = run_mirror(Fault::none, 0);
  for (const Fault fault : {Fault::no_barrier_before_read, Fault::no_barrier_after_read, Fault::no_wait}) {
    int seen = 0;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const Outcome outcome = run_mirror(fault, seed);
      seen += outcome.error != "" || !same(outcome.out, good.out);
    }
    EXPECT_GE(seen, fault == Fault::no_wait ? int(kSeeds) : 1) << "fault " << int(fault);
  }
}

TEST(Machine, FaultsThatAreNoMatterOfScheduleAreAlwaysReported) {
  const std::pair<Fault, const char*> faults[] = {
      {Fault::barrier_not_reached, "kernel mirror"}, {Fault::early_exit, "(1 have ended)"},
      {Fault::different_barriers, "others wait at"}, {Fault::exchange_not_reached, "kernel mirror"},
      {Fault::wild_shared_write, "wrote past"},      {Fault::misaligned, "no multiple of 16"},
      {Fault::stored_under_way, "still under way"},  {Fault::ended_under_way, "still under way"}};
  for (const auto& [fault, message] : faults) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const std::string error = run_mirror(fault, seed).error;
      EXPECT_NE(error.find(message), error.npos) << "fault " << int(fault) << " seed " << seed << ": '" << error << "'";
    }
  }
}

TEST(Machine, GoesOnAfterAFailureAndBesideOtherThreads) {
  const Outcome good = run_mirror(Fault::none, 0);
  std::vector<std::jthread> hosts;
  for (int host = 0; host < 3; ++host) {
    hosts.emplace_back([&good, host] {
      for (uint64_t seed = 0; seed < 6; ++seed) {
        EXPECT_NE(run_mirror(Fault::early_exit, seed).error, "");
        EXPECT_TRUE(same(run_mirror(Fault::none, seed + uint64_t(host)).out, good.out));
      }
    });
  }
}

// Blocks take their turn by a counter in the order of claims; `lost` turns are never passed on.
struct Turns {
  uint32_t claimed = 0, over = 0, lost = 0;
  std::vector<uint32_t> order;
};
void take_turns(const void* arguments) {
  Turns& turns = *static_cast<Turns*>(const_cast<void*>(arguments));
  PLUMBLINE_SHARED(uint32_t, mine);
  if (thread_index() == 0) mine = atomic_add(&turns.claimed, uint32_t(1));
  block_barrier();
  if (thread_index() == 40) {
    wait_for(&turns.over, mine);
    turns.order.push_back(mine);
    if (mine != turns.lost - 1) signal(&turns.over);
  }
  block_barrier();
}

TEST(Machine, BlocksWaitForACountThatOthersRaise) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Turns turns;
    emulator::run({"turns", 6, 64, 0, seed}, take_turns, &turns);
    EXPECT_EQ(turns.order, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5})) << "seed " << seed;
    Turns broken;
    broken.lost = 3;
    try {
      emulator::run({"turns", 6, 64, 0, seed}, take_turns, &broken);
      ADD_FAILURE() << "not reported, seed " << seed;
    } catch (const emulator::EmulationError& error) {
      EXPECT_NE(std::string(error.what()).find("wait for ever"), std::string::npos) << error.what();
    }
  }
}

// Two warps exchange values over a barrier of their own; a third waits at the block's until they are done. `invited`:
// a thread of it comes to theirs.
struct Part {
  bool invited = false;
  int sum = 0;
};
struct PartValues {
  int values[64];
};
void meet_in_part(const void* arguments) {
  Part& part = *static_cast<Part*>(const_cast<void*>(arguments));
  PLUMBLINE_SHARED(PartValues, shared);
  const int t = thread_index();
  if (t < 64) {
    for (int round = 0; round < 3; ++round) {
      shared.values[t] = t + round;
      part_barrier(64);
      const int other = shared.values[63 - t];
      part_barrier(64);
      if (t == 5) part.sum += other;
    }
  } else if (part.invited && t == 70) {
    part_barrier(64);
  }
  block_barrier();
}

TEST(Machine, APartOfABlockHasABarrierOfItsOwn) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Part part;
    emulator::run({"part", 1, 96, 0, seed}, meet_in_part, &part);
    EXPECT_EQ(part.sum, 3 * 58 + 3) << "seed " << seed;
    part.invited = true;
    EXPECT_THROW(emulator::run({"part", 1, 96, 0, seed}, meet_in_part, &part), emulator::EmulationError);
  }
}

TEST(Machine, AKernelThatThrowsEndsTheLaunch) {
  const auto body = [](const void*) {
    if (thread_index() == 5) throw std::length_error("from a kernel");
    block_barrier();
  };
  EXPECT_THROW(emulator::run({"thrower", 2, 64, 0, 3}, body, nullptr), std::length_error);
  EXPECT_THROW(emulator::run({"odd", 1, 33, 0, 0}, body, nullptr), emulator::EmulationError);
}

}  // namespace
}  // namespace plumbline::PLUMBLINE_TARGET
