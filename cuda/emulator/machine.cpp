#include "cuda/emulator/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/emulator/block.h"
#include "cuda/emulator/schedule.h"

namespace plumbline::emulator {
namespace {

std::string place(const Site& site) {
  std::string_view file = site.file_name();
  if (const size_t at = file.rfind("/cuda/"); at != file.npos) file.remove_prefix(at + 1);
  return fmt::format("{}:{}", file, site.line());
}

bool same_place(const Site& a, const Site& b) {
  return a.line() == b.line() && (a.file_name() == b.file_name() || std::string_view(a.file_name()) == b.file_name());
}

}  // namespace

class Machine {
 public:
  void run(const Launch& launch, void (*body)(const void*), const void* arguments);

  Thread& thread() { return *current_; }
  Block& block() { return *current_block_; }
  Warp& warp() { return current_block_->warps[position.thread / kWarpSize]; }
  void wait(Wait what, Site site) {
    Thread& t = *current_;
    t.wait = what;
    t.site = site;
    --warp().ready;
    yield();
  }
  void wait_for(const uint32_t* counter, uint32_t least, Site site) {
    current_->counter = counter;
    current_->least = least;
    ++current_block_->counting;
    wait(Wait::count, site);
  }
  // The current thread stops here; the next of the round goes on, or the host after the last.
  void yield() {
    Context& from = *current_->context;
    switch_context(from, next_ == queue_.size() || error_ ? host_ : activate(queue_[next_++]));
  }
  // Who waits for a phase looks again.
  void wake_phases() {
    for (int i = 0; i < position.block_size; ++i)
      if (block().threads[i].wait == Wait::phase) wake(block(), i, 1);
  }
  void wake(Block& b, int first, int count) {
    for (int i = first; i < first + count; ++i) {
      b.threads[i].wait = Wait::ready;
      ++b.warps[i / kWarpSize].ready;
    }
  }
  [[noreturn]] void fail(const std::string& what, Site site) const {
    throw EmulationError(fmt::format("kernel {}, block {}, thread {}, {}: {}", launch_.kernel, position.block,
                                     position.thread, place(site), what));
  }
  size_t dynamic_bytes() const { return launch_.dynamic_shared; }
  void deliver(const Copy& copy) const;

 private:
  static void live(void* machine);  // of a thread's fiber: kernel after kernel
  void start(Block& block, int index);
  void finish(Block& block);
  Context& activate(int thread);
  void wake_counting(Block& block);
  void queue_round(int in_flight, Random& random);
  void queue_warp(const std::vector<int>& ranking);
  [[noreturn]] void deadlock() const;

