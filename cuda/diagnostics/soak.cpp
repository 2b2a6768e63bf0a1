#include "cuda/diagnostics/soak.h"

#include <chrono>
#include <map>
#include <span>
#include <thread>

namespace plumbline::diagnostics {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Sizes of one round's pieces: tens of milliseconds each on an H100.
constexpr int kChainIterations = 64, kChainLaunches = 120, kBurstLaunches = 6, kBursts = 12;
constexpr int kTensorIterations = 512, kTensorLaunches = 60, kSharedTimes = 1500, kCacheTimes = 1500;
constexpr uint32_t kSeeds = 8;  // different chains; their answers are kept
constexpr auto kIdle = std::chrono::milliseconds(3);
constexpr size_t kFindings = 100;

class Soak {
 public:
  Soak(SoakEngine& engine, const Monitor& monitor, const SoakPlan& plan, const OptimizerCheck& optimizer,
       SoakEngine* other, const SoakProgress& progress)
      : engine_(engine), monitor_(monitor), plan_(plan), optimizer_(optimizer), other_(other), progress_(progress) {}

  SoakResult run() {
    result_.first = result_.last = monitor_.read();
    result_.memory_bytes = engine_.memory_bytes();
    try {
      begin();
      while (result_.stopped.empty() && since(start_) < plan_.seconds) round();
    } catch (const std::exception& e) {
      result_.stopped = std::string("the device failed: ") + e.what();
    }
    const PhaseTotal& memory = result_.phases[size_t(Phase::memory)];
    result_.memory_rate = memory.seconds > 0 ? double(memory.bytes) / memory.seconds : 0;
    result_.seconds = since(start_);
    result_.last = monitor_.read();
    return std::move(result_);
  }

 private:
  void begin() {
    engine_.copy();  // the first touches pages and starts clocks
    measure_copy();
  }
  // The rate that the memory phase is measured by; taken again now and then, since clocks move.
  void measure_copy() {
    for (int i = 0; i < 3; ++i) {
      const PieceResult copied = engine_.copy();
      result_.copy_rate = std::max(result_.copy_rate, double(copied.bytes) / copied.seconds);
    }
    engine_.fill(pattern_);
  }

  void round() {
    static constexpr Phase kAll[] = {Phase::memory, Phase::arithmetic, Phase::cache,     Phase::shared, Phase::tensor,
                                     Phase::memory, Phase::arithmetic, Phase::optimizer, Phase::bursts};
    static constexpr Phase kSwing[] = {Phase::bursts};
    const std::span<const Phase> phases =
        plan_.bursts_only ? std::span<const Phase>(kSwing) : std::span<const Phase>(kAll);
    for (const Phase phase : phases) {
      if (!result_.stopped.empty() || since(start_) >= plan_.seconds) return;
      visit(phase);
    }
    constexpr uint64_t kEvery = 32;
    if (++result_.rounds % kEvery == 1 && !plan_.bursts_only) measure_copy();
    check_state();
    if (result_.stopped.empty() && progress_ && !progress_(result_)) result_.stopped = "stopped by request";
  }

  void visit(Phase phase) {
    if (phase == Phase::tensor && !engine_.has_tensor()) return;
    if (phase == Phase::optimizer) return visit_optimizer();
    const bool inject = plan_.inject == phase && !injected_ && result_.rounds > 0;
    injected_ |= inject;
    const PieceResult piece = run_piece(engine_, phase, inject, pattern_);
    PhaseTotal& total = result_.phases[size_t(phase)];
    ++total.runs;
    total.bytes += piece.bytes;
    total.results += piece.results;
    total.seconds += piece.seconds;
    total.miscompares += piece.miscompares;
    result_.miscompares += piece.miscompares;
    if (phase == Phase::memory) pattern_ = next_of(pattern_);
    if (!piece.good()) report(phase, piece);
  }

  void visit_optimizer() {
    if (!optimizer_) return;
    const auto start = Clock::now();
    const auto wrong = optimizer_(result_.rounds);
    PhaseTotal& total = result_.phases[size_t(Phase::optimizer)];
    ++total.runs;
    total.seconds += since(start);
    if (!wrong) return;
    ++total.miscompares;
    ++result_.miscompares;
    Finding finding = finding_of(Phase::optimizer);
    finding.what = *wrong;
    finding.again_here = 0;
    for (int i = 0; i < SoakPlan::kRepeats; ++i) finding.again_here += optimizer_(result_.rounds).has_value();
    keep(std::move(finding));
  }

  // A pattern, its complement, then another.
  Pattern next_of(const Pattern& p) const {
    return p.inverted == 0 ? p.complement() : pattern_of(mix64(p.first ^ plan_.seed));
  }

