// plumbline drift
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <thread>

#include "harness/command.h"
#include "harness/data.h"
#include "harness/drift/stored_reference.h"
#include "harness/drift/study.h"
#include "harness/drift/training.h"
#include "harness/error.h"
#include "harness/study.h"
#include "harness/trace.h"

namespace plumbline::harness {
namespace {

struct DriftOptions {
  StudyOptions study;
  std::string trace = "digits_cnn", subject = "host", options;
  std::vector<std::string> storages = {"fp32", "al16", "al8", "log_u8", "linear_u8"}, trainings = {"none"};
  int64_t steps = 10000, closed_steps = 2000;
  int seeds = 5, threads = 0;
};

// "al8" or "al8 block=64": words of a problem, the first of them the storage.
std::vector<Variant> make_variants(const DriftOptions& o) {
  std::vector<Variant> variants;
  for (const std::string& storage : o.storages) {
    // its own words come first: a word that is given twice is an error of parse_problem
    Variant variant{storage, parse_problem("min_quantized_size=1 storage=" + storage + " " + o.options)};
    variants.push_back(std::move(variant));
  }
  return variants;
}

// Runs done of how many, rewritten in place on a terminal and nowhere else.
class Counter {
 public:
  Counter(std::string what, size_t all, bool quiet) : what_(std::move(what)), all_(all), shown_(!quiet && isatty(2)) {}
  ~Counter() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
  }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  void operator()() {
    ++done_;
    if (shown_) fmt::print(stderr, "\r{}: {} of {} runs", what_, done_, all_);
  }

 private:
  std::string what_;
  size_t all_, done_ = 0;
  bool shown_;
};

void print_tables(const Section& section) {
  fmt::print("{}\n", section.title);
  for (const Table& table : section.tables) {
    std::vector<std::vector<std::string>> cells{table.columns};
    for (const auto& row : table.rows) {
      cells.emplace_back();
      for (const Cell& cell : row)
        cells.back().push_back(std::visit(
            [](const auto& v) -> std::string {
              if constexpr (std::is_same_v<std::decay_t<decltype(v)>, double>)
                return std::isnan(v) ? "" : fmt::format("{:.3g}", v);
              else
                return fmt::format("{}", v);
            },
            cell));
    }
    std::vector<size_t> widths(table.columns.size());
    for (const auto& row : cells)
      for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
    for (const auto& row : cells) {
      for (size_t c = 0; c < row.size(); ++c) fmt::print("{:<{}}  ", row[c], widths[c]);
      fmt::print("\n");
    }
  }
  fmt::print("\n");
}

int run(const DriftOptions& o, const std::string& line) {
  const auto variants = make_variants(o);
  std::vector<std::string> trainings = o.trainings;
  if (trainings == std::vector<std::string>{"all"}) trainings = training_names();
  if (trainings == std::vector<std::string>{"none"}) trainings.clear();
  for (const std::string& name : trainings) make_training(name, 1);  // a wrong name shows before anything runs
  const auto subject = o.subject == "reference" ? make_stored_reference() : make_subject(o.subject);
  if (o.subject == "reference" && o.trace != "none")
    throw InputError("--subject reference: shows no state to follow, expected --trace none and --closed");
  if (o.trace != "none") Trace::shared(trace_path(o.trace));
  const size_t threads = o.threads > 0 ? size_t(o.threads) : std::max(1u, std::thread::hardware_concurrency());
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);

  return report_study("drift", subject->name(), line, o.study, [&](Listener& report) {
    const auto tell = [&](const Section& section) {
      if (!o.study.quiet) print_tables(section);
      report.on_section(section);
    };
    if (o.trace != "none") {
      const size_t tensors = Trace::shared(trace_path(o.trace))->tensors().size();
      std::vector<OpenLoopRun> runs;
      {
        Counter counter("open loop", variants.size() * tensors, o.study.quiet);
        runs = run_open_loop(o.trace, variants, *subject, o.steps, [&] { counter(); });
      }
      for (const OpenLoopRun& one : runs) report.on_case(one.result);
      tell(describe_open_loop(o.trace, o.steps, runs));
    }
    for (const std::string& name : trainings) {
      ClosedLoop loop;
      {
        Counter counter(name, closed_loop_runs(variants, o.seeds), o.study.quiet);
        loop = run_closed_loop(name, variants, *subject, o.closed_steps, o.study.seed, o.seeds, [&] { counter(); });
      }
      tell(describe_closed_loop(loop, o.seeds));
    }
  });
}

const RegisterCommand kDrift(
    {"drift", "what quantized state does to averages and to trainings over thousands of steps", [](CLI::App& app) {
       const auto o = std::make_shared<DriftOptions>();
       app.add_option("--trace", o->trace,
                      "recorded gradients, repeated as often as needed; "
                      "none leaves the open loop out")
           ->capture_default_str();
       app.add_option("--steps", o->steps, "of the open loop")
           ->capture_default_str()
           ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
       app.add_option("--storage", o->storages, "storages to compare, such as al8,log_u8")
           ->capture_default_str()
           ->delimiter(',')
           ->allow_extra_args(false);
       app.add_option(
              "--closed", o->trainings,
              fmt::format("trainings to run in a closed loop: {}, all or none", fmt::join(training_names(), ", ")))
           ->capture_default_str()
           ->delimiter(',')
           ->allow_extra_args(false);
       app.add_option("--closed-steps", o->closed_steps, "of each training")
           ->capture_default_str()
           ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
       app.add_option("--seeds", o->seeds, "trainings per storage")->capture_default_str()->check(CLI::Range(2, 1000));
       add_seed(app, o->study.seed, "the first of them");
       app.add_option("--subject", o->subject,
                      "host, emulator or cuda; reference: double, stored by the reference's codecs")
           ->capture_default_str();
       app.add_option("--threads", o->threads, "cores to use (0: all)")
           ->capture_default_str()
           ->check(CLI::NonNegativeNumber);
       app.add_option("options", o->options, "options for every storage, such as 'beta2=0.999 clip=0'");
       add_study_options(app, o->study);
       return [o](const std::string& line) { return run(*o, line); };
     }});

}  // namespace
}  // namespace plumbline::harness