  Launch launch_;
  Schedule schedule_;
  void (*body_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<int> queue_;  // threads to go on, one after the other: slot x block size + thread
  size_t next_ = 0;
  std::exception_ptr error_;
  Context host_;
  Thread* current_ = nullptr;
  Block* current_block_ = nullptr;
};

void Machine::start(Block& b, int index) {
  b.index = index;
  b.live = launch_.block;
  b.whole.arrived = b.part.arrived = 0;
  b.counting = 0;
  b.static_table.clear();
  b.ranges.clear();
  b.statics.reset(kMaxStaticShared, 0);
  b.dynamics.reset(kMaxDynamicShared, launch_.dynamic_shared);
  for (Warp& w : b.warps) w.arrived = 0, w.ready = kWarpSize;
  for (int i = 0; i < launch_.block; ++i) {
    Thread& t = b.threads[i];
    t.position = {i, index, launch_.block, launch_.grid};
    t.wait = Wait::ready;
    t.copies.clear();
    t.arrived = 0;
    t.group = 0;
  }
}

void Machine::finish(Block& b) {
  if (!b.statics.intact() || !b.dynamics.intact())
    throw EmulationError(fmt::format("kernel {}, block {}: wrote past its shared memory", launch_.kernel, b.index));
  b.index = -1;
}

Context& Machine::activate(int thread) {
  current_block_ = blocks_[thread / launch_.block].get();
  current_ = &current_block_->threads[thread % launch_.block];
  position = current_->position;
  return *current_->context;
}

// A copy arrives at any time from its start on: what was stored there meanwhile may be lost.
void Machine::deliver(const Copy& copy) const {
  const auto* const bytes = static_cast<const std::byte*>(copy.destination);
  if (std::any_of(bytes, bytes + copy.bytes, [](std::byte b) { return b != std::byte(kPoison); }))
    fail("a copy was still under way to what was stored to since", copy.site);
  if (copy.source != nullptr)
    std::memcpy(copy.destination, copy.source, size_t(copy.bytes));
  else
    std::memset(copy.destination, 0, size_t(copy.bytes));
}

void Machine::live(void* self) {
  Machine& machine = *static_cast<Machine*>(self);
  for (;;) {
    try {
      machine.body_(machine.arguments_);
      const Thread& ended = *machine.current_;
      for (size_t i = ended.arrived; i < ended.copies.size(); ++i) machine.deliver(ended.copies[i]);
    } catch (...) {
      machine.error_ = std::current_exception();
    }
    machine.current_->wait = Wait::done;
    --machine.warp().ready;
    --machine.current_block_->live;
    machine.yield();
  }
}

// Threads whose counter is where they wait for it can go on.
void Machine::wake_counting(Block& b) {
  for (int i = 0; b.counting > 0 && i < launch_.block; ++i) {
    const Thread& t = b.threads[i];
    if (t.wait != Wait::count || *t.counter < t.least) continue;
    --b.counting;
    wake(b, i, 1);
  }
}

// All threads that can go on, in the order of the schedule.
void Machine::queue_round(int in_flight, Random& random) {
  for (int s = 0; s < in_flight; ++s) {
    Block& b = *blocks_[s];
    for (int w = 0; b.index >= 0 && w < int(b.warps.size()); ++w) {
      if (b.warps[w].ready == 0) continue;
      for (int i = w * kWarpSize; i < (w + 1) * kWarpSize; ++i)
        if (b.threads[i].wait == Wait::ready) queue_.push_back(s * launch_.block + i);
    }
  }
  if (schedule_.order == Order::reverse) std::reverse(queue_.begin(), queue_.end());
  if (schedule_.order == Order::shuffled) permute(queue_, random);
}

// The lanes that can go on of the first warp in the ranking that has any.
void Machine::queue_warp(const std::vector<int>& ranking) {
  const int warps = launch_.block / kWarpSize;
  for (const int i : ranking) {
    const Block& b = *blocks_[i / warps];
    const int first = i % warps * kWarpSize;
    if (b.index < 0 || b.warps[i % warps].ready == 0) continue;
    for (int t = first; t < first + kWarpSize; ++t)
      if (b.threads[t].wait == Wait::ready) queue_.push_back(i / warps * launch_.block + t);
    if (schedule_.reverse_lanes) std::reverse(queue_.begin(), queue_.end());
    return;
  }
}

void Machine::deadlock() const {
  for (const auto& b : blocks_) {
    if (b->index < 0) continue;
    int waiting = 0, gone = 0;
    std::string sites;
    for (const Thread& t : b->threads) {
      if (t.wait == Wait::done) {
        ++gone;
        continue;
      }
      ++waiting;
      const std::string here = fmt::format("thread {} at {}; ", t.position.thread, place(t.site));
      if (sites.size() < 300 && sites.find(place(t.site)) == sites.npos) sites += here;
    }
    throw EmulationError(fmt::format("kernel {}, block {}: {} threads wait for ever ({} have ended): {}",
                                     launch_.kernel, b->index, waiting, gone, sites));
  }
  throw EmulationError(fmt::format("kernel {}: nothing can run", launch_.kernel));
}

void Machine::run(const Launch& launch, void (*body)(const void*), const void* arguments) {
  if (launch.block < kWarpSize || launch.block > kMaxThreads || launch.block % kWarpSize != 0 || launch.grid < 1 ||
      launch.dynamic_shared > kMaxDynamicShared)
    throw EmulationError(fmt::format("kernel {}: invalid launch of {} blocks of {} threads with {} bytes",
                                     launch.kernel, launch.grid, launch.block, launch.dynamic_shared));
  launch_ = launch;
  body_ = body;
  arguments_ = arguments;
  schedule_ = Schedule::of(launch.seed);
  Random random(launch.seed ^ 0x5EEDu);
  const int in_flight = std::min(schedule_.blocks_in_flight, launch.grid);

  while (int(fibers_.size()) < in_flight * launch.block)
    fibers_.push_back(std::make_unique<Fiber>(int(fibers_.size()), live, this));
  while (int(blocks_.size()) < in_flight) blocks_.push_back(std::make_unique<Block>());
  for (int s = 0; s < int(blocks_.size()); ++s) {
    Block& b = *blocks_[s];
    b.index = -1;
    if (s >= in_flight) continue;
    b.threads.resize(launch.block);
    b.warps.resize(launch.block / kWarpSize);
    for (int i = 0; i < launch.block; ++i) b.threads[i].context = &fibers_[s * launch.block + i]->context();
  }
  std::vector<int> waiting = iota(launch.grid);
  if (schedule_.shuffle_blocks) permute(waiting, random);
  if (schedule_.order == Order::reverse) std::reverse(waiting.begin(), waiting.end());
  size_t next = 0;
  std::vector<int> ranking = iota(in_flight * (launch.block / kWarpSize));
  permute(ranking, random);

  for (;;) {
    int alive = 0;
    for (int s = 0; s < in_flight; ++s) {
      Block& b = *blocks_[s];
      if (b.index >= 0 && b.live == 0) finish(b);
      if (b.index < 0 && next < waiting.size()) start(b, waiting[next++]);
      alive += b.index >= 0;
      if (b.index >= 0) wake_counting(b);
    }
    if (alive == 0) break;
    queue_.clear();
    schedule_.order == Order::greedy ? queue_warp(ranking) : queue_round(in_flight, random);
    if (queue_.empty()) deadlock();
    next_ = 1;
    switch_context(host_, activate(queue_[0]));
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }
  for (int i = 0; i < in_flight * launch.block; ++i)
    if (!fibers_[i]->stack_intact()) throw EmulationError(fmt::format("kernel {}: stack overflow", launch.kernel));
}

namespace {

// A machine per host thread. One that failed is thrown away: its fibers stand in the middle of a kernel.
std::unique_ptr<Machine>& machine_slot() {
  thread_local std::unique_ptr<Machine> slot;
  return slot;
}
thread_local constinit Machine* machine = nullptr;

}  // namespace

void run(const Launch& launch, void (*body)(const void*), const void* arguments) {
  auto& slot = machine_slot();
  if (!slot) slot = std::make_unique<Machine>();
  machine = slot.get();
  try {
    machine->run(launch, body, arguments);
  } catch (...) {
    slot.reset();
    throw;
  }
}

namespace {

// Of the block's first `threads` threads.
void meet(Barrier& barrier, int threads, Site site) {
  if (barrier.arrived == 0) barrier.site = site;
  if (!same_place(site, barrier.site))
    machine->fail(fmt::format("barrier, while others wait at the one of {}", place(barrier.site)), site);
  if (++barrier.arrived < threads) {
    machine->wait(Wait::barrier, site);
    return;
  }
  barrier.arrived = 0;
  // The last to arrive goes back to the schedule too, so that it has no lead that a GPU would not give it.
  Block& b = machine->block();
  for (int w = 0; w < threads / kWarpSize; ++w) b.warps[size_t(w)].ready = 0;
  machine->thread().wait = Wait::barrier;
  machine->wake(b, 0, threads);
  machine->yield();
}

}  // namespace

void block_barrier(Site site) { meet(machine->block().whole, position.block_size, site); }

void part_barrier(int threads, Site site) {
  if (position.thread >= threads || threads % kWarpSize != 0)
    machine->fail(fmt::format("a barrier of {} threads", threads), site);
  meet(machine->block().part, threads, site);
}

uint64_t warp_exchange(uint64_t value, int source_lane, Site site) {
  Warp& w = machine->warp();
  const int lane = position.thread % kWarpSize;
  auto& values = w.values[w.generation & 1];
  if (w.arrived == 0) w.site = site;
  if (!same_place(site, w.site))
    machine->fail(fmt::format("exchange, while other lanes of the warp wait at the one of {}", place(w.site)), site);
  values[lane] = value;
  if (++w.arrived < kWarpSize) {
    machine->wait(Wait::warp, site);
  } else {
    w.arrived = 0;
    ++w.generation;
    w.ready = 0;
    machine->thread().wait = Wait::warp;
    machine->wake(machine->block(), position.thread - lane, kWarpSize);
    machine->yield();
  }
  return values[source_lane];
}

void wait_for(const uint32_t* counter, uint32_t least, Site site) {
  if (*counter < least) machine->wait_for(counter, least, site);
}

void* static_shared(const void* key, size_t bytes, size_t alignment) {
  Block& b = machine->block();
  for (const auto& entry : b.static_table)
    if (entry.key == key) return b.statics.memory.get() + entry.offset;
  const size_t offset = (b.statics.used + alignment - 1) / alignment * alignment;
  if (offset + bytes > kMaxStaticShared) throw EmulationError("static shared memory exceeds 48 KiB");
  b.static_table.push_back({key, offset, bytes});
  std::byte* const memory = b.statics.memory.get();
  std::memset(memory + b.statics.used, kPoison, offset + bytes - b.statics.used);
  b.statics.used = offset + bytes;
  std::memset(memory + b.statics.used, kGuard, kGuardBytes);
  return memory + offset;
}

void* dynamic_shared() { return machine->block().dynamics.memory.get(); }

void expect_aligned(const void* address, size_t alignment, Site site) {
  if (reinterpret_cast<uintptr_t>(address) % alignment != 0)
    machine->fail(fmt::format("address is no multiple of {}", alignment), site);
}

void copy_async(void* destination, const void* source, int bytes, bool valid, Site site) {
  expect_aligned(destination, size_t(bytes), site);
  if (valid) expect_aligned(source, size_t(bytes), site);
  std::memset(destination, kPoison, size_t(bytes));
  Thread& t = machine->thread();
  t.copies.push_back({destination, valid ? source : nullptr, bytes, t.group, site});
}

void copy_commit() { ++machine->thread().group; }

void copy_wait(int groups_left) {
  Thread& t = machine->thread();
  for (; t.arrived < t.copies.size() && t.copies[t.arrived].group < t.group - groups_left; ++t.arrived)
    machine->deliver(t.copies[t.arrived]);
  if (t.arrived == t.copies.size()) {
    t.copies.clear();
    t.arrived = 0;
  }
}

void arrive(PhaseBarrier& barrier, int bytes, Site site) {
  if (barrier.missing == 0 || barrier.missing > barrier.arrivals)
    machine->fail("more arrivals than the barrier has", site);
  --barrier.missing;
  barrier.expected += bytes;
  if (barrier.missing == 0 && barrier.expected == 0) {
    ++barrier.phase;
    barrier.missing = barrier.arrivals;
  }
  machine->wake_phases();
}

void copy_range(void* destination, const void* source, int bytes, PhaseBarrier& barrier, Site site) {
  expect_aligned(destination, 16, site);
  expect_aligned(source, 16, site);
  if (bytes <= 0 || bytes % 16 != 0) machine->fail(fmt::format("a copy of {} bytes", bytes), site);
  std::memset(destination, kPoison, size_t(bytes));
  machine->block().ranges.push_back({destination, source, bytes, &barrier});
  arrive(barrier, bytes, site);
}

void wait_for_phase(PhaseBarrier& barrier, uint32_t phase, Site site) {
  Block& b = machine->block();
  const auto is_ours = [&](const Range& r) { return r.barrier == &barrier; };
  while ((barrier.phase & 1) == phase) {
    if (barrier.missing > 0 || barrier.expected == 0) {
      machine->wait(Wait::phase, site);
      continue;
    }
    for (const Range& r : b.ranges)
      if (is_ours(r)) std::memcpy(r.destination, r.source, size_t(r.bytes));
    std::erase_if(b.ranges, is_ours);
    barrier.expected = 0;
    ++barrier.phase;
    barrier.missing = barrier.arrivals;
    machine->wake_phases();
  }
}

}  // namespace plumbline::emulator
