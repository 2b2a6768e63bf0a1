// The judge over recorded runs: honest replays in short arithmetic pass, whatever the order of their sums; faults fail.
#include "harness/recorded.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "harness/error.h"
#include "harness/judge_traces.h"
#include "tests/harness/float_peers.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> recorded_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(CONFORMANCE_FOLDER)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

struct Verdicts {
  int cases = 0, pass = 0, marginal = 0, vacuous = 0, fail = 0;
  double largest = 0;
  std::string first_fail;
  std::map<Quantity, RatioHistogram> ratios;
};

Verdicts judged(const Trace& trace, const RecordedRun& how = {}) {
  Verdicts out;
  for (const auto& tensor : trace.tensors()) {
    RecordedRun run = how;
    run.tensor = tensor.name;
    const CaseResult result = judge_recorded(trace, run);
    ++out.cases;
    out.pass += result.verdict == Verdict::pass;
    out.marginal += result.verdict == Verdict::marginal;
    out.vacuous += result.verdict == Verdict::vacuous;
    if (result.verdict == Verdict::fail && out.fail++ == 0) out.first_fail = result.reason;
    for (const QuantityResult& q : result.quantities) {
      out.ratios[q.quantity].merge(q.ratios);
      out.largest = std::max(out.largest, q.ratios.largest);
    }
  }
  return out;
}

Verdicts judged(const fs::path& file, const Replay& how, const RecordedRun& run = {}) {
  return judged(Trace(SafeTensors::parse(as_bytes(replay(Trace::read(file), how).bytes()), file.stem())), run);
}

TEST(Explore, All) {
  for (const auto& file : recorded_files()) {
    std::string line = fmt::format("{:28}", file.stem().string());
    auto show = [&](const char* name, const Replay& how, const RecordedRun& run = {}) {
      const Verdicts v = judged(file, how, run);
      line += fmt::format(" | {} {}/{}/{}/{} {:.2f}", name, v.pass, v.marginal, v.vacuous, v.fail, v.largest);
      return v;
    };
    Verdicts v;
    v = show("f32", {});
    if (v.fail) line += v.first_fail;
    v = show("pair", {.summation = Summation::pairwise});
    if (v.fail) line += v.first_fail;
    v = show("f32hyp", {.float32_hyperparameters = true});
    if (v.fail) line += v.first_fail;
    v = show("noState", {.record_state = false});
    if (v.fail) line += v.first_fail;
    v = show("bf16param", {.parameter = DType::bfloat16});
    if (v.fail) line += v.first_fail;
    v = show("bf16", {.parameter = DType::bfloat16, .state = DType::bfloat16}, {"", "", DType::float32});
    if (v.fail) line += v.first_fail;
    v = show("bf16arith", {.results = DType::bfloat16, .parameter = DType::bfloat16, .state = DType::bfloat16});
    if (v.fail) line += v.first_fail;
    v = show("f16param", {.parameter = DType::float16});
    if (v.fail) line += v.first_fail;
    line += "\n   FAULTS ";
    for (const auto& [name, fault] : {std::pair("skip", Fault::step_skipped), std::pair("b1", Fault::beta1),
                                      std::pair("b2", Fault::beta2), std::pair("b3", Fault::beta3),
                                      std::pair("eps1", Fault::eps1_tenfold), std::pair("stale", Fault::column_stale)})
      for (const bool state : {true, false}) {
        const Verdicts w = judged(file, {.record_state = state, .fault = fault});
        line += fmt::format(" | {}{} {}/{}", name, state ? "" : "-p", w.fail, w.cases);
      }
    fmt::print("{}\n", line);
  }
}

}  // namespace
}  // namespace plumbline::harness
