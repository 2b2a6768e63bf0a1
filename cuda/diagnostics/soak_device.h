// The soak's engine on a device, the same for the GPU and the emulator.
#pragma once
#include <chrono>
#include <cstring>

#include "cuda/core/geometry.h"
#include "cuda/diagnostics/soak_arithmetic.cuh"
#include "cuda/diagnostics/soak_memory.cuh"
#include "cuda/diagnostics/soak_output.cuh"
#include "cuda/kernels/runtime.h"
#include "cuda/state/arena.h"

namespace plumbline::PLUMBLINE_TARGET {

class DeviceSoak : public diagnostics::SoakEngine {
 public:
  using PieceResult = diagnostics::PieceResult;
  using Use = typename Runtime::Use;  // in every call: an engine of another device may have been used in between

  DeviceSoak(const OptimizerConfig& config, uint64_t bytes)
      : runtime_(config),
        buffer_(runtime_.memory(), bytes / 32 * 32),
        log_(runtime_.memory(), sizeof(MiscompareLog)),
        outputs_(runtime_.memory(), size_t(chain_blocks()) * sizeof(ChainOutput)),
        known_(runtime_.memory(), diagnostics::kChainThreads * sizeof(uint64_t)) {
    const Use use(runtime_);
    runtime_.zero(outputs_.data(), outputs_.bytes(), nullptr);
    runtime_.prepare(check_shared, shared_bytes());
  }

  uint64_t memory_bytes() const override { return buffer_.bytes(); }
  int blocks() const override { return int(chain_blocks()); }

  void fill(const Pattern& pattern) override {
    const Use use(runtime_);
    PLUMBLINE_LAUNCH(runtime_, fill_pattern, memory_grid(), kMemoryThreads, 0, nullptr, buffer_.data(), vectors(),
                     pattern);
    finish();
  }
  PieceResult exchange(const Pattern& pattern, const Pattern& next) override {
    return measure(2 * buffer_.bytes(), pattern.sum(2 * uint64_t(vectors())), [&] {
      runtime_.launch("check_pattern", check_pattern<true>, memory_grid(), kMemoryThreads, 0, nullptr, buffer_.data(),
                      vectors(), pattern, next, 1, log());
    });
  }
  PieceResult reread(const Pattern& pattern, uint64_t bytes, int times) override {
    const int64_t part = std::min<int64_t>(vectors(), int64_t(bytes / 16));
    return measure(uint64_t(part) * 16 * uint64_t(times), pattern.sum(2 * uint64_t(part)) * uint64_t(times), [&] {
      runtime_.launch("check_pattern", check_pattern<false>, memory_grid(), kMemoryThreads, 0, nullptr, buffer_.data(),
                      part, pattern, pattern, times, log());
    });
  }
  PieceResult copy() override {
    const size_t half = buffer_.bytes() / 32 * 16;
    return measure(2 * half, 0, [&] { runtime_.copy(buffer_.data() + half, buffer_.data(), half, nullptr); });
  }
  PieceResult shared(const Pattern& pattern, int times) override {
    const auto words = uint64_t(shared_bytes() / 8), blocks = uint64_t(runtime_.limits().multiprocessors);
    const uint64_t once = pattern.sum(words), other = pattern.complement().sum(words);
    const uint64_t half = uint64_t(times) / 2, sum = blocks * (once * (uint64_t(times) - half) + other * half);
    return measure(2 * words * 8 * blocks * uint64_t(times), sum,
                   [&] { launch_shared(int64_t(blocks), times, pattern); });
  }
  PieceResult arithmetic(uint32_t seed, int iterations, const std::vector<uint64_t>& known, int launches,
                         const ChainFault& fault) override {
    const Use use(runtime_);
    runtime_.copy_to_device(known_.data(), known.data(), known.size() * sizeof(uint64_t), nullptr);
    PieceResult result = measure(0, sum_of(known, launches), [&] {
      for (int i = 0; i < launches; ++i) {
        const bool faulty = i == 0 && fault.kind != ChainFault::Kind::none;
        runtime_.launch("chain", faulty ? chain<true> : chain<false>, chain_blocks(), diagnostics::kChainThreads, 0,
                        nullptr, seed, iterations, outputs(), fault);
        compare(int(known.size()));
      }
    });
    result.results = uint64_t(launches) * uint64_t(chain_blocks()) * diagnostics::kChainThreads *
                     diagnostics::chain_results(iterations);
    return result;
  }
  bool has_tensor() const override { return false; }
  PieceResult tensor(uint32_t, int, const std::vector<uint64_t>&, int) override { return {}; }
  void load_output(const std::vector<float>& clean, const std::vector<float>& before) override {
    const Use use(runtime_);
    outputs_count_ = int64_t(clean.size());
    runtime_.copy_to_device(output(0), clean.data(), clean.size() * sizeof(float), nullptr);
    runtime_.copy_to_device(output(1), before.data(), before.size() * sizeof(float), nullptr);
  }
  diagnostics::OutputVerdict judge_output(const OutputFault& fault, uint64_t known_hash) override {
    const Use use(runtime_);
    const int64_t grid = looping_blocks(runtime_.limits(), 8, core::ceil_div(outputs_count_, kOutputThreads));
    PLUMBLINE_LAUNCH(runtime_, copy_with_fault, grid, kOutputThreads, 0, nullptr, output(0), output(1), output(2),
                     outputs_count_, fault);
    const PieceResult hash = measure(0, known_hash, [&] {
      PLUMBLINE_LAUNCH(runtime_, hash_output, grid, kOutputThreads, 0, nullptr, output(2), outputs_count_, log());
    });
    const PieceResult tolerance = measure(0, 0, [&] {
      PLUMBLINE_LAUNCH(runtime_, count_outside, grid, kOutputThreads, 0, nullptr, output(2), output(0), outputs_count_,
                       log());
    });
    return {hash.sum_wrong, tolerance.sum_wrong};
  }
  void flip(uint64_t byte, int bit) override {
    const Use use(runtime_);
    PLUMBLINE_LAUNCH(runtime_, flip_bit, 1, kWarp, 0, nullptr, buffer_.data() + byte, bit);
    finish();
  }