  PieceResult run_piece(SoakEngine& engine, Phase phase, bool inject, const Pattern& pattern) {
    const uint32_t seed = uint32_t(plan_.seed) * 0x01000193u + uint32_t(result_.rounds % kSeeds);
    switch (phase) {
      case Phase::memory:
        if (inject) engine.flip(engine.memory_bytes() / 3 + 5, 6);
        return engine.exchange(pattern, next_of(pattern));
      case Phase::cache: {
        if (inject) engine.flip(std::min(engine.memory_bytes(), plan_.cache_bytes) / 3, 1);
        PieceResult result = engine.reread(pattern, plan_.cache_bytes, kCacheTimes);
        if (inject) engine.flip(std::min(engine.memory_bytes(), plan_.cache_bytes) / 3, 1);
        return result;
      }
      case Phase::shared:
        return engine.shared(pattern, kSharedTimes);
      case Phase::tensor: {
        std::vector<uint64_t>& known = tensor_known_[seed];
        if (known.empty()) known = tensor_answers(seed, kTensorIterations);
        return engine.tensor(seed, kTensorIterations, known, kTensorLaunches);
      }
      case Phase::arithmetic: {
        ChainFault fault;
        if (inject) fault = {ChainFault::Kind::flip, engine.blocks() / 2, 77, kChainIterations / 2, 5, 3};
        return engine.arithmetic(seed, kChainIterations, chain_known(seed), kChainLaunches, fault);
      }
      case Phase::bursts: {
        PieceResult all;
        for (int i = 0; i < kBursts; ++i) {
          PieceResult one = engine.arithmetic(seed, kChainIterations, chain_known(seed), kBurstLaunches, {});
          all.miscompares += one.miscompares;
          all.sum_wrong |= one.sum_wrong;
          all.seconds += one.seconds;
          all.results += one.results;
          all.logged.insert(all.logged.end(), one.logged.begin(), one.logged.end());
          std::this_thread::sleep_for(kIdle);
        }
        return all;
      }
      case Phase::optimizer:
        break;
    }
    return {};
  }
  const std::vector<uint64_t>& chain_known(uint32_t seed) {
    std::vector<uint64_t>& known = chain_known_[seed];
    if (known.empty()) known = chain_answers(seed, kChainIterations, plan_.threads);
    return known;
  }

  Finding finding_of(Phase phase) const {
    Finding finding;
    finding.phase = phase;
    finding.round = result_.rounds;
    finding.at = since(start_);
    finding.reading = monitor_.read();
    return finding;
  }
  void keep(Finding finding) {
    if (result_.findings.size() < kFindings) result_.findings.push_back(std::move(finding));
  }

  // The pieces again from the start, on a device; how often they fail.
  int repeat(SoakEngine& engine, Phase phase) {
    const Pattern pattern = pattern_of(mix64(plan_.seed + result_.rounds));
    int failed = 0;
    for (int i = 0; i < SoakPlan::kRepeats; ++i) {
      if (phase == Phase::memory || phase == Phase::cache) engine.fill(pattern);
      failed += !run_piece(engine, phase, false, pattern).good();
    }
    return failed;
  }

  void report(Phase phase, const PieceResult& piece) {
    Finding finding = finding_of(phase);
    finding.again_here = repeat(engine_, phase);
    if (other_ != nullptr) finding.again_elsewhere = repeat(*other_, phase);
    if (piece.logged.empty()) {
      ++result_.miscompares;
      ++result_.phases[size_t(phase)].miscompares;
      finding.what = "the sum of all words is wrong, and no word was seen to be";
      keep(finding);
    }
    for (const Miscompare& word : piece.logged) {
      finding.word = word;
      keep(finding);
    }
    engine_.fill(pattern_);
  }

  void check_state() {
    const Reading now = monitor_.read();
    if (now.temperature) result_.hottest = std::max(result_.hottest, *now.temperature);
    if (result_.miscompares >= plan_.stop_after) {
      result_.stopped = std::to_string(result_.miscompares) + " miscompares";
    } else if (now.temperature && *now.temperature >= plan_.stop_temperature) {
      result_.stopped = "the GPU is at " + std::to_string(*now.temperature) + " degrees Celsius";
    } else if (now.uncorrected && result_.first.uncorrected && *now.uncorrected > *result_.first.uncorrected) {
      result_.stopped = "an uncorrectable ECC error";
    }
  }

  SoakEngine& engine_;
  const Monitor& monitor_;
  const SoakPlan& plan_;
  const OptimizerCheck& optimizer_;
  SoakEngine* other_;
  const SoakProgress& progress_;
  SoakResult result_;
  Clock::time_point start_ = Clock::now();
  Pattern pattern_ = pattern_of(plan_.seed);
  bool injected_ = false;
  std::map<uint32_t, std::vector<uint64_t>> chain_known_, tensor_known_;
};

}  // namespace

const char* to_string(Phase phase) {
  constexpr const char* kNames[] = {"memory", "cache", "shared memory", "arithmetic", "tensor", "bursts", "optimizer"};
  return kNames[int(phase)];
}

SoakResult run_soak(SoakEngine& engine, const Monitor& monitor, const SoakPlan& plan, const OptimizerCheck& optimizer,
                    SoakEngine* other, const SoakProgress& progress) {
  return Soak(engine, monitor, plan, optimizer, other, progress).run();
}

}  // namespace plumbline::diagnostics
