// plumbline: the command line. Exit code 0: all good; 1: something failed or was vacuous, or was cut short, or a bundle
// was not reproduced; 2: usage or input error; 130, 143: stopped by Ctrl-C, SIGTERM.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <random>
#include <set>

#include "harness/bundle.h"
#include "harness/case.h"
#include "harness/command.h"
#include "harness/conformance.h"
#include "harness/data_folder.h"
#include "harness/environment.h"
#include "harness/error.h"
#include "harness/interrupt.h"
#include "harness/judge_traces.h"
#include "harness/live/suite.h"
#include "harness/machine.h"
#include "harness/manual.h"
#include "harness/quoted.h"
#include "harness/runner.h"
#include "harness/study.h"
#include "harness/suggest.h"
#include "harness/terminal.h"

namespace plumbline::harness {
namespace {

constexpr int kRed = 1, kUsage = 2;

struct CommonOptions {
  std::string subject;  // empty: the best one here
  std::string report;   // folder; empty: the command's own
  bool quiet = false;
  uint64_t seed = 1;
  int threads = 0;
  int bundles = 20;
  bool accept_part = false;  // what a budget cuts short may be green
  bool require_proof = false;
};

void add_report(CLI::App& command, CommonOptions& o) {
  command.add_option("--report", o.report,
                     fmt::format("folder for the reports (default: {})", default_report(command.get_name())));
  command.add_option("--threads", o.threads, "cores to use (0: all)")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command.add_option("--bundles", o.bundles, "failing cases whose bits are kept beside the report")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--quiet", o.quiet, "no progress, no summary");
}

constexpr const char* kSubjectHelp =
    "host, emulator or cuda (default: cuda with a GPU, else host); of anyone: ./libmine.so (plumbline_subject.h) or "
    "python:package.module:Class";

void add_common(CLI::App& command, CommonOptions& o) {
  command.add_option("--subject", o.subject, kSubjectHelp);
  add_report(command, o);
}

void add_live(CLI::App& command, live::LiveOptions& o) {
  command.add_option("--dialect", o.dialect, "of a live subject that does not say: the rule to judge it by");
  command.add_option("--time-limit", o.worker.step_seconds, "of a live subject: seconds for one answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
}

std::unique_ptr<Subject> choose_subject(const CommonOptions& o, const live::LiveOptions& live) {
  if (live::names_live_subject(o.subject)) return std::make_unique<live::LiveSubject>(o.subject, live);
  if (!o.subject.empty()) return make_subject(o.subject);
  const std::string why = subject_unavailable("cuda");
  if (why.empty()) return make_subject("cuda");
  if (!o.quiet) fmt::print(stderr, "no GPU here ({}): the host twin is the subject\n", why);
  return make_subject("host");
}

// The kernels promise the bits of the host twin, on a GPU and under the emulator.
std::unique_ptr<Subject> twin_of(const Subject& subject) {
  const std::string name = subject.name();
  return name == "host" || name == "recorded" || live::names_live_subject(name) ? nullptr : make_subject("host");
}

// What repeats the run: without what changes no result, so that the parts of a sharded run have it in common.
std::string command_line(int argc, char** argv) {
  std::string text = "plumbline";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--quiet" || word.starts_with("--report=") || word.starts_with("--shard=") ||
        word.starts_with("--threads=") || word.starts_with("--bundles="))
      continue;
    if (word == "--report" || word == "--shard" || word == "--threads" || word == "--bundles") {
      ++i;
      continue;
    }
    text += word.find(' ') == word.npos ? " " + word : " '" + word + "'";
  }
  return text;
}

class CensusListener final : public Listener {
 public:
  explicit CensusListener(Census& census) : census_(census) {}
  void begin(const RunDescription&, uint64_t) override {}
  void on_case(const CaseResult& result) override { census_.on_case(result); }
  void end(const RunSummary&) override {}

 private:
  Census& census_;
};

// Was anything judged? Else: why the first case was not.
class Judged final : public Listener {
 public:
  void begin(const RunDescription&, uint64_t) override {}
  void on_case(const CaseResult& result) override {
    any_ |= result.verdict != Verdict::error && result.verdict != Verdict::skipped;
    if (why_.empty()) why_ = result.reason;
  }
  void end(const RunSummary&) override {}
  bool any() const { return any_; }
  const std::string& why() const { return why_; }

