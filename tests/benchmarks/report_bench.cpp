// What reporting costs: a case gathered, 1e5 cases written, 64 shards read and merged.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <vector>

#include "reports/html.h"
#include "reports/json.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/merge.h"
#include "reports/read.h"

namespace plumbline::reports {
namespace {

constexpr int kCases = 100'000;

harness::CaseResult made_case(int i) {
  harness::CaseResult c;
  c.line = fmt::format("shape={}x129 grad=bf16 storage=al8 block=128 min_quantized_size=1 clip=0.5 steps=3 seed={}",
                       i % 97, i);
  c.suite = "generated";
  c.subject = "host";
  c.elements = i % 97 * 129;
  c.steps = 3;
  c.bits = uint64_t(i) * 0x9e3779b97f4a7c15u + 1;
  for (int q = 0; q < 20; ++q) {
    harness::QuantityResult& quantity = c.quantities.emplace_back();
    quantity.quantity = static_cast<harness::Quantity>(q);
    for (int k = 0; k < 20; ++k) quantity.ratios.add(double((i * 31 + q * 7 + k) % 1000) / 1001);
    quantity.worst = {1, 2, 1.5, 1.25, 0.5, quantity.ratios.largest};
  }
  for (const char* option : {"clip=on", "storage=al8", "grad=bf16", "param=f32", "moment=factored", "data=gaussian"})
    c.options.push_back({option, true});
  c.times = {1e-4, 2e-4, 1e-4, 2e-4, 1e-3};
  return c;
}

Summary made(int shard, int shards) {
  Summary s;
  harness::RunDescription run;
  run.shard = shard;
  run.shards = shards;
  run.suite_cases = kCases;
  s.begin(run, kCases / uint64_t(shards));
  harness::RunSummary end;
  for (int i = shard; i < kCases; i += shards) {
    s.add(made_case(i));
    ++end.verdicts[0];
  }
  s.finish(end);
  return s;
}

void GatherACase(benchmark::State& state) {
  std::vector<harness::CaseResult> cases;
  for (int i = 0; i < 1000; ++i) cases.push_back(made_case(i));
  Summary s;
  size_t i = 0;
  for (auto _ : state) s.add(cases[i++ % cases.size()]);
}
BENCHMARK(GatherACase)->Iterations(kCases);

void WriteAHundredThousandCases(benchmark::State& state) {
  const Summary s = made(0, 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(write_json(s));
    benchmark::DoNotOptimize(write_junit(s));
    benchmark::DoNotOptimize(write_markdown(s));
    benchmark::DoNotOptimize(write_html(s));
  }
}
BENCHMARK(WriteAHundredThousandCases)->Unit(benchmark::kMillisecond)->Iterations(3);

void ReadAndMerge64Shards(benchmark::State& state) {
  std::vector<std::string> texts;
  for (int i = 0; i < 64; ++i) texts.push_back(write_json(made(i, 64)));
  for (auto _ : state) {
    std::vector<NamedSummary> parts;
    for (const std::string& text : texts) parts.push_back({"part", parse_report(text, "part")});
    const Summary whole = merge_reports(std::move(parts));
    benchmark::DoNotOptimize(write_json(whole));
    benchmark::DoNotOptimize(write_html(whole));
  }
}
BENCHMARK(ReadAndMerge64Shards)->Unit(benchmark::kMillisecond)->Iterations(3);

}  // namespace
}  // namespace plumbline::reports
