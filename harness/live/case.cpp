#include "harness/live/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/error.h"
#include "harness/judge_steps.h"

namespace plumbline::harness {
namespace live {
namespace {

using reference::Tensor;

constexpr int kRepeats = 3;

constexpr const char* kProjection = "projection";

// A run as the judge of any-order arithmetic reads it.
class RunSteps final : public Steps {
 public:
  RunSteps(const LiveProblem& problem, const LiveRun& run) : run_(run) {
    head_.where = "the subject";
    head_.tensor = "w";
    head_.peer = problem.dialect;
    head_.options = problem.options;
    head_.shape = problem.shape;
    head_.steps = int64_t(run.steps.size());
    head_.parameter = problem.parameter;
    head_.start = run.start.values;
    for (const LiveRun::Step& step : run.steps)
      for (const LiveState& state : step.state) {
        if (state.name == kProjection) {
          head_.projections = true;
          continue;
        }
        const auto at = std::find_if(head_.slots.begin(), head_.slots.end(),
                                     [&](const ShownSlot& slot) { return slot.name == state.name; });
        if (at == head_.slots.end())
          head_.slots.push_back({state.name, state.type});
        else if (at->type != state.type)
          throw InputError(
              fmt::format("shows state {} as {} and as {}", state.name, to_string(at->type), to_string(state.type)));
      }
    head_.state.resize(head_.slots.size());
  }
  const StepsHead& head() const override { return head_; }
  const StepShown& step(int64_t t) override {
    const LiveRun::Step& step = run_.steps.at(size_t(t - 1));
    shown_ = {};
    shown_.gradient = step.gradient.values;
    shown_.parameter = values_of(head_.parameter, head_.shape, step.parameter);
    shown_.skipped = step.skipped;
    shown_.state.resize(head_.slots.size());
    for (const LiveState& state : step.state) {
      Tensor values = values_of(state.type, state.shape, state.bytes);
      if (state.name == kProjection) {
        shown_.projection = std::move(values);
        continue;
      }
      for (size_t k = 0; k < head_.slots.size(); ++k)
        if (head_.slots[k].name == state.name) {
          shown_.state[k].shown = true;
          shown_.state[k].values = std::move(values.data);
        }
    }
    return shown_;
  }

 private:
  static Tensor values_of(DType type, const std::vector<int64_t>& shape, const std::vector<std::byte>& bytes) {
    Tensor out;
    out.shape = shape;
    out.data.resize(Eigen::Index(bytes.size() / size_of(type)));
    load(type, bytes.data(), {out.data.data(), size_t(out.data.size())});
    return out;
  }

  const LiveRun& run_;
  StepsHead head_;
  StepShown shown_;
};

}  // namespace

CaseResult judge_run(const LiveProblem& problem, const LiveRun& run, const Capabilities& capabilities,
                     const CaseOptions& options) {
  RunSteps steps(problem, run);
  return judge_steps(steps, {capabilities.results, capabilities.flush}, options);
}

LiveRun reference_run(const LiveProblem& problem, const std::string& options) {
  const reference::Dialect& dialect = reference::find_dialect(problem.dialect);
  reference::Optimizer optimizer =
      dialect.make(live_options(options), problem.shape,
                   {.epsilon = 2 * unit_roundoff(problem.parameter), .recorded_projection = !dialect.makes_projection});
  const DType kept = problem.parameter;  // the shortest that a subject may keep its state in
  LiveRun run;
  run.start = initial_parameter(problem);
  Tensor parameter = run.start.values;
  const auto stored = [](DType type, reference::Vector& values) {
    std::vector<std::byte> bytes(size_t(values.size()) * size_of(type));
    store(type, {values.data(), size_t(values.size())}, bytes.data());
    load(type, bytes.data(), {values.data(), size_t(values.size())});
    return bytes;
  };
  for (int64_t t = 1; t <= problem.steps; ++t) {
    LiveRun::Step& step = run.steps.emplace_back();
    step.gradient = gradient_of(problem, t);
    optimizer.step(parameter, step.gradient.values);
    step.parameter = stored(problem.parameter, parameter.data);
    std::set<reference::Slot> shown;
    for (const reference::PeerSlot& slot : dialect.slots) {
      Tensor* state = optimizer.state(slot.slot);
      if (!state || !shown.insert(slot.slot).second) continue;
      stored(kept, state->data);  // the next step begins with what is shown
      const auto order = dialect.order ? dialect.order(problem.shape, slot.slot) : std::vector<int64_t>{};
      reference::Vector values = state->data;
      for (size_t k = 0; k < order.size(); ++k) values[Eigen::Index(k)] = state->data[order[k]];
      step.state.push_back({std::string(slot.name), kept, {values.size()}, stored(kept, values)});
    }
  }
  return run;
}

bool would_fail_with(const LiveProblem& problem, const std::string& options, const Capabilities& capabilities) {
  try {
    return judge_run(problem, reference_run(problem, options), capabilities).verdict == Verdict::fail;
  } catch (const InputError&) {
    return false;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

CaseResult run_live_case(const LiveProblem& problem, const LiveSubject& subject, const LiveFault& fault,
                         const CaseOptions& options) {
  CaseResult result;
  const auto decide = [&](Verdict verdict, const std::string& reason) {
    result.verdict = verdict;
    result.reason = reason;
  };
  try {
    const LiveRun run = subject.run(problem, fault);
    if (!run.cannot.empty()) {
      decide(Verdict::skipped, "the subject cannot: " + run.cannot);
    } else {
      result = judge_run(problem, run, subject.capabilities(), options);
      result.times.subject += run.seconds;
      result.bits = run.bits;
      const auto& promises = subject.capabilities().promises;
      if (promises.contains("resume") && problem.steps > 1 && !is_red(result.verdict) &&
          subject.run(problem, fault, true).bits != run.bits)
        decide(Verdict::fail,
               "promises to go on from what it saves: saved and loaded before every step, it leaves other bits");
      const bool failed = result.verdict == Verdict::fail;
      if (failed || promises.contains("same_bits")) {
        std::set<uint64_t> seen = {run.bits};
        for (int k = 1; k < (failed ? kRepeats : 2); ++k) seen.insert(subject.run(problem, fault).bits);
        if (seen.size() > 1)
          decide(Verdict::fail, fmt::format("{}: {} runs of the case left {} different results{}",
                                            promises.contains("same_bits") ? "promises equal bits" : "flaky",
                                            failed ? kRepeats : 2, seen.size(), failed ? "; " + result.reason : ""));
      }
    }
  } catch (const WorkerFault& e) {
    decide(Verdict::error, e.what());
  } catch (const InputError& e) {
    decide(Verdict::error, e.what());
  }
  result.line = to_string(problem);
  result.suite = options.suite;
  result.subject = subject.name();
  result.elements = problem.elements();
  result.steps = problem.steps;
  return result;
}

}  // namespace live

CaseResult run_case(const LiveProblem& problem, const Subject& subject, const CaseOptions& options) {
  const auto* live = dynamic_cast<const live::LiveSubject*>(&subject);
  if (!live)
    throw InputError(fmt::format("live case: subject {} is none: give --subject ./libmine.so or python:module:Class",
                                 subject.name()));
  return live::run_live_case(problem, *live, {}, options);
}

}  // namespace plumbline::harness