 private:
  bool any_ = false;
  std::string why_;
};

// Before a run of some length: how long it will take here.
void say_how_long(const CasePlan& cases, const Subject& subject, const RunOptions& options) {
  const std::optional<double> seconds = estimate_seconds(cases, subject, options);
  if (!seconds || *seconds < 5 || interrupt_signal() != 0) return;
  const double limit = options.budget > 0 ? std::min(*seconds, options.budget) : *seconds;
  const std::string duration = limit < 90     ? fmt::format("{:.0f} s", limit)
                               : limit < 5400 ? fmt::format("{:.0f} minutes", limit / 60)
                                              : fmt::format("{:.1f} hours", limit / 3600);
  fmt::print(stderr, "{} cases: about {} here, and studies after them{}\n", cases.size(), duration,
             limit < *seconds ? "; the budget cuts them short" : "");
}

// Says it once the reports have begun: a folder that cannot be written is refused before anything runs, and the verdict
// of an older run is gone while this one is measured.
class Forecast final : public Listener {
 public:
  Forecast(const CasePlan& cases, const Subject& subject, const RunOptions& options)
      : cases_(cases), subject_(subject), options_(options) {}
  void begin(const RunDescription&, uint64_t) override { say_how_long(cases_, subject_, options_); }
  void on_case(const CaseResult&) override {}
  void end(const RunSummary&) override {}

 private:
  const CasePlan& cases_;
  const Subject& subject_;
  const RunOptions& options_;
};

// Runs planned cases under the reports, the progress line and the summary.
int run_reported(CasePlan cases, const Subject& subject, const CommonOptions& o, const std::string& suite,
                 double budget, const std::string& command, Shard part = {},
                 const std::function<void(bool, const std::function<void(const Section&)>&)>& studies = {},
                 const std::vector<Census*>& censuses = {}, Listener* also = nullptr,
                 const std::function<std::vector<std::string>()>& more = {}) {
  const uint64_t planned = cases.size();
  const uint64_t lines = checksum_of(cases);
  cases = select_shard(cases, part);
  if (cases.empty()) throw InputError("no cases: the suite, or this shard of it, is empty");
  RunDescription description = describe_machine(subject.name());
  description.command = command;
  description.subject = subject.name();
  description.suite = suite;
  description.seed = o.seed;
  description.shard = part.index;
  description.shards = part.count;
  description.suite_cases = planned;
  description.suite_checksum = lines;

  const auto twin = twin_of(subject);
  const RunOptions options = {budget, o.accept_part, twin.get(), o.threads, o.bundles, studies};
  std::vector<std::unique_ptr<Listener>> owned;
  owned.reserve(report_writers().size() + 3 + censuses.size());
  for (const ReportWriter& writer : report_writers()) owned.push_back(writer.make(o.report));
  auto terminal = std::make_unique<TerminalSummary>(o.report + "/report.html", wants_colour(stdout));
  TerminalSummary& summary_text = *terminal;
  owned.push_back(std::move(terminal));
  // Of a stranger's library no case runs that is not reported.
  if (!o.quiet && !also && !more) owned.push_back(std::make_unique<Forecast>(cases, subject, options));
  if (!o.quiet) owned.push_back(std::make_unique<ProgressLine>(stderr));
  for (Census* census : censuses) owned.push_back(std::make_unique<CensusListener>(*census));
  std::vector<Listener*> listeners;
  listeners.reserve(owned.size());
  for (const auto& listener : owned) listeners.push_back(listener.get());
  if (also) listeners.push_back(also);

  const InterruptWatch watch;
  run_cases(cases, subject, description, listeners, options);
  if (!o.quiet && more)
    for (const std::string& extra : more()) fmt::print("{}\n", extra);
  if (!o.quiet) fmt::print("{}", summary_text.text());
  if (const int signal = interrupt_signal(); signal != 0) return 128 + signal;
  return summary_text.green() && !(o.require_proof && !summary_text.unproved().empty()) ? 0 : kRed;
}

SuiteSize parse_size(const std::string& name) {
  if (name == "quick") return SuiteSize::quick;
  if (name == "full") return SuiteSize::full;
  if (name == "nightly") return SuiteSize::nightly;
  throw InputError(fmt::format("suite '{}': expected quick, full or nightly", name));
}

// Of a live subject: as many cases as were asked for, or as the size of the suite says.
int verify_live(const live::LiveSubject& subject, size_t cases, const CommonOptions& o, const std::string& suite,
                double budget, const std::string& command, Shard part) {
  live::LiveSuite live(subject, cases, o.seed);
  const auto studies = [&](bool whole, const std::function<void(const Section&)>& tell) {
    if (part.count == 1) tell(live.describe(whole));
  };
  return run_reported(live.plan(), subject, o, suite, budget, command, part, studies, {&live}, nullptr,
                      [&] { return live.screen(); });
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) names.push_back(option->get_name());
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

[[noreturn]] void refuse_command(const CLI::App& app, const std::string& word) {
  const std::vector<std::string> known = command_names(app);
  throw InputError(fmt::format("unknown command '{}': expected one of {}{}", word, fmt::join(known, ", "),
                               did_you_mean(word, known)));
}

// What remains of the words, with the options that the command has.
[[noreturn]] void refuse_extras(const CLI::App& app, const std::string& complaint) {
  const std::vector<std::string> names = option_names(*app.get_subcommands().front());
  std::string meant;
  for (const std::string& word : app.remaining(true))
    if (word.starts_with('-') && meant.empty()) meant = did_you_mean(word.substr(0, word.find('=')), names);
  throw InputError(fmt::format("{}: expected {}{}", complaint, fmt::join(names, ", "), meant));
}

struct HelpOptions {
  std::string command, shell;
  bool man = false;
};

CLI::App* add_help(CLI::App& app, HelpOptions& o) {
  CLI::App* help = app.add_subcommand("help", "what a command does and which options it has");
  help->add_option("command", o.command, "a command (default: all of them)");
  help->add_flag("--man", o.man, "the man page of everything");
  help->add_option("--completion", o.shell, "completions for bash, zsh or fish");
  return help;
}

int print_help(const CLI::App& app, const HelpOptions& o) {
  const auto named = app.get_subcommands([&](const CLI::App* command) { return command->get_name() == o.command; });
  if (!o.command.empty() && named.empty()) refuse_command(app, o.command);
  if (o.man) {
    fmt::print("{}", man_page(app, describe_machine("").version));
  } else if (!o.shell.empty()) {
    fmt::print("{}", completion(app, o.shell));
  } else if (o.command.empty()) {
    // Not app.help(), which speaks of the command that was given: of this one.
    fmt::print("{}", app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal));
  } else {
    fmt::print("{}", named.front()->help("plumbline"));
  }
  return 0;
}

