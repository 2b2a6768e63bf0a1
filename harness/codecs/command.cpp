// plumbline codecs: the ways of storing optimizer state, side by side.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/codecs/sections.h"
#include "harness/codecs/study.h"
#include "harness/command.h"
#include "harness/conformance.h"
#include "harness/section_text.h"
#include "harness/study.h"

namespace plumbline::harness {
namespace {

struct Options {
  StudyOptions study;
  std::vector<std::string> traces;
  int threads = 0;
  bool all = false;
};

void add_options(CLI::App& app, Options& o) {
  add_study_options(app, o.study);
  app.add_option(
      "traces", o.traces,
      "recorded trainings or optimizers, files or folders, whose states are stored (default: the project's own)");
  add_seed(app, o.study.seed, "of what is drawn");
  app.add_option("--threads", o.threads, "cores to use (0: all)")->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_flag("--all", o.all, "print every table, also those of every figure and its bound");
}

codecs::Study study_with_progress(codecs::StudyInputs inputs, const Options& o) {
  codecs::RunOptions run;
  run.seed = o.study.seed;
  run.threads = o.threads;
  const bool progress = !o.study.quiet && isatty(fileno(stderr)) == 1;
  if (progress)
    run.progress = [](size_t done, size_t planned) {
      fmt::print(stderr, "\r{}/{} rows\x1b[K", done, planned);
      std::fflush(stderr);
    };
  codecs::Study study = codecs::run_study(std::move(inputs), run);
  if (progress) std::fputs("\r\x1b[K", stderr);
  return study;
}

int run_codecs(const Options& o, const std::string& line) {
  auto inputs = codecs::read_inputs(o.traces.empty() ? codecs::default_traces() : trace_files(o.traces));
  return report_study("codecs", "reference", line, o.study, [&](Listener& report) {
    const codecs::Study study = study_with_progress(std::move(inputs), o);
    for (const Section& section : codecs::study_sections(study)) {
      report.on_section(section);
      const auto shown = o.all || !section.green ? TablesShown::all : TablesShown::first;
      if (!o.study.quiet) fmt::print("{}\n", section_text(section, shown));
    }
  });
}

const RegisterCommand kCodecs{
    {"codecs", "study the ways of storing optimizer state: error, memory, drift", [](CLI::App& app) {
       const auto options = std::make_shared<Options>();
       add_options(app, *options);
       return [options](const std::string& line) { return run_codecs(*options, line); };
     }}};

}  // namespace
}  // namespace plumbline::harness
