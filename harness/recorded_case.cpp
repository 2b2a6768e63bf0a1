#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "harness/contracts/bounded_chain.h"
#include "harness/error.h"
#include "harness/judge.h"
#include "harness/peer.h"
#include "harness/recorded.h"
#include "harness/stopwatch.h"

namespace plumbline::harness {
namespace {

using reference::Optimizer;
using reference::Slot;
using reference::Tensor;
using reference::Vector;

struct SlotQuantity {
  Slot slot;
  Quantity local, drift;
};
constexpr std::array<SlotQuantity, 11> kSlotQuantities = {{
    {Slot::row, Quantity::row, Quantity::row_drift},
    {Slot::col, Quantity::col, Quantity::col_drift},
    {Slot::second_moment, Quantity::second_moment, Quantity::second_moment_drift},
    {Slot::low_rank_momentum, Quantity::low_rank_momentum, Quantity::low_rank_momentum_drift},
    {Slot::low_rank_second_moment, Quantity::low_rank_second_moment, Quantity::low_rank_second_moment_drift},
    {Slot::low_rank_row, Quantity::low_rank_row, Quantity::low_rank_row_drift},
    {Slot::low_rank_col, Quantity::low_rank_col, Quantity::low_rank_col_drift},
    {Slot::momentum, Quantity::momentum, Quantity::momentum_drift},
    {Slot::confidence_row, Quantity::confidence_row, Quantity::confidence_row_drift},
    {Slot::confidence_col, Quantity::confidence_col, Quantity::confidence_col_drift},
    {Slot::previous_norm, Quantity::previous_norm, Quantity::previous_norm_drift},
}};

const SlotQuantity& quantity_of(Slot slot) {
  for (const SlotQuantity& q : kSlotQuantities)
    if (q.slot == slot) return q;
  throw std::logic_error("a recorded slot without a quantity");
}

double norm(const Vector& x) { return std::sqrt(x.square().sum()); }

// The reference, and what the peer's arithmetic may make of the same steps: at worst, and but for small probabilities.
struct Run {
  Optimizer reference;
  Tensor parameter;
  BoundedChain worst, probable;
  BoundedVector worst_parameter, probable_parameter;

  Run(Optimizer optimizer, Tensor start, PeerArithmetic::Options arithmetic, const StoredTypes& types)
      : reference(std::move(optimizer)),
        parameter(std::move(start)),
        worst(reference, arithmetic, types),
        probable(reference, improbable_left_out(arithmetic), types) {
    start_from(parameter);
  }
  void start_from(const Tensor& p) {
    parameter = p;
    set_exact(worst_parameter, p.data);
    set_exact(probable_parameter, p.data);
  }
  void set_state(Slot slot, const Vector& values) {
    if (Tensor* state = reference.state(slot)) state->data = values;
    for (BoundedChain* chain : {&worst, &probable})
      if (BoundedVector* state = chain->state(slot)) set_exact(*state, values);
  }
  void step(int64_t t, const Tensor& gradient) {
    reference.set_step_count(t - 1);
    reference.step(parameter, gradient);
  }
  BoundedChain::Acted bound(int64_t t, const Tensor& gradient) {
    probable.step(t, probable_parameter, gradient);
    return worst.step(t, worst_parameter, gradient);
  }

 private:
  static PeerArithmetic::Options improbable_left_out(PeerArithmetic::Options arithmetic) {
    arithmetic.probable = true;
    return arithmetic;
  }
};

class RecordedCase {
 public:
  RecordedCase(const Trace& trace, const RecordedRun& run, Hyperparameters held)
      : trace_(trace),
        tensor_(trace.tensor(run.tensor)),
        held_(held),
        parameter_type_(trace.dtype(fmt::format("param/{}@0", run.tensor))),
        probe_(make_reference(trace, tensor_, held)),
        slots_(recorded_slots(trace, tensor_, probe_)) {
    for (int q = 0; q < kQuantities; ++q) judges_.emplace_back(static_cast<Quantity>(q));
    types_.parameter = arithmetic_.results = parameter_type_;
    for (const RecordedSlot& slot : slots_)
      for (int64_t t = 1; t <= trace.steps(); ++t) {
        const std::string array = state_array(tensor_.name, slot.name, t);
        if (!trace.has(array)) continue;
        const DType type = trace.dtype(array);
        types_.slots[slot.slot] = type;
        if (significand_bits(type) > significand_bits(arithmetic_.results)) arithmetic_.results = type;
        break;
      }
    if (run.arithmetic) arithmetic_.results = *run.arithmetic;
    arithmetic_.flushed = run.flushed;
    arithmetic_.scalars = held == Hyperparameters::float32 ? DType::float32 : DType::float64;
    const Tensor start = trace.parameter(tensor_.name, 0);
    local_.emplace(make_reference(trace, tensor_, held), start, arithmetic_, types_);
    global_.emplace(make_reference(trace, tensor_, held), start, arithmetic_, types_);
  }