int program(int argc, char** argv) {
  CLI::App app{
      "Plumbline: does an optimizer kernel compute what it should? Double-precision reference, derived bounds, "
      "verdicts."};
  app.require_subcommand(1);
  app.name("plumbline");
  app.set_version_flag("--version", describe_build, "version, commit, features, and what is available here");
  app.fallthrough();
  std::string data;
  app.add_option("--data", data,
                 "folder of the recorded data (default: PLUMBLINE_DATA, or what lies beside the program)");
  HelpOptions helping;
  const CLI::App* help = add_help(app, helping);

  CommonOptions common;
  std::string suite = "full", family = "all", budget, shard, line;
  CLI::App* verify = app.add_subcommand("verify", "verify a subject over recorded trainings and generated problems");
  add_common(*verify, common);
  live::LiveOptions live_options;
  size_t live_cases = 0;
  bool list_live = false, shrink_live = false;
  add_live(*verify, live_options);
  verify->add_option("--cases", live_cases, "of a live subject: cases to draw (0: 300 quick, 2000 full, 20000 nightly)")
      ->capture_default_str();
  verify->add_flag("--list", list_live, "of a live subject: print the lines of its cases and end");
  verify->add_option("--family", family, "all, optimizer or w8a8")->capture_default_str();
  verify->add_option("--suite", suite, "quick, full or nightly")->capture_default_str();
  add_seed(*verify, common.seed, "of the generated problems; of the nightly suite, the default is a fresh one");
  verify->add_option("--budget", budget,
                     "time limit, such as 60s; cases not begun by then are skipped, and the run is not green");
  verify->add_flag("--accept-truncated", common.accept_part, "what the budget cuts short may be green");
  verify->add_option("--shard", shard, "i/n: every n-th case from the i-th (also from gtest's and Slurm's variables)");

  CLI::App* one = app.add_subcommand("case", "run one case from the line that a report gives");
  one->add_option("--subject", common.subject, kSubjectHelp);
  add_live(*one, live_options);
  one->add_flag("--shrink", shrink_live, "of a live subject: a red case is shrunk, and the smaller one shown");
  one->add_option("line", line, "the case, such as 'shape=37x129 storage=al8 steps=3 seed=7'");
  std::string bundle_folder;
  one->add_option("--bundle", bundle_folder,
                  "run the case of a bundle, and compare bit by bit with what it holds; ends with 1 when that is not "
                  "reproduced");

  std::vector<std::string> traces;
  CLI::App* judge =
      app.add_subcommand("judge", "judge recorded runs of any optimizer against the reference in their peer's dialect");
  add_report(*judge, common);
  std::string arithmetic;
  bool flushed = false;
  judge->add_option("--arithmetic", arithmetic,
                    "what the peer rounds to: f64, f32, bf16 or f16 (default: the widest type of a tensor's parameters "
                    "and state)");
  judge->add_flag("--flush-to-zero", flushed, "the peer turns subnormal results into zero");
  judge->add_flag("--require-proof", common.require_proof,
                  "end with 1 where an option that a recording sets shows in none of its tensors: a program that "
                  "ignores it would pass");
  judge->add_option("traces", traces, "trace files, or folders of them")->required();

  CLI::App* conformance =
      app.add_subcommand("conformance", "compare the reference with recorded runs of public optimizers");
  conformance->add_option("traces", traces, "trace files, or folders of them")->required();

  std::vector<std::pair<const CLI::App*, std::function<int(const std::string&)>>> registered;
  registered.reserve(commands().size());
  for (const Command& command : commands()) {
    CLI::App* added = app.add_subcommand(command.name, command.help);
    registered.emplace_back(added, command.make(*added));
  }

  if (argc > 1 && argv[1][0] != '-') {
    const std::vector<std::string> known = command_names(app);
    if (std::find(known.begin(), known.end(), argv[1]) == known.end()) refuse_command(app, argv[1]);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError& e) {
    if (app.get_subcommands().empty()) throw InputError(e.what());
    refuse_extras(app, e.what());
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == int(CLI::ExitCodes::Success)) return app.exit(e);
    throw InputError(e.what());
  }

  if (!data.empty()) use_data_folder(data);
  if (help->parsed()) return print_help(app, helping);
  check_floating_point();
  for (const auto& [added, run] : registered)
    if (added->parsed()) return run(command_line(argc, argv));
  if (conformance->parsed()) {
    std::vector<ConformanceRow> rows;
    size_t errors = 0;
    for (const auto& file : trace_files(traces)) try {
        rows.push_back(check_conformance(Trace::read(file)));
      } catch (const InputError& e) {
        ConformanceRow& row = rows.emplace_back();
        row.configuration = file.stem().string();
        row.error = e.what();
        ++errors;
      }
    if (errors == rows.size()) throw InputError(rows.front().error);
    fmt::print("{}", conformance_table(rows));
    return std::all_of(rows.begin(), rows.end(), [](const ConformanceRow& r) { return r.passed(); }) ? 0 : kRed;
  }
  if (judge->parsed()) {
    if (common.report.empty()) common.report = default_report("judge");
    const auto arithmetic_type = arithmetic.empty() ? std::nullopt : std::optional(parse_dtype(arithmetic));
    auto cases = plan_recorded(traces, arithmetic_type, flushed);
    refuse_unless_one_can_be_judged(cases);
    Judged judged;
    const int code = run_reported(std::move(cases), *make_recording(), common, "recorded", 0, command_line(argc, argv),
                                  {}, {}, {}, &judged);
    if (!judged.any()) throw InputError(judged.why());
    return code;
  }
  if (one->parsed()) {
    if (line.empty() == bundle_folder.empty())
      throw InputError("case: expected a line, such as 'shape=37x129 storage=al8 steps=3 seed=7', or --bundle DIR");
    std::optional<Bundle> bundle;
    if (!bundle_folder.empty()) {
      bundle = read_bundle(bundle_folder);
      line = bundle->line;
      if (common.subject.empty()) common.subject = bundle->subject;
    }
    const AnyProblem problem = parse_any_problem(line);
    const auto subject =
        std::holds_alternative<RecordedRun>(problem) ? make_recording() : choose_subject(common, live_options);
    const auto twin = twin_of(*subject);
    CaseOptions options{"case", true, twin.get()};
    if (bundle) options.evidence_step = bundle->step;
    CaseResult result = run_case(problem, *subject, options);
    if (const auto* live = std::get_if<LiveProblem>(&problem); live && shrink_live && is_red(result.verdict)) {
      result = live::shrink(*live, result, [&](const LiveProblem& p) { return run_case(p, *subject, options); }).result;
      fmt::print("shrunk from '{}'\n", line);
    }
    fmt::print("{}", describe_case(result));
    bool good = !is_red(result.verdict);
    if (bundle) {
      const ReplayComparison replay = compare_replay(*bundle, result);
      fmt::print("{}", replay.text);
      good = good && replay.reproduced;
    }
    return good ? 0 : kRed;
  }

  if (common.report.empty()) common.report = default_report("verify");
  const double seconds = parse_budget(budget);
  const Shard part = shard.empty() ? shard_from_environment() : parse_shard(shard);
  const SuiteSize size = parse_size(suite);
  // Every night draws what no night before has drawn; the report says from which seed.
  if (size == SuiteSize::nightly && verify->get_option("--seed")->empty()) {
    if (part.count > 1) throw InputError("--seed: missing: all shards of a nightly suite draw from one seed");
    common.seed = std::random_device{}();
    if (!common.quiet) fmt::print(stderr, "seed {}\n", common.seed);
  }
  const auto subject = choose_subject(common, live_options);
  if (const auto* live = dynamic_cast<const live::LiveSubject*>(subject.get())) {
    if (live_cases == 0) live_cases = size == SuiteSize::quick ? 300 : size == SuiteSize::full ? 2000 : 20000;
    if (list_live) {
      const live::LivePlan plan(*live, live_cases, common.seed);
      for (const LiveProblem& problem : plan.problems()) fmt::print("{}\n", to_string(problem));
      return 0;
    }
    return verify_live(*live, live_cases, common, suite, seconds, command_line(argc, argv), part);
  }
  CasePlan cases;
  std::set<std::string> families;
  for (const CaseSource& source : case_sources()) families.insert(source.family);
  if (family != "all" && !families.contains(family))
    throw InputError(fmt::format("family '{}': expected all, {}", family, fmt::join(families, ", ")));
  for (const CaseSource& source : case_sources()) {
    if (family != "all" && source.family != family) continue;
    cases.append(source.plan({size, common.seed, subject->name()}));
  }
  std::vector<std::unique_ptr<Census>> censuses;
  std::vector<Census*> counting;
  for (const SuiteCensus& census : suite_censuses()) {
    if (family != "all" && family != census.family) continue;
    censuses.push_back(census.make({size, common.seed, subject->name()}));
    counting.push_back(censuses.back().get());
  }
  // One shard brings the studies: they are not cut.
  const auto studies = [&](bool whole, const std::function<void(const Section&)>& tell) {
    for (const auto& census : censuses) {
      Section section = census->describe(whole && part.count == 1);
      if (part.count > 1) section.part = census->part(whole);  // what a suite met, its shards met together
      tell(section);
    }
    for (const SuiteStudy& study : suite_studies())
      if (interrupt_signal() == 0 && part.index == 0 && (family == "all" || family == study.family))
        tell(study.run({size, common.seed, subject->name()}, *subject));
  };
  return run_reported(std::move(cases), *subject, common, suite, seconds, command_line(argc, argv), part, studies,
                      counting);
}

}  // namespace
}  // namespace plumbline::harness

int main(int argc, char** argv) {
  using namespace plumbline::harness;
  try {
    const int code = program(argc, argv);
    // What did not reach its reader was not said: a full disk, a closed pipe.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw InputError(fmt::format("standard output: {}", std::strerror(errno)));
    return code;
  } catch (const InputError& e) {
    fmt::print(stderr, "plumbline: {}\n", plain_text(e.what()));
    return kUsage;
  } catch (const std::exception& e) {
    fmt::print(stderr, "plumbline: {}\n", plain_text(e.what()));
    return kUsage;
  }
}
