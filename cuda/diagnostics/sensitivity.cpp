#include "cuda/diagnostics/sensitivity.h"

#include <chrono>
#include <cmath>

namespace plumbline::diagnostics {
namespace {

using Kind = ChainFault::Kind;
constexpr int kIterations = 16;

struct Level {
  Kind kind;
  int amount;
};
std::vector<Level> levels() {
  std::vector<Level> list;
  list.reserve(32 + 23 + 2);
  for (int bit = 0; bit < 32; ++bit) list.push_back({Kind::flip, bit});
  for (int k = 1; k <= 23; ++k) list.push_back({Kind::relative, k});
  list.push_back({Kind::stuck, 0});
  list.push_back({Kind::dropped_block, 0});
  return list;
}

}  // namespace

const char* to_string(ChainFault::Kind kind) {
  constexpr const char* kNames[] = {"none", "flipped bit", "relative error", "stuck word", "dropped block"};
  return kNames[int(kind)];
}

std::vector<SensitivityRow> measure_sensitivity(SoakEngine& engine, const std::vector<float>& clean,
                                                const std::vector<float>& before, uint64_t known_hash, uint64_t seed,
                                                int each, int threads) {
  using Clock = std::chrono::steady_clock;
  uint64_t state = seed;
  const auto below = [&](uint64_t n) { return mix64(state += 0x9e3779b97f4a7c15u) % n; };
  std::vector<SensitivityRow> rows;

  engine.load_output(clean, before);
  // A fault that changes nothing is none: an element is drawn until it would change.
  const auto changes = [&](const OutputFault& fault) {
    const int64_t first =
        fault.kind == Kind::dropped_block ? fault.element / OutputFault::kTile * OutputFault::kTile : fault.element;
    const int64_t last = fault.kind == Kind::dropped_block
                             ? std::min(int64_t(clean.size()), first + OutputFault::kTile) - 1
                             : fault.element;
    for (int64_t i = first; i <= last; ++i) {
      const float value = fault.value_of(i, clean[size_t(i)], before[size_t(i)]);
      if (core::to_bits(value) != core::to_bits(clean[size_t(i)])) return true;
    }
    return false;
  };
  for (const Level& level : levels()) {
    SensitivityRow row{"output", level.kind, level.amount, 0, 0, 0, 0};
    const auto start = Clock::now();
    for (int n = 0; n < each; ++n) {
      OutputFault fault{level.kind, 0, level.amount};
      int tries = 0;
      do fault.element = int64_t(below(clean.size()));
      while (!changes(fault) && ++tries < 1000);
      if (tries == 1000) continue;
      const OutputVerdict verdict = engine.judge_output(fault, known_hash);
      ++row.injected;
      row.caught += verdict.by_hash;
      row.caught_by_tolerance += verdict.by_tolerance;
    }
    row.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    rows.push_back(std::move(row));
  }

  const auto chain_seed = uint32_t(seed);
  const std::vector<uint64_t> known = chain_answers(chain_seed, kIterations, threads);
  // So that a dropped block leaves sums of another chain behind, not those that are expected.
  engine.arithmetic(chain_seed + 1, kIterations, chain_answers(chain_seed + 1, kIterations, threads), 1, {});
  for (const Level& level : levels()) {
    SensitivityRow row{"register", level.kind, level.amount, 0, 0, 0, 0};
    const auto start = Clock::now();
    for (int n = 0; n < each; ++n) {
      ChainFault fault{level.kind,
                       int(below(uint64_t(engine.blocks()))),
                       int(below(kChainThreads)),
                       int(below(kIterations)),
                       int(below(kResident)),
                       level.amount};
      if (level.kind == Kind::dropped_block) engine.arithmetic(chain_seed + 1, kIterations, known, 1, {});
      const PieceResult piece = engine.arithmetic(chain_seed, kIterations, known, 1, fault);
      ++row.injected;
      row.caught += !piece.good();
    }
    row.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace plumbline::diagnostics
