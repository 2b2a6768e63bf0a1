#include "harness/judge_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <stdexcept>

#include "harness/contracts/bounded_chain.h"
#include "harness/error.h"
#include "harness/format.h"
#include "harness/judge.h"
#include "harness/option_proofs.h"
#include "harness/peer.h"
#include "harness/record/parameter_store.h"
#include "harness/recorded_steps.h"
#include "harness/slots.h"
#include "harness/step_signal.h"
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
constexpr std::array<SlotQuantity, 12> kSlotQuantities = {{
    {Slot::row, Quantity::row, Quantity::row_drift},
    {Slot::col, Quantity::col, Quantity::col_drift},
    {Slot::second_moment, Quantity::second_moment, Quantity::second_moment_drift},
    {Slot::largest_second_moment, Quantity::second_moment, Quantity::second_moment_drift},
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

double length_of(const Vector& x) { return std::sqrt(x.square().sum()); }

// The reference, and what the peer's arithmetic may make of the same steps: at worst, and but for small probabilities.
struct Run {
  Optimizer reference;
  Tensor parameter;
  BoundedChain worst, probable;
  BoundedVector worst_parameter, probable_parameter;
  bool exact_projection = true;  // shown, not made

  Run(Optimizer optimizer, Tensor start, PeerArithmetic::Options arithmetic, const StoredTypes& types)
      : reference(std::move(optimizer)),
        parameter(std::move(start)),
        worst(reference, arithmetic, types),
        probable(reference, improbable_left_out(arithmetic), types) {
    start_from(parameter);
  }
  // With these options from now on; state and parameter go on.
  void change(Optimizer optimizer, PeerArithmetic::Options arithmetic, const StoredTypes& types) {
    BoundedChain new_worst(optimizer, arithmetic, types),
        new_probable(optimizer, improbable_left_out(arithmetic), types);
    for (int s = 0; s <= int(Slot::previous_norm); ++s)
      for (auto [to, from] : {std::pair{&new_worst, &worst}, std::pair{&new_probable, &probable}}) {
        BoundedVector *now = to->state(static_cast<Slot>(s)), *was = from->state(static_cast<Slot>(s));
        if (now && was && now->size() == was->size()) *now = *was;
      }
    continue_as(std::move(optimizer), reference);
    worst = std::move(new_worst);
    probable = std::move(new_probable);
  }
  void start_from(const Tensor& p) {
    parameter = p;
    set_exact(worst_parameter, p.data);
    set_exact(probable_parameter, p.data);
  }
  void start_from(const BoundedVector& p) {
    for (size_t i = 0; i < p.size(); ++i) parameter.data[int64_t(i)] = p[i].value;
    worst_parameter = probable_parameter = p;
  }
  void set_state(Slot slot, const BoundedVector& values) {
    if (Tensor* state = reference.state(slot))
      for (size_t i = 0; i < values.size(); ++i) state->data[int64_t(i)] = values[i].value;
    for (BoundedChain* chain : {&worst, &probable})
      if (BoundedVector* state = chain->state(slot)) *state = values;
  }
  void step(int64_t t, const Tensor& gradient) {
    reference.set_step_count(t - 1);
    reference.step(parameter, gradient);
    if (const Tensor* projection = reference.state(Slot::projection))
      for (BoundedChain* chain : {&worst, &probable}) {
        set_exact(*chain->state(Slot::projection), projection->data);
        if (!exact_projection)  // an integer over a root of the peer's own
          for (Bounded& p : *chain->state(Slot::projection)) p = chain->arithmetic().values().rounded(p, 3);
      }
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

class StepsCase {
 public:
  StepsCase(Steps& steps, const PeerAssumptions& assumed, Hyperparameters held)
      : steps_(steps),
        head_(steps.head()),
        held_(held),
        options_(head_.options),
        probe_(make_reference(head_, held)),
        slots_(known_slots(head_, probe_)),
        proofs_(head_, held),
        clock_(head_.clock),
        before_(head_.start),
        store_(head_.storage, head_.parameter, assumed.results.value_or(head_.parameter)) {
    for (int q = 0; q < kQuantities; ++q) judges_.emplace_back(static_cast<Quantity>(q));
    check_state(head_, slots_, probe_, 0, head_.state);
    if (clock_ == 0) check_fresh(head_, slots_, probe_);
    types_.parameter = arithmetic_.results = head_.parameter;
    for (const KnownSlot& slot : slots_) {
      const DType shown_type = head_.slots[slot.index].type;
      // what is coded was computed in float32, or in more
      const DType type = !head_.slots[slot.index].codec      ? shown_type
                         : head_.parameter == DType::float64 ? DType::float64
                                                             : DType::float32;
      types_.slots[slot.slot] = type;
      free_running_ &= !head_.slots[slot.index].codec.has_value();
      if (slot.slot == Slot::previous_norm) continue;  // one number, which says nothing of what tensors are made with
      if (significand_bits(type) > significand_bits(arithmetic_.results)) arithmetic_.results = type;
    }
    if (assumed.results) arithmetic_.results = *assumed.results;
    if (head_.storage != ParameterStorage::nearest) {
      free_running_ = false;
      if (size_of(arithmetic_.results) < 4 && !assumed.results) arithmetic_.results = DType::float32;
      store_ = {head_.storage, head_.parameter, arithmetic_.results};
      types_.parameter = store_.stepped();
    }
    store_.start(head_.start.data, head_.exact);
    codec_arithmetic_ = {unit_roundoff(arithmetic_.results), assumed.log2_ulps, assumed.exp2_ulps,
                         assumed.division_ulps};
    arithmetic_.flushed = assumed.flushed;
    arithmetic_.accumulation = assumed.accumulation;
    arithmetic_.division_ulps = assumed.division_ulps;
    arithmetic_.reciprocal_root_ulps = assumed.rsqrt_ulps;
    arithmetic_.scalars = held == Hyperparameters::float32 ? DType::float32 : DType::float64;
    local_.emplace(make_reference(head_, held), head_.start, arithmetic_, types_);
    global_.emplace(make_reference(head_, held), head_.start, arithmetic_, types_);
    last_.resize(slots_.size());
    for (size_t k = 0; k < slots_.size(); ++k)
      if (const ShownState& state = head_.state[slots_[k].index]; clock_ > 0 && state.shown) {
        last_[k] = values_of(slots_[k], state);
        global_->set_state(slots_[k].slot, *last_[k]);
        last_codes_[slots_[k].slot] = state.codes;
      }
  }

  void run(CaseResult& out, bool record_drift) {
    for (int64_t t = 1; t <= head_.steps; ++t) take_step(t, record_drift);
    for (const QuantityJudge& judge : judges_)
      if (judge.touched()) out.quantities.push_back(judge.result());
    out.drift = drift_;
    out.times = times_;
    out.proofs = proofs_.proofs();
    decide(out);
    describe_options(out);
  }

 private:
  QuantityJudge& judge(Quantity q) { return judges_[size_t(q)]; }
  std::vector<Run*> runs() {
    if (free_running_) return {&*local_, &*global_};
    return {&*local_};
  }

  void take_step(int64_t t, bool record_drift) {
    const StepShown& shown = steps_.step(t);
    check_state(head_, slots_, probe_, t, shown.state);
    if (!shown.options.empty()) {
      options_ = changed_options(head_, options_, shown.options);
      proofs_.change(options_);
      for (Run* run : runs()) run->change(make_reference(head_, options_, held_), arithmetic_, types_);
    }
    local_->start_from(store_.read());
    carried_before_ = local_->parameter.data;
    std::vector<Vector> state_before;
    for (size_t k = 0; k < slots_.size(); ++k) {
      if (last_[k]) local_->set_state(slots_[k].slot, *last_[k]);
      state_before.push_back(local_->reference.state(slots_[k].slot)->data);
    }
    times_.generate += watch_.lap();
    clock_ += shown.clock_went_on();
    if (shown.stepped()) {
      for (Run* run : runs()) {
        use_shown_projection(head_, t, shown, run->reference);
        if (run == &*local_) proofs_.start(run->reference, run->parameter);
        run->exact_projection = head_.projections;
        run->step(clock_, *shown.gradient);
      }
      times_.reference += watch_.lap();
      const BoundedChain::Acted acted = local_->bound(clock_, *shown.gradient);
      if (free_running_) global_->bound(clock_, *shown.gradient);
      clock_ = local_->reference.step_count();  // a policy for what is not finite may have skipped the step
      times_.contract += watch_.lap();
      acted_.clip |= acted.clip;
      acted_.limiter |= acted.limiter;
      acted_.decay |= acted.decay;
    }

    for (size_t k = 0; k < slots_.size(); ++k) {
      const KnownSlot& slot = slots_[k];
      if (shown.stepped()) last_[k].reset();
      if (!shown.state[slot.index].shown) continue;
      if (head_.slots[slot.index].codec) {
        compare_codes(t, slot, shown);
        last_[k] = values_of(slot, shown.state[slot.index]);
        last_codes_[slot.slot] = shown.state[slot.index].codes;
        continue;
      }
      const Vector got = slot.to_reference(shown.state[slot.index].values);
      set_exact(last_[k].emplace(), got);
      const SlotQuantity& q = quantity_of(slot.slot);
      auto compare_with = [&](Run& run, Quantity quantity) {
        compare(quantity, t, got, run.reference.state(slot.slot)->data, *run.worst.state(slot.slot),
                *run.probable.state(slot.slot), types_.of(slot.slot), slot.name, record_drift);
      };
      compare_with(*local_, q.local);
      if (free_running_) compare_with(*global_, q.drift);
      if (shown.stepped()) {
        const Signal signal = observe(shown, state_before[k], local_->reference.state(slot.slot)->data,
                                      *local_->worst.state(slot.slot), types_.of(slot.slot));
        state_seen_ |= signal.exceeds_bound();
      }
    }
    compare_parameter(t, shown, record_drift);
    before_ = shown.parameter;
    times_.compare += watch_.lap();
  }

  // A slot's values as they are shown, in the reference's order.
  BoundedVector values_of(const KnownSlot& slot, const ShownState& state) const {
    BoundedVector out;
    const auto& codec = head_.slots[slot.index].codec;
    if (!codec) {
      set_exact(out, slot.to_reference(state.values));
      return out;
    }
    const int64_t count = probe_.state(slot.slot)->size();
    StoredCodes stored = state.codes;
    stored.block = block_of(*codec, stored, count);
    const BoundedVector decoded = decode_codes(*codec, stored, count, codec_arithmetic_);
    if (slot.order.empty()) return decoded;
    out.resize(decoded.size());
    for (size_t k = 0; k < out.size(); ++k) out[size_t(slot.order[k])] = decoded[k];
    return out;
  }

  // Scales against what was coded, codes given the scales; of a step not taken, both as they were.
  void compare_codes(int64_t t, const KnownSlot& slot, const StepShown& shown) {
    const StateCodec& codec = *head_.slots[slot.index].codec;
    StoredCodes stored = shown.state[slot.index].codes;
    const int64_t count = probe_.state(slot.slot)->size();
    stored.block = block_of(codec, stored, count);
    QuantityJudge &scale = judge(info(slot.slot).scale), &code = judge(info(slot.slot).code());
    if (shown.stepped()) {
      const Vector expected = slot.to_peer(local_->reference.state(slot.slot)->data);
      const BoundedVector& worst = *local_->worst.state(slot.slot);
      BoundedVector exact(worst.size());
      for (size_t k = 0; k < exact.size(); ++k)
        exact[k] = {expected[int64_t(k)], worst[slot.order.empty() ? k : size_t(slot.order[k])].error};
      judge_codes(t, codec, stored, exact, head_.slots[slot.index].type, codec_arithmetic_, scale, code);
    } else if (const auto was = last_codes_.find(slot.slot); was != last_codes_.end()) {
      for (size_t k = 0; k < std::min(stored.scales.size(), was->second.scales.size()); ++k)
        scale.element(t, int64_t(k), stored.scales[k], was->second.scales[k], 0);
      for (size_t k = 0; k < size_t(count); ++k)
        code.element(t, int64_t(k), double(stored.codes[k]), double(was->second.codes[k]), 0);
    }
    broken_ |= scale.broken() || code.broken();
  }

  void compare_parameter(int64_t t, const StepShown& shown, bool record_drift) {
    const auto compare_one = [&](Quantity quantity, const Vector& got, const Vector& expected,
                                 const BoundedVector& worst, const BoundedVector& probable, DType type) {
      compare(quantity, t, got, expected, worst, probable, type, "", record_drift);
    };
    const Vector& got = shown.parameter.data;
    if (!shown.stepped()) {
      BoundedVector exact;
      set_exact(exact, before_.data);
      compare_one(Quantity::parameter, got, before_.data, exact, exact, head_.parameter);
      if (free_running_)
        compare_one(Quantity::parameter_drift, got, global_->parameter.data, global_->worst_parameter,
                    global_->probable_parameter, head_.parameter);
      return;
    }
    // Around the reference's own value: the chain of bounds evaluates the same function, an ulp apart.
    const auto around = [&](BoundedVector x) {
      for (size_t i = 0; i < x.size(); ++i) x[i].value = local_->parameter.data[int64_t(i)];
      return x;
    };
    const Vector& expected = local_->parameter.data;
    const BoundedVector worst = around(local_->worst_parameter), likely = around(local_->probable_parameter);
    const BoundedVector may = store_.stored(worst);
    compare_one(Quantity::parameter, got, expected, may, store_.stored(likely), head_.parameter);
    if (shown.exact) {
      compare_one(Quantity::parameter, *shown.exact, expected, store_.carried(worst), store_.carried(likely),
                  types_.parameter);
      BoundedVector rounded(may.size());
      for (size_t i = 0; i < rounded.size(); ++i) {
        const double value = (*shown.exact)[int64_t(i)];
        rounded[i] = {value, half_ulp(head_.parameter, std::fabs(value))};
      }
      compare_one(Quantity::parameter, got, *shown.exact, rounded, rounded, head_.parameter);
    }
    const Signal signal = observe(shown, before_.data, expected, may, head_.parameter);
    update_seen_ |= signal.exceeds_bound();
    parameter_bounded_ |= signal.bounded();
    if (shown.exact && carried_before_.size() == expected.size())
      update_seen_ |=
          observe(shown, carried_before_, expected, store_.carried(worst), types_.parameter).exceeds_bound();
    still_ &= signal.still() && (shown.gradient->data == 0).all() && (got == before_.data).all();
    proofs_.step(clock_, shown, slots_, local_->reference, local_->parameter, may, local_->worst, types_);
    if (free_running_)
      compare_one(Quantity::parameter_drift, got, global_->parameter.data, global_->worst_parameter,
                  global_->probable_parameter, head_.parameter);
    store_.left(worst, got, shown.exact);
    if (store_.test().tells_idle()) in_range_ = idle_noticed_ = update_seen_ = true;
  }

  void compare(Quantity quantity, int64_t t, const Vector& got, const Vector& expected, const BoundedVector& worst,
               const BoundedVector& probable, DType type, const std::string& slot, bool record_drift) {
    const double overflow = largest_finite(type);
    const bool global = quantity >= Quantity::row_drift;
    double largest = 0;
    for (int64_t i = 0; i < expected.size(); ++i) {
      // The other way round a NaN fails: the peer made it, and what follows from it is no contradiction.
      if (std::isnan(expected[i]) && !std::isnan(got[i]) && !broken_)
        throw InputError(
            fmt::format("{}: {}: element {} is {:g}: expected NaN, so the recorded gradients are not what the peer saw",
                        head_.where,
                        slot.empty() ? fmt::format("param/{}@{}", head_.tensor, t) : state_array(head_.tensor, slot, t),
                        i, got[i]));
      const double bound = worst[size_t(i)].error;
      const double ratio = judge(quantity).element(t, i, got[i], expected[i], bound, overflow);
      broken_ |= !(ratio <= 1);
      if (ratio > 0 && ratio <= 1 && !(error_ratio(got[i], expected[i], probable[size_t(i)].error, overflow) <= 1)) {
        if (improbable_++ == 0) improbable_where_ = fmt::format("{} at step {}, element {}", to_string(quantity), t, i);
      }
      largest = std::max(largest, bound);
    }
    if (record_drift && global) {
      const double size = length_of(expected), peak = expected.abs().maxCoeff();
      drift_.push_back(
          {t, quantity, size > 0 ? length_of(got - expected) / size : 0, 0, peak > 0 ? largest / peak : 0});
    }
  }

  // Could this quantity have failed at this step? Gives what it had to show.
  Signal observe(const StepShown& shown, const Vector& before, const Vector& after, const BoundedVector& worst,
                 DType type) {
    Signal signal;
    if (before.size() != after.size()) return signal;
    const double overflow = largest_finite(type);
    for (int64_t i = 0; i < after.size(); ++i) {
      const double e = worst[size_t(i)].error;
      signal.add(before[i], after[i], e, overflow);
      idle_noticed_ |= std::fabs(after[i]) < overflow && !(error_ratio(before[i], after[i], e, overflow) <= 1);
    }
    in_range_ |= signal.in_range();
    varied_ |= signal.varies();
    if (!after.allFinite() && !shown.gradient->data.allFinite())  // the kind of what is no number is asked for
      in_range_ = idle_noticed_ = update_seen_ = varied_ = true;
    return signal;
  }

  // A parameter may move by less than its type shows; without a bound in every step it was not judged at all.
  bool update_noticed() const { return update_seen_ || (state_seen_ && parameter_bounded_); }

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
          "{}: {} first broken at step {}; worst at step {}, element {}: got {:.9g}, expected {} (error/bound {:.3g})",
          head_.tensor, to_string(r.quantity), first->first_broken_step(), r.worst.step, r.worst.index, r.worst.got,
          admitted(r.worst.expected, r.worst.bound), r.worst.ratio);
    } else if (const std::string fault = store_.test().fault(); !fault.empty()) {
      out.verdict = Verdict::fail;
      out.first_broken = Quantity::parameter;
      out.first_broken_step = head_.steps;
      out.reason = fmt::format("{}: parameter: {}", head_.tensor, fault);
    } else if (clock_ > head_.clock && still_) {
      // Of nothing but zeros nothing was to come, and nothing came: right, whatever else that leaves open.
    } else if (!in_range_ || !idle_noticed_ || !update_noticed() || !varied_) {
      out.verdict = Verdict::vacuous;
      out.reason = !in_range_          ? "every value ran out of range"
                   : !idle_noticed_    ? "an optimizer that does nothing would pass"
                   : !update_noticed() ? "the parameter's bound exceeds its update in every step"
                                       : "what is recorded is constant or mostly zero";
    } else if (improbable_ > 0) {
      out.verdict = Verdict::marginal;
      out.reason = fmt::format("{} values beyond what sums with independent roundings would give, first {}",
                               improbable_, improbable_where_);
    }
  }

  void describe_options(CaseResult& out) const {
    auto use = [&](std::string value, bool acted) { out.options.push_back({std::move(value), acted}); };
    use(fmt::format("peer={}", head_.peer), true);
    use(fmt::format("param={}", to_string(head_.parameter)), true);
    use(fmt::format("arithmetic={}", to_string(arithmetic_.results)), true);
    use(held_ == Hyperparameters::float32 ? "hyperparameters=f32" : "hyperparameters=f64", true);
    use(slots_.empty() ? "state=carried" : "state=recorded", head_.steps > 1);
    if (head_.storage != ParameterStorage::nearest)
      use(fmt::format("storage={}", to_string(head_.storage)), store_.acted());
    for (const KnownSlot& slot : slots_)
      if (const auto& codec = head_.slots[slot.index].codec)
        use(fmt::format("{}={}", slot.name, codec->name), last_codes_.contains(slot.slot));
    use(acted_.clip ? "clip=on" : "clip=idle", acted_.clip);
    if (probe_.state(Slot::previous_norm)) use("limiter=on", acted_.limiter);
    if (acted_.decay) use("weight_decay=on", true);
  }

  Steps& steps_;
  const StepsHead& head_;
  Hyperparameters held_;
  std::string options_;  // in force
  Optimizer probe_;      // for its shapes
  std::vector<KnownSlot> slots_;
  OptionProofs proofs_;
  Vector carried_before_;  // the parameter that the step reads, whatever it is stored with
  int64_t clock_;          // steps that the peer took
  Tensor before_;
  ParameterStore store_;
  bool free_running_ = true;  // what the peer keeps is what it computed, so that a run from the start tells something
  std::vector<std::optional<BoundedVector>> last_;  // after the step before, in the reference's order; by slot
  std::map<Slot, StoredCodes> last_codes_;
  CodecArithmetic codec_arithmetic_;
  StoredTypes types_;
  PeerArithmetic::Options arithmetic_;
  std::optional<Run> local_, global_;
  std::vector<QuantityJudge> judges_;
  std::vector<DriftPoint> drift_;
  uint64_t improbable_ = 0;
  std::string improbable_where_;
  bool in_range_ = false, idle_noticed_ = false, varied_ = false, broken_ = false;
  bool update_seen_ = false;  // in some step, the parameter's change exceeded its bound
  bool state_seen_ = false;   // or that of a recorded state did,
  bool parameter_bounded_ =
      false;           // and the parameter had a bound in some step: it is what a type of few bits leaves of it
  bool still_ = true;  // every gradient was zero, and was to move nothing
  BoundedChain::Acted acted_;
  CaseTimes times_;
  Stopwatch watch_;
};

// The same case under one reading of the hyperparameters.
CaseResult judge_as(Steps& steps, const PeerAssumptions& assumed, const CaseOptions& options, Hyperparameters held) {
  CaseResult result;
  result.suite = options.suite;
  result.steps = steps.head().steps;
  result.elements = 1;
  for (const int64_t extent : steps.head().shape) result.elements *= extent;
  StepsCase(steps, assumed, held).run(result, options.record_drift);
  return result;
}

}  // namespace

CaseResult judge_steps(Steps& steps, const PeerAssumptions& assumed, const CaseOptions& options) {
  if (assumed.hyperparameters == DType::float32) return judge_as(steps, assumed, options, Hyperparameters::float32);
  CaseResult result = judge_as(steps, assumed, options, Hyperparameters::float64);
  if (assumed.hyperparameters) return result;
  // A peer may hold its hyperparameters in float32: 1 - 0.999f is 216 units from 0.001. That is a choice, not an error,
  // and the same choice has to explain every step.
  if (result.verdict == Verdict::fail && steps.head().parameter != DType::float64) {
    try {
      CaseResult rounded = judge_as(steps, assumed, options, Hyperparameters::float32);
      if (rounded.verdict != Verdict::fail) return rounded;
    } catch (const InputError&) {  // rounded, an option may leave its range
    }
  }
  return result;
}

}  // namespace plumbline::harness
