// Judging a case of 64 x 64 elements and 3 steps on one core: cases per second, and where their time goes. "judged"
// leaves out the making of inputs and the subject's own steps: what remains is reference, contracts and comparison.
#include <benchmark/benchmark.h>

#include <stdexcept>
#include <string>

#include "harness/case.h"

namespace plumbline::harness {
namespace {

void judge(benchmark::State& state, const std::string& line, bool global) {
  const Problem problem = parse_problem(line);
  const auto host = make_subject("host");
  CaseTimes times;
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    const CaseResult result = run_case(problem, *host, {.global = global});
    if (result.verdict != Verdict::pass) throw std::runtime_error(result.reason);
    times.generate += result.times.generate;
    times.reference += result.times.reference;
    times.contract += result.times.contract;
    times.subject += result.times.subject;
    times.compare += result.times.compare;
  }
  const auto cases = double(state.iterations());
  state.SetItemsProcessed(state.iterations());  // cases
  const double judged = times.reference + times.contract + times.compare;
  state.counters["judged/s"] = cases / judged;
  const auto microseconds = [&](double seconds) { return 1e6 * seconds / cases; };
  state.counters["inputs_us"] = microseconds(times.generate);
  state.counters["reference_us"] = microseconds(times.reference);
  state.counters["bounds_us"] = microseconds(times.contract);
  state.counters["subject_us"] = microseconds(times.subject);
  state.counters["comparison_us"] = microseconds(times.compare);
}

struct Row {
  const char *name, *options;
};
constexpr Row kRows[] = {
    {"factored/al8", ""},
    {"factored/fp32", "storage=fp32"},
    {"factored/bf16", "param=bf16 grad=bf16"},
    {"full/al8", "factored=false"},
    {"full/linear_u8", "factored=false storage=linear_u8"},
    {"momentum/uf4", "beta1=0.9 momentum_storage=uf4"},
    {"came/uf4", "beta1=0.9 momentum_storage=uf4 momentum_of=update beta3=0.99"},
    {"projected/uf4", "beta1=0.9 momentum_storage=uf4 projection_rank=8"},
};

[[maybe_unused]] const bool registered = [] {
  for (const Row& row : kRows)
    for (const bool global : {false, true}) {
      const std::string line = std::string("shape=64x64 min_quantized_size=1 steps=3 seed=7 ") + row.options;
      benchmark::RegisterBenchmark((std::string(global ? "local+global/" : "local/") + row.name).c_str(),
                                   [=](benchmark::State& s) { judge(s, line, global); })
          ->Unit(benchmark::kMicrosecond);
    }
  return true;
}();

}  // namespace
}  // namespace plumbline::harness

BENCHMARK_MAIN();
