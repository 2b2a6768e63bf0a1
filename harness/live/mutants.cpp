#include "harness/live/mutants.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "harness/error.h"
#include "harness/live/case.h"

namespace plumbline::harness::live {
namespace {

using nlohmann::json;

// A kind of fault: what it is in one problem, if anything.
struct FaultKind {
  std::string name;
  std::function<std::optional<LiveFault>(const LiveProblem&)> in;
};

json value_of(const LiveProblem& problem, const OptionLevels& option) {
  const json set = json::parse(problem.options);
  return set.contains(option.name) ? set[option.name] : json::parse(option.standard);
}

json scaled(const json& value, double factor) {
  if (value.is_number_float()) return value.get<double>() * factor;
  if (!value.is_array()) return value;
  json out = json::array();
  for (const json& item : value) out.push_back(scaled(item, factor));
  return out;
}

std::vector<FaultKind> fault_kinds(const LivePlan& plan, const std::set<std::string>& slots) {
  std::vector<FaultKind> kinds;
  const auto option_fault = [&](const std::string& name, const OptionLevels& option, auto changed) {
    kinds.push_back({name, [name, &option, changed](const LiveProblem& p) -> std::optional<LiveFault> {
                       const json value = value_of(p, option), other = changed(value);
                       if (other == value) return std::nullopt;
                       LiveFault fault;
                       fault.name = name;
                       fault.option = option.name;
                       fault.value = other.dump();
                       return fault;
                     }});
  };
  for (const OptionLevels& option : plan.options()) {
    const json standard = json::parse(option.standard);
    option_fault(option.name + " times 1.0001", option, [](const json& v) { return scaled(v, 1.0001); });
    option_fault(option.name + " times 0.9999", option, [](const json& v) { return scaled(v, 0.9999); });
    option_fault(option.name + " times 10", option, [](const json& v) { return scaled(v, 10); });
    if (option.values.size() > 1)
      option_fault(option.name + " ignored", option, [standard](const json&) { return standard; });
  }
  const auto simple = [&](const std::string& name, int64_t least_steps, auto set) {
    kinds.push_back({name, [=](const LiveProblem& p) -> std::optional<LiveFault> {
                       if (p.steps < least_steps) return std::nullopt;
                       LiveFault fault;
                       fault.name = name;
                       set(fault);
                       return fault;
                     }});
  };
  simple("second step skipped", 2, [](LiveFault& f) { f.skipped_step = 2; });
  if (!slots.empty()) simple("state of the step before", 2, [](LiveFault& f) { f.stale_state = true; });
  for (const int k : {1, 2, 4, 8, 16, 64}) {
    const double factor = 1 + std::ldexp(double(k), -23);
    simple(fmt::format("parameters times 1 + {}*2^-23", k), 1, [factor](LiveFault& f) { f.factor = factor; });
    for (const std::string& slot : slots)
      simple(fmt::format("{} times 1 + {}*2^-23", slot, k), 1, [factor, slot](LiveFault& f) {
        f.factor = factor;
        f.slot = slot;
      });
  }
  return kinds;
}

// As torch.testing.assert_close has them.
bool within_default_tolerances(const LiveProblem& p, const LiveRun& sound, const LiveRun& faulty) {
  const auto [relative, absolute] = p.parameter == DType::float32    ? std::pair(1.3e-6, 1e-5)
                                    : p.parameter == DType::bfloat16 ? std::pair(1.6e-2, 1e-5)
                                    : p.parameter == DType::float16  ? std::pair(1e-3, 1e-5)
                                                                     : std::pair(1e-7, 1e-7);
  const auto values = [&](const LiveRun& run) {
    std::vector<double> out(size_t(p.elements()));
    load(p.parameter, run.steps.back().parameter.data(), out);
    return out;
  };
  const auto a = values(faulty), b = values(sound);
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(a[i] - b[i]) <= absolute + relative * std::fabs(b[i]))) return false;
  return true;
}

bool differs(const LiveRun& a, const LiveRun& b) {
  for (size_t t = 0; t < std::min(a.steps.size(), b.steps.size()); ++t) {
    if (a.steps[t].parameter != b.steps[t].parameter) return true;
    for (size_t k = 0; k < std::min(a.steps[t].state.size(), b.steps[t].state.size()); ++k)
      if (a.steps[t].state[k].bytes != b.steps[t].state[k].bytes) return true;
  }
  return false;
}

}  // namespace

std::vector<LiveKill> run_live_mutants(const LiveSubject& subject, const LivePlan& plan,
                                       const std::function<void(const LiveKill&)>& done) {
  struct Sound {
    const LiveProblem* problem;
    LiveRun run;
  };
  std::vector<Sound> sound;
  std::set<std::string> slots;
  for (const LiveProblem& problem : plan.problems()) {
    try {
      LiveRun run = subject.run(problem);
      if (!run.cannot.empty() || is_red(judge_run(problem, run, subject.capabilities()).verdict)) continue;
      for (const LiveState& state : run.steps.back().state) slots.insert(state.name);
      sound.push_back({&problem, std::move(run)});
    } catch (const WorkerFault&) {
    } catch (const InputError&) {
    }
  }
  if (sound.empty())
    throw InputError(fmt::format("subject {}: passes no case; `plumbline verify` says why", subject.name()));
  std::vector<LiveKill> out;
  for (const FaultKind& kind : fault_kinds(plan, slots)) {
    LiveKill kill;
    kill.fault = kind.name;
    for (const Sound& of : sound) {
      const auto fault = kind.in(*of.problem);
      if (!fault) continue;
      try {
        const LiveRun run = subject.run(*of.problem, *fault);
        if (!run.cannot.empty()) continue;
        ++kill.cases;
        if (!differs(run, of.run)) continue;
        kill.changes = true;
        const CaseResult result = judge_run(*of.problem, run, subject.capabilities());
        if (result.verdict != Verdict::fail) continue;
        kill.killed = true;
        kill.stage = result.first_broken ? to_string(*result.first_broken) : "";
        kill.line = to_string(*of.problem);
        kill.allclose = !within_default_tolerances(*of.problem, of.run, run);
        break;
      } catch (const WorkerFault&) {  // a value that the subject does not survive is no fault of its suite
      } catch (const InputError&) {
      }
    }
    if (kill.cases == 0) continue;  // this fault is none here
    if (done) done(kill);
    out.push_back(std::move(kill));
  }
  return out;
}

Section describe_live_mutants(const std::vector<LiveKill>& kills) {
  Section section;
  section.id = "live-mutants";
  section.title = "Faults between subject and judge: which are noticed";
  section.text =
      "Each fault was put to the cases that the subject passes, until one was red. Values times 1 + k*2^-23 show how "
      "small an error the bounds see; those may survive. Beside it: whether torch.testing.assert_close with its "
      "defaults, of the final parameters, notices the fault in the same case.";
  Table table{"Faults", {"fault", "noticed", "stage", "cases", "assert_close", "line"}, {}};
  for (const LiveKill& kill : kills) {
    const bool may = kill.fault.find("2^-23") != kill.fault.npos;
    table.rows.push_back({kill.fault,
                          kill.killed    ? "yes"
                          : kill.changes ? "no"
                                         : "changes nothing",
                          kill.stage, kill.cases,
                          !kill.killed    ? ""
                          : kill.allclose ? "notices"
                                          : "passes",
                          kill.line});
    if (!kill.killed && kill.changes && !may) section.green = false;
  }
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace plumbline::harness::live
