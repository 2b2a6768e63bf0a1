// Kernels of the phases on chip: the chain, its comparison, shared memory.
#pragma once
#include "cuda/diagnostics/soak_log.h"

namespace plumbline::PLUMBLINE_TARGET {

using diagnostics::ChainFault;
using diagnostics::Pattern;

constexpr int kSharedThreads = 512;

// What a block leaves: the checksum of each of its threads, and where it ran.
struct ChainOutput {
  uint64_t sum[diagnostics::kChainThreads];
  uint64_t multiprocessor;
};

template <bool Inject>
PLUMBLINE_KERNEL(diagnostics::kChainThreads, 3)
chain(uint32_t seed, int iterations, ChainOutput* outputs, ChainFault fault) {
  const bool here = Inject && block_index() == fault.block;
  if (here && fault.kind == ChainFault::Kind::dropped_block) return;
  ChainOutput& out = outputs[block_index()];
  const bool mine = here && thread_index() == fault.thread;
  out.sum[thread_index()] = diagnostics::run_chain<Inject>(seed, thread_index(), iterations, mine, fault);
  if (thread_index() == 0) out.multiprocessor = multiprocessor();
}

// A block compares another's output, so that one multiprocessor is not its own judge.
PLUMBLINE_KERNEL(diagnostics::kChainThreads, 1)
compare_chain(const ChainOutput* outputs, const uint64_t* known, int lanes, MiscompareLog* log) {
  const int block = (block_index() + 1 + grid_size() / 2) % grid_size(), thread = thread_index();
  const ChainOutput& out = outputs[block];
  const uint64_t expected = known[thread % lanes], actual = out.sum[thread];
  if (actual != expected) {
    log_miscompare(log, expected, actual, uint64_t(block) << 32 | uint32_t(thread), 0, uint32_t(out.multiprocessor));
  }
  add_to_log(log, actual);
}

// `words` of 64 bits of a block's shared memory, written by one thread and read by another.
PLUMBLINE_KERNEL(kSharedThreads, 1)
check_shared(int words, Pattern pattern, int times, MiscompareLog* log) {
  PLUMBLINE_DYNAMIC_SHARED(uint64_t, memory);
  uint64_t sum = 0;
  for (int time = 0; time < times; ++time) {
    const Pattern now = time % 2 == 0 ? pattern : pattern.complement();
    for (int i = thread_index(); i < words; i += kSharedThreads) memory[i] = now.word(uint64_t(i));
    block_barrier();
    for (int i = thread_index() ^ (kSharedThreads - 1); i < words; i += kSharedThreads) {
      const uint64_t expected = now.word(uint64_t(i)), actual = memory[i];
      sum += actual;
      if (actual != expected) log_miscompare(log, expected, actual, uint64_t(i) * 8, 0, multiprocessor());
    }
    block_barrier();
  }
  add_to_log(log, sum);
}

}  // namespace plumbline::PLUMBLINE_TARGET