 protected:
  static constexpr int64_t kChainBlocksPerMultiprocessor = 3;

  int64_t chain_blocks() const { return runtime_.limits().multiprocessors * kChainBlocksPerMultiprocessor; }
  float* output(int which) const { return core::at<float>(buffer_.data(), 0) + which * outputs_count_; }
  int64_t vectors() const { return int64_t(buffer_.bytes() / 16); }
  int64_t memory_grid() const {
    return looping_blocks(runtime_.limits(), 4, std::max<int64_t>(1, vectors() / kMemoryThreads));
  }
  MiscompareLog* log() const { return core::at<MiscompareLog>(log_.data(), 0); }
  ChainOutput* outputs() const { return core::at<ChainOutput>(outputs_.data(), 0); }
  // All that a block may have beside what the runtime keeps.
  size_t shared_bytes() const { return (runtime_.limits().shared_per_block - 1024) / 8 * 8; }
  void launch_shared(int64_t blocks, int times, const Pattern& pattern) const {
    PLUMBLINE_LAUNCH(runtime_, check_shared, blocks, kSharedThreads, shared_bytes(), nullptr, int(shared_bytes() / 8),
                     pattern, times, log());
  }
  uint64_t sum_of(const std::vector<uint64_t>& known, int launches) const {
    uint64_t sum = 0;
    for (int t = 0; t < diagnostics::kChainThreads; ++t) sum += known[size_t(t) % known.size()];
    return sum * uint64_t(chain_blocks()) * uint64_t(launches);
  }
  void compare(int lanes) const {
    PLUMBLINE_LAUNCH(runtime_, compare_chain, chain_blocks(), diagnostics::kChainThreads, 0, nullptr, outputs(),
                     core::at<const uint64_t>(known_.data(), 0), lanes, log());
  }
  // Waits for the device.
  void finish() const {
    uint32_t word = 0;
    runtime_.copy_to_host(&word, log_.data(), sizeof word, nullptr);
  }
  template <class Launch>
  PieceResult measure(uint64_t bytes, uint64_t known_sum, const Launch& launch) {
    const Use use(runtime_);
    runtime_.zero(log_.data(), sizeof(MiscompareLog), nullptr);
    const auto start = std::chrono::steady_clock::now();
    launch();
    MiscompareLog found;
    runtime_.copy_to_host(&found, log_.data(), sizeof found, nullptr);
    PieceResult result;
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.bytes = bytes;
    result.miscompares = found.count;
    result.sum_wrong = found.sum != known_sum;
    result.logged.assign(found.entry, found.entry + std::min<uint32_t>(found.count, kLogged));
    return result;
  }

  Runtime runtime_;
  Arena buffer_, log_, outputs_, known_;
  int64_t outputs_count_ = 0;
};

}  // namespace plumbline::PLUMBLINE_TARGET
