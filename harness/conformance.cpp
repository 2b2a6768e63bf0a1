#include "harness/conformance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/error.h"
#include "harness/judge_steps.h"
#include "harness/peer.h"
#include "harness/recorded_steps.h"

namespace plumbline::harness {
namespace {

using reference::Optimizer;
using reference::Tensor;
using reference::Vector;

double norm(const Vector& x) { return std::sqrt(x.square().sum()); }
// 0 / 0 is 0: equal values have no error, also at zero.
double ratio(double a, double b) { return a == 0 ? 0 : a / b; }
// What is equal on both sides is no error: the same infinity, and a NaN on both, too.
Vector difference(const Vector& ours, const Vector& recorded) {
  return (ours == recorded || (ours.isNaN() && recorded.isNaN())).select(0.0, ours - recorded);
}
// What errors are relative to.
Vector finite(const Vector& x) { return x.isFinite().select(x, 0.0); }
// A NaN is the largest error.
bool exceeds(double error, double worst) { return !(error <= worst); }
void raise(double& worst, double error) {
  if (exceeds(error, worst)) worst = std::isnan(error) ? HUGE_VAL : error;
}

// NaN may stand only where both sides have it; such elements are left out.
void require_same_nan(const Vector& a, const Vector& b, const std::string& file, const std::string& array) {
  if ((a.isNaN() != b.isNaN()).any()) throw InputError(fmt::format("{}: {}: a NaN on one side only", file, array));
}

void note(ConformanceError& worst, const Vector& ours, const Vector& recorded, const std::string& where) {
  const Vector off = difference(ours, recorded), size = finite(recorded);
  const double by_norm = ratio(norm(off), norm(size));
  if (exceeds(by_norm, worst.norm) || worst.where.empty()) worst.where = where;
  raise(worst.norm, by_norm);
  raise(worst.element, ratio(off.abs().maxCoeff(), size.abs().maxCoeff()));
}

class Replay {
 public:
  explicit Replay(Steps& steps)
      : steps_(steps), head_(steps.head()), optimizer_(make_reference(head_)), slots_(known_slots(head_, optimizer_)) {}

  // Free run in double from the initial parameter.
  void run(ConformanceRow& row) {
    Tensor p = head_.start, last = head_.start;
    for (int64_t t = 1; t <= head_.steps; ++t) {
      const StepShown& shown = steps_.step(t);
      const Vector before = p.data;
      take(t, shown, p);
      const Tensor& recorded = shown.parameter;
      const std::string where = fmt::format("{}@{}", head_.tensor, t);
      require_same_nan(p.data, recorded.data, head_.where, "param/" + where);
      note(row.parameter, p.data, recorded.data, where);

      const Vector increment = recorded.data - last.data;
      const double limit = 1e-13 * norm(finite(increment)) + 0x1p-51 * norm(finite(recorded.data));
      const double share = ratio(norm(difference(p.data - before, increment)), limit);
      if (exceeds(share, row.increment)) row.increment_where = where;
      raise(row.increment, share);
      compare_state(t, shown, row);
      last = recorded;
    }
  }

 private:
  void take(int64_t t, const StepShown& shown, Tensor& p) {
    check_state(head_, slots_, optimizer_, t, shown.state);
    if (!shown.options.empty()) {
      options_ = changed_options(head_, options_, shown.options);
      continue_as(make_reference(head_, options_), optimizer_);
    }
    if (!shown.stepped()) return;
    use_shown_projection(head_, t, shown, optimizer_);
    optimizer_.step(p, *shown.gradient);
  }

  void compare_state(int64_t t, const StepShown& shown, ConformanceRow& row) {
    for (const KnownSlot& slot : slots_) {
      if (head_.slots[slot.index].codec) continue;  // judged, not compared
      if (!shown.state[slot.index].shown)
        throw InputError(fmt::format("{}: array {} is missing", head_.where, state_array(head_.tensor, slot.name, t)));
      const Vector& state = shown.state[slot.index].values;
      const Vector ours = slot.to_peer(optimizer_.state(slot.slot)->data);
      require_same_nan(ours, state, head_.where, state_array(head_.tensor, slot.name, t));
      note(row.state, ours, state, fmt::format("{}/{}@{}", head_.tensor, slot.name, t));
    }
  }

