#include "harness/runner.h"

#include <fmt/format.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "harness/checksum.h"
#include "harness/error.h"
#include "harness/interrupt.h"
#include "harness/options_acted.h"

namespace plumbline::harness {
namespace {

int parse_int(std::string_view text, const char* what) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw InputError(fmt::format("{}='{}': expected an integer", what, text));
  return value;
}

Shard checked(int index, int count, std::string_view text) {
  if (count < 1 || index < 0 || index >= count)
    throw InputError(fmt::format("shard '{}': expected i/n with 0 <= i < n", text));
  return {index, count};
}

// Said outright: oneTBB's own default was seen to be one thread on a machine of two cores.
size_t threads_of(const RunOptions& options) {
  return options.threads > 0 ? size_t(options.threads) : std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

CaseResult run_planned(const PlannedCase& planned, const Subject& subject, const CaseOptions& options) {
  CaseResult result = run_case(planned.problem, subject, options);
  for (int attempt = 1; attempt <= kRedraws && planned.redraw && result.verdict == Verdict::vacuous; ++attempt) {
    result = run_case(planned.redraw(attempt), subject, options);
    result.redraws = attempt;
  }
  return result;
}

std::optional<double> estimate_seconds(const CasePlan& cases, const Subject& subject, const RunOptions& options,
                                       int samples) {
  const size_t threads = threads_of(options), count = std::max(size_t(samples), threads);
  if (cases.size() < 10 * count) return std::nullopt;
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
  std::atomic<bool> failed = false;
  const auto start = std::chrono::steady_clock::now();
  tbb::parallel_for(
      size_t(0), count,
      [&](size_t i) {
        if (interrupt_signal() != 0) failed = true;
        if (failed) return;
        const PlannedCase planned = cases[i * cases.size() / count];
        try {
          run_case(planned.problem, subject, {planned.suite, planned.record_drift, options.twin, false});
        } catch (const InputError&) {
          failed = true;  // the run itself says so
        }
      },
      tbb::simple_partitioner());
  if (failed) return std::nullopt;
  const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return spent * double(cases.size()) / double(count);
}

RunSummary run_cases(const CasePlan& cases, const Subject& subject, const RunDescription& description,
                     std::span<Listener* const> listeners, const RunOptions& options) {
  using Clock = std::chrono::steady_clock;
  checksum_of(cases);  // bad input shows before anything runs or is written
  for (Listener* listener : listeners) listener->begin(description, cases.size());
  // From here: a budget is one of cases, not of what comes before the first.
  const auto start = Clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };

  RunSummary summary;
  std::mutex mutex;
  std::map<size_t, CaseResult> waiting;  // finished before one that was planned earlier
  size_t next = 0;
  std::atomic<size_t> claimed = 0;
  std::atomic<int> kept = 0;
  std::optional<std::string> input_error;
  std::atomic<uint64_t> not_begun = 0;
  const std::string spent = fmt::format("the budget of {:g} s was spent", options.budget);

  auto deliver = [&](size_t index, CaseResult result) {
    const std::lock_guard lock(mutex);
    waiting.emplace(index, std::move(result));
    for (auto at = waiting.begin(); at != waiting.end() && at->first == next; at = waiting.erase(at), ++next) {
      ++summary.verdicts[size_t(at->second.verdict)];
      summary.redrawn += at->second.redraws > 0;
      for (Listener* listener : listeners) listener->on_case(at->second);
    }
  };
  auto run_one = [&] {
    const size_t index = claimed++;
    const PlannedCase planned = cases[index];
    CaseResult result;
    const std::string interrupted = interrupt_reason();
    if (!interrupted.empty() || (options.budget > 0 && seconds() > options.budget)) {
      ++not_begun;
      result.line = to_string(planned.problem);
      result.suite = planned.suite;
      result.subject = subject.name();
      result.verdict = Verdict::skipped;
      result.reason = interrupted.empty() ? spent : interrupted;
      // What a whole run shows is counted as not shown.
      if (const auto* problem = std::get_if<Problem>(&planned.problem)) result.options = options_set(*problem);
    } else {
      try {
        result =
            run_planned(planned, subject, {planned.suite, planned.record_drift, options.twin, kept < options.evidence});
        kept += result.evidence != nullptr;
      } catch (const InputError& e) {
        // A recording that cannot be judged is an error of its own: others are judged.
        if (!std::holds_alternative<RecordedRun>(planned.problem)) {
          const std::lock_guard lock(mutex);
          if (!input_error) input_error = e.what();
          return;
        }
        result.line = to_string(planned.problem);
        result.suite = planned.suite;
        result.subject = subject.name();
        result.verdict = Verdict::error;
        result.reason = e.what();
      }
    }
    deliver(index, std::move(result));
  };

  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads_of(options));
  tbb::parallel_for(
      size_t(0), cases.size(), [&](size_t) { run_one(); }, tbb::simple_partitioner());
  if (input_error) throw InputError(*input_error);
  if (options.studies)
    options.studies(not_begun == 0, [&](const Section& section) {
      for (Listener* listener : listeners) listener->on_section(section);
    });

