// The command that asks whether the suite can fail.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "harness/command.h"
#include "harness/error.h"
#include "harness/live/mutants.h"
#include "harness/mutants.h"
#include "harness/study.h"
#include "properties/kill_matrix.h"
#include "properties/thresholds.h"

namespace plumbline::properties {
namespace {

struct Options {
  harness::StudyOptions study;
  std::string subject;
  bool every = false, matrix_alone = false;
  std::vector<std::string> ids;
  harness::live::LiveOptions live;
  size_t cases = 300;
};

// The program beside this one that was linked with mutants takes over, with the same words.
[[noreturn]] void hand_over(const std::string& name) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
  std::vector<std::string> words;
  {
    std::FILE* file = std::fopen("/proc/self/cmdline", "rb");
    std::string word;
    for (int c = 0; file != nullptr && (c = std::fgetc(file)) != EOF;) {
      if (c != 0) {
        word += char(c);
        continue;
      }
      words.push_back(word);
      word.clear();
    }
    if (file != nullptr) std::fclose(file);
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(program.c_str(), arguments.data());
  throw harness::InputError(fmt::format("{}: not there; it is built as the target {}", program.string(), name));
}

void print_row(const MutantResult& r) {
  if (r.killed()) {
    const Kill& k = r.kills.front();
    fmt::print("{:28} {:9} killed by {:20} {:24} {:6} cases {:9.1f} ms", r.id, r.subject, k.check,
               k.stage.substr(0, 24), k.cases, k.milliseconds);
    if (!r.id.starts_with("w8a8/"))
      fmt::print("   default tolerances: {}", r.default_notices.empty() ? "pass" : "fail");
    fmt::print("\n");
  } else {
    fmt::print("{:28} {:9} SURVIVES {} cases{}\n", r.id, r.subject, r.cases,
               r.changes_output ? "" : ": changes no output");
  }
  std::fflush(stdout);
}

int run_live(const Options& o, const std::string& line) {
  using namespace harness::live;
  const LiveSubject subject(o.subject, o.live);
  const LivePlan plan(subject, o.cases, o.study.seed);
  return harness::report_study("mutants", o.subject, line, o.study, [&](harness::Listener& report) {
    report.on_section(describe_live_mutants(run_live_mutants(subject, plan, [&](const LiveKill& kill) {
      if (o.study.quiet) return;
      fmt::print("{:36} {:8} {:28} {:5} cases   {}\n", kill.fault,
                 kill.killed    ? "noticed"
                 : kill.changes ? "SURVIVES"
                                : "no change",
                 kill.stage, kill.cases,
                 !kill.killed    ? ""
                 : kill.allclose ? "assert_close: notices"
                                 : "assert_close: passes");
      std::fflush(stdout);
    })));
  });
}

int run(const Options& o, const std::string& line) {
  if (harness::live::names_live_subject(o.subject)) return run_live(o, line);
  if (!harness::mutants_built(o.subject))
    hand_over(o.subject == "cuda" ? "plumbline-mutants-cuda" : "plumbline-mutants");
  // what the kernels alone have is run by the emulator
  std::vector<std::string> subjects = {o.subject};
  if (o.subject.empty()) subjects = {"host", "emulator"};
  return harness::report_study(
      "mutants", o.subject.empty() ? "host, emulator" : o.subject, line, o.study, [&](harness::Listener& report) {
        std::vector<MutantResult> all;
        for (const std::string& subject : subjects) {
          MatrixOptions matrix;
          matrix.seed = o.study.seed;
          matrix.every_check = o.every;
          matrix.ids = o.ids;
          if (!o.study.quiet) matrix.done = print_row;
          if (o.subject.empty() && subject == "emulator") matrix.kernels_alone = true;
          for (MutantResult& r : run_mutants(subject, matrix)) all.push_back(std::move(r));
        }
        report.on_section(describe_mutants(all));
        if (!o.ids.empty() || o.matrix_alone) return;
        report.on_section(
            describe_thresholds(measure_thresholds(*harness::make_subject(subjects.front()), o.study.seed)));
      });
}

const harness::RegisterCommand kCommand(
    {"mutants", "run the quick suite against deliberate faults: which check notices each", [](CLI::App& app) {
       const auto o = std::make_shared<Options>();
       app.add_option("ids", o->ids, "faults to run (default: all)");
       app.add_option("--subject", o->subject,
                      "host, emulator or cuda (default: host, and the emulator for what kernels alone have); or a live "
                      "subject, ./libmine.so or python:module:Class: faults between it and its judge");
       app.add_option("--cases", o->cases, "of a live subject: cases to draw")
           ->capture_default_str()
           ->check(CLI::PositiveNumber);
       app.add_option("--dialect", o->live.dialect, "of a live subject that does not say: the rule to judge it by");
       harness::add_seed(app, o->study.seed, "of the draws");
       app.add_flag("--every", o->every, "do not stop at the first check that notices a fault");
       app.add_flag("--matrix-alone", o->matrix_alone, "without the detection thresholds");
       harness::add_study_options(app, o->study);
       return [o](const std::string& line) { return run(*o, line); };
     }});

}  // namespace
}  // namespace plumbline::properties