  void run(CaseResult& out, bool record_drift) {
    for (int64_t t = 1; t <= trace_.steps(); ++t) take_step(t, record_drift);
    for (const QuantityJudge& judge : judges_)
      if (judge.touched()) out.quantities.push_back(judge.result());
    out.drift = drift_;
    out.times = times_;
    decide(out);
    describe_options(out);
  }

 private:
  QuantityJudge& judge(Quantity q) { return judges_[size_t(q)]; }

  void take_step(int64_t t, bool record_drift) {
    const Tensor gradient = trace_.gradient(tensor_.name, t);
    const Tensor before = trace_.parameter(tensor_.name, t - 1), after = trace_.parameter(tensor_.name, t);

    local_->start_from(before);
    std::vector<Vector> state_before;
    for (const RecordedSlot& slot : slots_) {
      if (t > 1 && trace_.has(state_array(tensor_.name, slot.name, t - 1)))
        local_->set_state(slot.slot, slot.to_reference(load_state(trace_, tensor_.name, slot, t - 1, probe_)));
      state_before.push_back(local_->reference.state(slot.slot)->data);
    }
    for (Run* run : {&*local_, &*global_}) {
      use_recorded_projection(trace_, tensor_.name, t, run->reference);
      if (const Tensor* projection = run->reference.state(Slot::projection))
        run->set_state(Slot::projection, Vector(projection->data));
    }
    times_.generate += watch_.lap();
    local_->step(t, gradient);
    global_->step(t, gradient);
    times_.reference += watch_.lap();
    const BoundedChain::Acted acted = local_->bound(t, gradient);
    global_->bound(t, gradient);
    times_.contract += watch_.lap();
    acted_.clip |= acted.clip;
    acted_.limiter |= acted.limiter;
    acted_.decay |= acted.decay;

    for (size_t k = 0; k < slots_.size(); ++k) {
      const RecordedSlot& slot = slots_[k];
      const std::string array = state_array(tensor_.name, slot.name, t);
      if (!trace_.has(array)) continue;
      const Vector got = slot.to_reference(load_state(trace_, tensor_.name, slot, t, probe_));
      const SlotQuantity& q = quantity_of(slot.slot);
      auto compare_with = [&](Run& run, Quantity quantity) {
        compare(quantity, t, got, run.reference.state(slot.slot)->data, *run.worst.state(slot.slot),
                *run.probable.state(slot.slot), types_.of(slot.slot), array, record_drift);
      };
      compare_with(*local_, q.local);
      compare_with(*global_, q.drift);
      observe(state_before[k], local_->reference.state(slot.slot)->data, *local_->worst.state(slot.slot),
              types_.of(slot.slot));
    }
    const std::string array = fmt::format("param/{}@{}", tensor_.name, t);
    for (Run* run : {&*local_, &*global_})
      compare(run == &*local_ ? Quantity::parameter : Quantity::parameter_drift, t, after.data, run->parameter.data,
              run->worst_parameter, run->probable_parameter, parameter_type_, array, record_drift);
    observe(before.data, local_->parameter.data, local_->worst_parameter, parameter_type_);
    times_.compare += watch_.lap();
  }

  void compare(Quantity quantity, int64_t t, const Vector& got, const Vector& expected, const BoundedVector& worst,
               const BoundedVector& probable, DType type, const std::string& array, bool record_drift) {
    const double overflow = largest_finite(type);
    const bool global = quantity >= Quantity::row_drift;
    double largest = 0;
    for (int64_t i = 0; i < expected.size(); ++i) {
      // The other way round a NaN fails: the peer made it, and what follows from it is no contradiction.
      if (std::isnan(expected[i]) && !std::isnan(got[i]) && !broken_)
        throw InputError(
            fmt::format("{}: {}: element {} is {:g}: expected NaN, so the recorded gradients are not what the peer saw",
                        trace_.file(), array, i, got[i]));
      const double bound = worst[size_t(i)].error;
      const double ratio = error_ratio(got[i], expected[i], bound, overflow);
      judge(quantity).record(t, i, got[i], expected[i], bound, ratio);
      broken_ |= !(ratio <= 1);
      if (ratio <= 1 && !(error_ratio(got[i], expected[i], probable[size_t(i)].error, overflow) <= 1)) {
        if (improbable_++ == 0) improbable_where_ = fmt::format("{} at step {}, element {}", to_string(quantity), t, i);
      }
      largest = std::max(largest, bound);
    }
    if (record_drift && global) {
      const double size = norm(expected), peak = expected.abs().maxCoeff();
      drift_.push_back({t, quantity, size > 0 ? norm(got - expected) / size : 0, 0, peak > 0 ? largest / peak : 0});
    }
  }