  Steps& steps_;
  const StepsHead& head_;
  std::string options_;  // in force
  Optimizer optimizer_;
  std::vector<KnownSlot> slots_;
};

// A trace stored in float32, by the bounds of any order of its operations: errors are shares of them.
void judge_float32(const Trace& trace, Steps& steps, ConformanceRow& row) {
  const CaseResult result = judge_steps(steps, trace.header().assumptions());
  for (const QuantityResult& q : result.quantities) {
    ConformanceError& worst =
        q.quantity == Quantity::parameter || q.quantity == Quantity::parameter_drift ? row.parameter : row.state;
    if (exceeds(q.ratios.largest, worst.element) || worst.where.empty())
      worst.where = fmt::format("{}@{} ({})", steps.head().tensor, q.worst.step, to_string(q.quantity));
    raise(worst.element, q.ratios.largest);
    worst.norm = worst.element;
  }
}

}  // namespace

bool ConformanceRow::passed() const {
  if (!error.empty()) return false;
  if (float32) return parameter.element <= 1 && state.element <= 1;
  return parameter.norm <= limits.norm && state.norm <= limits.norm && increment <= 1;
}

ConformanceRow check_conformance(const Trace& trace) {
  ConformanceRow row;
  row.peer = trace.peer();
  const std::string stem = std::filesystem::path(trace.file()).stem().string();
  row.configuration = stem.starts_with(row.peer + "-") ? stem.substr(row.peer.size() + 1) : stem;
  row.tensors = int64_t(trace.tensors().size());
  row.steps = trace.steps();
  for (const Trace::TensorInfo& tensor : trace.tensors()) {
    if (trace.tensor(tensor.name).empty()) continue;
    RecordedSteps steps(trace, tensor.name);
    check_steps(steps);
    if (steps.head().clock > 0)
      throw InputError(fmt::format("{}: tensor {} begins after {} steps: runs are compared from their first step",
                                   trace.file(), tensor.name, steps.head().clock));
    const DType type = steps.head().parameter;
    if (type != DType::float64 && type != DType::float32)
      throw InputError(
          fmt::format("{}: param/{}@0 is {}: expected f64 or f32", trace.file(), tensor.name, to_string(type)));
    row.float32 = type == DType::float32;
    if (row.float32)
      judge_float32(trace, steps, row);
    else
      Replay(steps).run(row);
  }
  return row;
}

std::vector<std::filesystem::path> trace_files(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.emplace_back(path);
      continue;
    }
    std::vector<std::filesystem::path> inside;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      if (entry.path().extension() == ".safetensors" || entry.path().string().ends_with(".safetensors.index.json"))
        inside.push_back(entry.path());
    inside = without_parts(inside);
    files.insert(files.end(), inside.begin(), inside.end());
  }
  if (files.empty()) throw InputError(fmt::format("{}: no *.safetensors in it", paths.front()));
  std::sort(files.begin(), files.end());
  return files;
}

std::string conformance_table(const std::vector<ConformanceRow>& rows) {
  std::string out = fmt::format("{:<12} {:<16} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}  worst\n", "peer", "configuration",
                                "tensors", "p norm", "p elem", "s norm", "s elem", "step");
  for (const ConformanceRow& row : rows) {
    if (!row.error.empty())
      out += fmt::format("{:<12} {:<16} error: {}\n", row.peer, row.configuration, row.error);
    else if (row.float32)
      out += fmt::format("{:<12} {:<16} {:>7} {:>9.3f} of the float32 bound {:>26}  {}{}\n", row.peer,
                         row.configuration, row.tensors, std::max(row.parameter.element, row.state.element), "",
                         row.state.element > row.parameter.element ? row.state.where : row.parameter.where,
                         row.passed() ? "" : "  FAIL");
    else
      out += fmt::format(
          "{:<12} {:<16} {:>7} {:>9.1e} {:>9.1e} {:>9.1e} {:>9.1e} {:>9.3f}  {}{}\n", row.peer, row.configuration,
          row.tensors, row.parameter.norm, row.parameter.element, row.state.norm, row.state.element, row.increment,
          row.state.norm > row.parameter.norm ? row.state.where : row.parameter.where,
          row.passed() ? "" : fmt::format("  FAIL (limit {:.0e}, step {})", row.limits.norm, row.increment_where));
  }
  const auto failed = std::count_if(rows.begin(), rows.end(), [](const ConformanceRow& r) { return !r.passed(); });
  out += fmt::format(
      "{} traces, {} outside their limits (normwise {:.0e}; step: error of p_t - p_t-1 over 1e-13 of it + 2^-51 of "
      "p)\n",
      rows.size(), failed, ConformanceLimits{}.norm);
  return out;
}

}  // namespace plumbline::harness
