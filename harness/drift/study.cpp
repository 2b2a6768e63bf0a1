#include "harness/drift/study.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "harness/case.h"
#include "harness/data.h"
#include "harness/error.h"
#include "harness/trace.h"

namespace plumbline::harness {
namespace {

using reference::Slot;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kPoints = 120;  // of a curve

Quantity drift_of(Slot slot) {
  switch (slot) {
    case Slot::row:
      return Quantity::row_drift;
    case Slot::col:
      return Quantity::col_drift;
    case Slot::momentum:
      return Quantity::momentum_drift;
    case Slot::confidence_row:
      return Quantity::confidence_row_drift;
    case Slot::confidence_col:
      return Quantity::confidence_col_drift;
    default:
      return Quantity::second_moment_drift;
  }
}

// "row_drift" -> "row"
std::string slot_name(Quantity quantity) {
  std::string name = to_string(quantity);
  name.resize(name.size() - std::string_view("_drift").size());
  return name;
}

// What one run says of one slot, at its end and as a curve.
struct SlotDrift {
  Quantity quantity{};
  std::vector<const DriftPoint*> points;
  double ratio = kNone;  // largest rounding part over its bound
};

std::vector<SlotDrift> slots_of(const OpenLoopRun& run) {
  std::map<Quantity, SlotDrift> found;
  for (const DriftPoint& point : run.result.drift) {
    SlotDrift& slot = found[point.quantity];
    slot.quantity = point.quantity;
    slot.points.push_back(&point);
  }
  std::vector<SlotDrift> out;
  for (auto& [quantity, slot] : found) {
    for (const QuantityResult& q : run.result.quantities)
      if (q.quantity == quantity) slot.ratio = q.ratios.largest;
    out.push_back(std::move(slot));
  }
  return out;
}

// Mean over the windows of one slot, weighted by their steps.
struct Staleness {
  double stale = kNone, predicted_stale = kNone, frozen = kNone, predicted_frozen = kNone;
};
Staleness average(const OpenLoopRun& run, Quantity quantity) {
  Staleness out;
  for (const SlotStaleness& slot : run.staleness) {
    if (drift_of(slot.slot) != quantity) continue;
    double steps = 0;
    Staleness sum{0, 0, 0, 0};
    for (const StalenessWindow& w : slot.windows) {
      const auto n = double(w.last - w.first);
      steps += n;
      sum.stale += n * w.stale;
      sum.predicted_stale += n * w.predicted_stale;
      sum.frozen += n * w.frozen;
      sum.predicted_frozen += n * w.predicted_frozen;
    }
    if (steps == 0) continue;
    out.stale = sum.stale / steps;
    out.frozen = sum.frozen / steps;
    if (!slot.predicted) continue;
    out.predicted_stale = sum.predicted_stale / steps;
    out.predicted_frozen = sum.predicted_frozen / steps;
  }
  return out;
}

// Points of a curve over steps on a logarithmic axis: indices into n values, each once, the last included.
std::vector<size_t> logarithmic(size_t n) {
  std::vector<size_t> out;
  for (size_t i = 0; i <= kPoints; ++i) {
    const auto at = size_t(std::llround(std::pow(double(n), double(i) / double(kPoints)))) - 1;
    if (out.empty() || at > out.back()) out.push_back(std::min(at, n - 1));
  }
  return out;
}

Series curve(const std::string& name, const SlotDrift& slot, double DriftPoint::*value) {
  Series series;
  series.name = name;
  for (const size_t i : logarithmic(slot.points.size())) {
    series.x.push_back(double(slot.points[i]->step));
    const double y = slot.points[i]->*value;
    series.y.push_back(y > 0 ? y : kNone);  // the axis is logarithmic
  }
  return series;
}

std::string percent(double share) { return std::isnan(share) ? "" : fmt::format("{:.1f} %", 100 * share); }

std::string plus_minus(const Estimate& e, std::string_view format) {
  return fmt::format("{} ± {}", fmt::format(fmt::runtime(format), e.mean),
                     fmt::format(fmt::runtime(format), e.half_width));
}

// Of all tensors, the one that storing moved furthest, and whether every one kept its promise.
Table promises(std::span<const OpenLoopRun> runs, const std::vector<std::string>& labels, bool& green) {
  Table table{"What storing did to averages and is promised to do at most, at the last step (worst tensor)",
              {"storage", "slot", "tensor", "moved", "random walk", "at most", "nearest to its bound", "bias/bound",
               "update", "verdict"},
              {}};
  for (const std::string& label : labels) {
    struct Worst {
      const OpenLoopRun* run = nullptr;
      DriftPromise promise;
      double nearest = 0, bias = 0;
      bool kept = true;
    };
    std::map<Slot, Worst> worst;
    for (const OpenLoopRun& run : runs) {
      if (run.label != label) continue;
      for (const SlotStaleness& slot : run.staleness) {
        Worst& w = worst[slot.slot];
        if (!w.run || !(slot.promise.stored <= w.promise.stored)) w.run = &run, w.promise = slot.promise;
        if (!(slot.promise.worst <= w.nearest)) w.nearest = slot.promise.worst;
        if (!(slot.promise.bias <= w.bias)) w.bias = slot.promise.bias;
        w.kept = w.kept && slot.promise.kept();
      }
    }
    for (const auto& [slot, w] : worst) {
      green = green && w.kept;
      const bool square = slot != Slot::momentum;
      const double by = square ? w.promise.stored / 2 : w.promise.stored;  // sqrt(V) sees half
      table.rows.push_back({label, slot_name(drift_of(slot)), w.run->tensor, percent(w.promise.stored),
                            percent(w.promise.expected), percent(w.promise.allowed), w.nearest, w.bias,
                            fmt::format("about {} off", percent(by)),
                            w.kept ? std::string("as promised") : std::string("red: worse than promised")});
    }
  }
  return table;
}

}  // namespace

std::vector<OpenLoopRun> run_open_loop(const std::string& trace_name, std::span<const Variant> variants,
                                       const Subject& subject, int64_t steps, const std::function<void()>& done) {
  const auto trace = Trace::shared(trace_path(trace_name));
  const auto& tensors = trace->tensors();
  std::vector<OpenLoopRun> runs(variants.size() * tensors.size());
  std::mutex mutex;
  tbb::parallel_for(size_t(0), runs.size(), [&](size_t i) {
    OpenLoopRun& run = runs[i];
    const Variant& variant = variants[i / tensors.size()];
    const Trace::TensorInfo& tensor = tensors[i % tensors.size()];
    Problem problem = variant.problem;
    problem.shape = tensor.shape;
    problem.data.trace = trace_name;
    problem.data.tensor = tensor.name;
    problem.data.repeat = steps > trace->steps();
    problem.steps = steps;
    run.label = variant.label;
    run.tensor = tensor.name;
    const auto metered = make_metered(
        subject, [&](const Problem&, std::vector<SlotStaleness> found) { run.staleness = std::move(found); });
    run.result = run_case(problem, *metered, {"drift", true, nullptr});
    if (done) {
      const std::lock_guard lock(mutex);
      done();
    }
  });
  return runs;
}

Section describe_open_loop(const std::string& trace, int64_t steps, std::span<const OpenLoopRun> runs) {
  Section section;
  section.id = "drift-open";
  section.title = fmt::format("Drift over {} steps of recorded gradients ({})", steps, trace);
  section.text =
      "Drift: distance of the subject's state from a reference in double that runs on without storage rounding, "
      "relative to the reference. The ledger splits it into what storing did (quantization) and what rounding may have "
      "done; only the second has a bound, and error/bound says how near to it the run came. Stale: values that moved "
      "by less than half of what the exact average did within ceil(1/w) steps. Frozen: codes that one step left as "
      "they "
      "were. Moved: what storing alone did to an average, relative to it; at most: half a cell of the codes a step (a "
      "whole one for stochastic rounding), of which the average keeps ceil(1/w) steps' worth; random walk: what "
      "unbiased "
      "roundings come to. A storage that goes further than at most, or whose sum over values has a bias that chance "
      "does not explain, is red. The predictions hold the scales of the blocks still: where scales follow the largest "
      "and the smallest "
      "value of a moving block, codes and decoded values move with them.";
  Table table{"Worst tensor of each storage and slot, at the last step",
              {"storage", "slot", "tensor", "drift", "quantization part", "rounding: error/bound", "stale",
               "stale, predicted", "frozen per step", "frozen, predicted"},
              {}};
  // label and quantity -> the run whose drift ends largest
  struct Worst {
    const OpenLoopRun* run = nullptr;
    SlotDrift slot;
  };
  std::vector<std::string> labels;
  std::map<std::pair<size_t, Quantity>, Worst> worst;
  for (const OpenLoopRun& run : runs) {
    section.green = section.green && !is_red(run.result.verdict);
    auto at = std::find(labels.begin(), labels.end(), run.label);
    if (at == labels.end()) at = labels.insert(labels.end(), run.label);
    for (SlotDrift& slot : slots_of(run)) {
      Worst& w = worst[{size_t(at - labels.begin()), slot.quantity}];
      if (!w.run || !(slot.points.back()->drift <= w.slot.points.back()->drift)) w = {&run, std::move(slot)};
    }
  }
  std::map<Quantity, Chart> charts;
  for (const auto& [key, w] : worst) {
    const DriftPoint& end = *w.slot.points.back();
    const Staleness s = average(*w.run, key.second);
    const std::string slot = slot_name(key.second);
    table.rows.push_back({labels[key.first], slot, w.run->tensor, end.drift,
                          key.second == Quantity::parameter_drift ? kNone : end.quantization, w.slot.ratio,
                          percent(s.stale), percent(s.predicted_stale), percent(s.frozen),
                          percent(s.predicted_frozen)});
    Chart& chart = charts[key.second];
    if (chart.id.empty()) {
      chart.id = "drift-" + slot;
      chart.title = fmt::format("Drift of {} over steps", slot);
      chart.description =
          fmt::format("Relative drift of {} from the reference in double, one curve a storage, worst tensor.", slot);
      chart.x = {"step", true};
      chart.y = {"relative drift", true};
    }
    chart.series.push_back(curve(labels[key.first], w.slot, &DriftPoint::drift));
  }
  section.tables.push_back(std::move(table));
  section.tables.push_back(promises(runs, labels, section.green));
  for (auto& [quantity, chart] : charts) section.charts.push_back(std::move(chart));

  Chart frozen;
  frozen.id = "frozen";
  frozen.title = "Frozen share per step, measured against predicted";
  frozen.description = "Each point is one window of one slot of one tensor; on the diagonal the prediction is right.";
  frozen.kind = Chart::Kind::scatter;
  frozen.x = {"predicted share"};
  frozen.y = {"measured share"};
  for (const std::string& label : labels) {
    Series series;
    series.name = label;
    for (const OpenLoopRun& run : runs)
      for (const SlotStaleness& slot : run.staleness)
        for (const StalenessWindow& w : slot.windows)
          if (run.label == label && slot.predicted) {
            series.x.push_back(w.predicted_frozen);
            series.y.push_back(w.frozen);
            series.labels.push_back(
                fmt::format("{} {}, steps {} to {}", run.tensor, slot_name(drift_of(slot.slot)), w.first + 1, w.last));
          }
    if (!series.x.empty()) frozen.series.push_back(std::move(series));
  }
  if (!frozen.series.empty()) section.charts.push_back(std::move(frozen));
  return section;
}

Section describe_closed_loop(const ClosedLoop& loop, int seeds) {
  Section section;
  section.id = "drift-" + loop.training;
  section.title = fmt::format("Closed loop: {}, {} steps, {} seeds", loop.training, loop.steps.back(), seeds);
  section.text =
      "Each storage trains on its own gradients, beside the same training in double. Loss: of the whole objective, "
      "averaged over the last quarter of the curve. Intervals: 95 %, Student's t over seeds; differences are paired by "
      "seed: same data, same start. Red: the mean difference is above what is declared for the storage (nothing, where "
      "it is not called costly) by more than the scatter of the pairs and that of double's own losses over seeds "
      "explain, in one-sided tests at 1 %, or a training diverged. A loss below double's is said, not red: that "
      "training went another way.";
  Table table{"Loss and parameters at the end",
              {"storage", "loss", "relative difference from double", "pairs explain", "seeds explain", "declared",
               "parameters apart", "seeds that diverged", "verdict"},
              {}};
  Chart losses, apart;
  losses.id = "loss";
  losses.title = fmt::format("Loss of {}", loop.training);
  losses.description = "Mean loss over seeds with its interval, one curve a storage.";
  losses.x = {"step"};
  losses.y = {"loss", true};
  apart.id = "apart";
  apart.title = "Parameters apart from the training in double";
  apart.description = "Distance from the parameters of the training in double, relative to the way that those went.";
  apart.x = {"step"};
  apart.y = {"relative distance", true};
  const std::vector<double> x(loop.steps.begin(), loop.steps.end());
  for (const ClosedLoopCurve& curve : loop.curves) {
    const bool reference = &curve == &loop.curves.front();
    const Estimate& difference = curve.loss_difference;
    const auto of = [&](double share) { return reference ? std::string() : fmt::format("{:.3g} %", 100 * share); };
    table.rows.push_back({curve.label, plus_minus(curve.final_loss, "{:.5g}"),
                          reference ? "" : plus_minus({100 * difference.mean, 100 * difference.half_width}, "{:.3g} %"),
                          of(curve.verdict.pairs), of(curve.verdict.seeds), of(curve.verdict.declared),
                          reference ? kNone : curve.apart.back().mean, curve.diverged,
                          reference ? "" : to_string(curve.verdict)});
    section.green = section.green && !curve.verdict.red;
    Series loss{curve.label, x, {}, {}, {}, {}}, distance{curve.label, x, {}, {}, {}, {}};
    for (const Estimate& e : curve.loss) {
      loss.y.push_back(e.mean);
      loss.low.push_back(e.mean - e.half_width);
      loss.high.push_back(e.mean + e.half_width);
    }
    for (const Estimate& e : curve.apart) distance.y.push_back(e.mean > 0 ? e.mean : kNone);
    losses.series.push_back(std::move(loss));
    if (!reference) apart.series.push_back(std::move(distance));
  }
  section.tables.push_back(std::move(table));
  section.charts.push_back(std::move(losses));
  section.charts.push_back(std::move(apart));
  return section;
}

}  // namespace plumbline::harness