  summary.not_begun = not_begun;
  if (const std::string interrupted = interrupt_reason(); !interrupted.empty()) {
    summary.stopped = interrupted;
  } else if (not_begun > 0) {
    summary.stopped = spent;
    summary.part_accepted = options.accept_part;
  }
  // A draw in a thousand may meet data that show nothing; where one in fifty does, the generator is not what it says.
  if (summary.redrawn > 4 && summary.redrawn * 50 > summary.cases())
    summary.errors.push_back(fmt::format("the data of {} cases of {} could not have failed and were drawn anew",
                                         summary.redrawn, summary.cases()));
  summary.seconds = seconds();
  for (Listener* listener : listeners) listener->end(summary);
  return summary;
}

double parse_budget(const std::string& text) {
  if (text.empty()) return 0;
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const double scale = unit == "s" || unit.empty() ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (used == 0 || scale == 0 || !(value > 0))
    throw InputError(fmt::format("budget '{}': expected a time such as 60s, 10m or 2h", text));
  return value * scale;
}

Shard parse_shard(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) throw InputError(fmt::format("shard '{}': expected i/n with 0 <= i < n", text));
  return checked(parse_int(std::string_view(text).substr(0, slash), "shard"),
                 parse_int(std::string_view(text).substr(slash + 1), "shard"), text);
}

Shard shard_from_environment() {
  auto variable = [](const char* name) -> std::optional<int> {
    const char* value = std::getenv(name);
    return value && *value ? std::optional(parse_int(value, name)) : std::nullopt;
  };
  if (const auto count = variable("GTEST_TOTAL_SHARDS"), index = variable("GTEST_SHARD_INDEX"); count && index)
    return checked(*index, *count, "GTEST_SHARD_INDEX/GTEST_TOTAL_SHARDS");
  if (const auto count = variable("SLURM_ARRAY_TASK_COUNT"), index = variable("SLURM_ARRAY_TASK_ID"); count && index)
    return checked(*index - variable("SLURM_ARRAY_TASK_MIN").value_or(0), *count,
                   "SLURM_ARRAY_TASK_ID/SLURM_ARRAY_TASK_COUNT");
  return {};
}

CasePlan select_shard(const CasePlan& cases, Shard shard) {
  return shard.count == 1 ? cases : cases.every(size_t(shard.count), size_t(shard.index));
}

uint64_t checksum_of(const CasePlan& cases) {
  constexpr size_t kPiece = 4096;  // whatever the number of threads
  std::vector<uint64_t> pieces((cases.size() + kPiece - 1) / kPiece);
  tbb::parallel_for(size_t(0), pieces.size(), [&](size_t piece) {
    Checksum lines;
    for (size_t i = piece * kPiece; i < std::min(cases.size(), (piece + 1) * kPiece); ++i) {
      const AnyProblem problem = cases[i].problem;
      validate(problem);
      const std::string line = to_string(problem);
      lines.add(std::as_bytes(std::span(line)));
    }
    pieces[piece] = lines.value();
  });
  Checksum all;
  all.add(std::as_bytes(std::span(pieces)));
  return all.value();
}

}  // namespace plumbline::harness