  // Could this quantity have failed at this step?
  void observe(const Vector& before, const Vector& after, const BoundedVector& worst, DType type) {
    if (before.size() != after.size()) return;
    const double overflow = largest_finite(type);
    double bound = 0;
    for (int64_t i = 0; i < after.size(); ++i) {
      const double e = worst[size_t(i)].error;
      idle_noticed_ |= !(error_ratio(before[i], after[i], e, overflow) <= 1);
      bound += e * e;
    }
    signal_seen_ |= bound < (after - before).square().sum();
    const bool constant = after.size() > 1 && (after == after[0]).all();
    varied_ |= !constant && double((after == 0).count()) <= 0.9 * double(after.size());
    if (!after.allFinite()) idle_noticed_ = signal_seen_ = varied_ = true;  // the same kind is asked for
  }

  void decide(CaseResult& out) const {
    // The first excess in time, then in the order of the computation, names the stage.
    const QuantityJudge* first = nullptr;
    for (const QuantityJudge& judge : judges_)
      if (judge.broken() && (!first || judge.first_broken_step() < first->first_broken_step())) first = &judge;
    if (first) {
      const QuantityResult& r = first->result();
      out.verdict = Verdict::fail;
      out.first_broken = r.quantity;
      out.first_broken_step = first->first_broken_step();
      out.reason = fmt::format(
          "{}: {} first broken at step {}; worst at step {}, element {}: got {:.9g}, expected {:.9g} +- {:.3g} "
          "(error/bound {:.3g})",
          tensor_.name, to_string(r.quantity), first->first_broken_step(), r.worst.step, r.worst.index, r.worst.got,
          r.worst.expected, r.worst.bound, r.worst.ratio);
    } else if (!idle_noticed_ || !signal_seen_ || !varied_) {
      out.verdict = Verdict::vacuous;
      out.reason = !idle_noticed_  ? "an optimizer that does nothing would pass"
                   : !signal_seen_ ? "the bound exceeds the update"
                                   : "what is recorded is constant or mostly zero";
    } else if (improbable_ > 0) {
      out.verdict = Verdict::marginal;
      out.reason = fmt::format("{} values beyond what sums with independent roundings would give, first {}",
                               improbable_, improbable_where_);
    }
  }

  void describe_options(CaseResult& out) const {
    auto use = [&](std::string value, bool acted) { out.options.push_back({std::move(value), acted}); };
    use(fmt::format("peer={}", trace_.peer()), true);
    use(fmt::format("param={}", to_string(parameter_type_)), true);
    use(fmt::format("arithmetic={}", to_string(arithmetic_.results)), true);
    use(held_ == Hyperparameters::float32 ? "hyperparameters=f32" : "hyperparameters=f64", true);
    use(slots_.empty() ? "state=carried" : "state=recorded", trace_.steps() > 1);
    use(acted_.clip ? "clip=on" : "clip=idle", acted_.clip);
    if (probe_.state(Slot::previous_norm)) use("limiter=on", acted_.limiter);
    if (acted_.decay) use("weight_decay=on", true);
  }

  const Trace& trace_;
  const Trace::TensorInfo& tensor_;
  Hyperparameters held_;
  DType parameter_type_;
  Optimizer probe_;  // for its shapes
  std::vector<RecordedSlot> slots_;
  StoredTypes types_;
  PeerArithmetic::Options arithmetic_;
  std::optional<Run> local_, global_;
  std::vector<QuantityJudge> judges_;
  std::vector<DriftPoint> drift_;
  uint64_t improbable_ = 0;
  std::string improbable_where_;
  bool idle_noticed_ = false, signal_seen_ = false, varied_ = false, broken_ = false;
  BoundedChain::Acted acted_;
  CaseTimes times_;
  Stopwatch watch_;
};

// The same case under one reading of the hyperparameters.
CaseResult judge_as(const Trace& trace, const RecordedRun& run, const CaseOptions& options, Hyperparameters held) {
  CaseResult result;
  result.line = to_string(run);
  result.suite = options.suite;
  result.subject = "recorded";
  result.steps = trace.steps();
  result.elements = 1;
  for (const int64_t extent : trace.tensor(run.tensor).shape) result.elements *= extent;
  RecordedCase(trace, run, held).run(result, options.record_drift);
  return result;
}

}  // namespace

CaseResult judge_recorded(const Trace& trace, const RecordedRun& run, const CaseOptions& options) {
  check_recording(trace, run.tensor);
  CaseResult result = judge_as(trace, run, options, Hyperparameters::float64);
  // A peer may hold its hyperparameters in float32: 1 - 0.999f is 216 units from 0.001. That is a choice, not an error,
  // and the same choice has to explain every step.
  const bool may_round = trace.dtype(fmt::format("param/{}@0", run.tensor)) != DType::float64;
  if (result.verdict == Verdict::fail && may_round) {
    try {
      CaseResult rounded = judge_as(trace, run, options, Hyperparameters::float32);
      if (rounded.verdict != Verdict::fail) return rounded;
    } catch (const InputError&) {  // rounded, an option may leave its range
    }
  }
  return result;
}

}  // namespace plumbline::harness
