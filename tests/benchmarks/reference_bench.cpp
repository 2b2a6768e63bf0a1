// Time of one reference step per element, one core. Goal: <= 4 ns with a record at 256^2 and 2048^2.
#include <benchmark/benchmark.h>

#include "reference/dialects/plumbline.h"

namespace plumbline::reference {
namespace {

void step(benchmark::State& state, bool recorded, bool factored, bool keep_gradient = true) {
  const int64_t n = state.range(0);
  PlumblineOptions options;
  options.factored = factored;
  Optimizer optimizer = make_plumbline(options, {n, n});
  Tensor p({n, n}), g({n, n});
  p.data.setRandom();
  g.data.setRandom();
  StepRecord record;
  record.keep_gradient = keep_gradient;
  for (auto _ : state) {
    optimizer.step(p, g, recorded ? &record : nullptr);
    benchmark::DoNotOptimize(p.data.data());
  }
  state.counters["s_per_element"] = benchmark::Counter(static_cast<double>(state.iterations() * n * n),
                                                       benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void factored_step(benchmark::State& state) { step(state, false, true); }
void factored_step_recorded(benchmark::State& state) { step(state, true, true); }
void factored_step_recorded_but_gradient(benchmark::State& state) { step(state, true, true, false); }
void full_step_recorded(benchmark::State& state) { step(state, true, false); }

BENCHMARK(factored_step)->Arg(256)->Arg(2048);
BENCHMARK(factored_step_recorded)->Arg(256)->Arg(2048);
BENCHMARK(factored_step_recorded_but_gradient)->Arg(256)->Arg(2048);
BENCHMARK(full_step_recorded)->Arg(256)->Arg(2048);

}  // namespace
}  // namespace plumbline::reference
