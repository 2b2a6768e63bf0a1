#include "harness/case.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "harness/case_evidence.h"
#include "harness/checksum.h"
#include "harness/contracts/codes.h"
#include "harness/contracts/rounded.h"
#include "harness/contracts/stored_update.h"
#include "harness/data.h"
#include "harness/error.h"
#include "harness/ledger.h"
#include "harness/observed.h"
#include "harness/options_acted.h"
#include "harness/step_judge.h"
#include "harness/stopwatch.h"
#include "harness/vacuity.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;

// What production stores as float32 is what the reference reads.
Problem realize(Problem problem) {
  for (double* x : {&problem.options.eps1, &problem.options.eps_came, &problem.options.projection_eps})
    *x = double(float(*x));
  return problem;
}

}  // namespace

class CaseRun {
 public:
  // Without a subject: another drives it, by the parts that StepJudge shows.
  CaseRun(const Problem& problem, const Subject* subject, const CaseOptions& options)
      : problem_(realize(problem)),
        options_(options),
        source_(problem_),
        store_([this](Tensor& momentum, Tensor& resolution) {
          // another rule's momentum, where there is one, is its own
          const bool ours = momentum_ && momentum_->values.size() == momentum.size();
          if (ours) momentum.data = momentum_->values.data;
          if (ours) resolution = momentum_->resolution;
          if (!ours) resolution = {};
        }),
        local_(reference::make_plumbline(problem_.options, problem_.shape, store_, uint32_t(problem_.place))),
        vacuity_(problem_, store_),
        acted_(problem_) {
    judges_.reserve(kQuantities);
    for (int q = 0; q < kQuantities; ++q) judges_.emplace_back(static_cast<Quantity>(q));
    source_.initial_parameter(parameter_);
    if (options.global) ledger_.emplace(problem_, parameter_.values);
    times_.generate += watch_.lap();
    if (subject) {
      session_ = subject->start(problem_, parameter_.bytes);
      arithmetic_ = session_->arithmetic();
    }
    if (options_.twin) twin_ = options_.twin->start(problem_, parameter_.bytes);
    times_.subject += watch_.lap();
    for (const SlotInfo& slot : slot_table())
      if (const Tensor* state = local_.state(slot.slot)) before_.slot[slot.slot].values = *state;
  }

  void run() {
    for (int64_t step = 1; step <= problem_.steps; ++step) take_step(step);
    for (const SlotState& slot : previous_.state)
      if (has_codes(slot.storage))
        vacuity_.observe_codes(slot.slot, slot.count, std::min<int64_t>(slot.row_length(), slot.block),
                               use_[slot.slot].codes);
    for (const SlotInfo& slot : slot_table())
      if (use_[slot.slot].moved_by_rounding > 0)
        vacuity_.note(slot.momentum ? Feature::momentum_rounding : Feature::rounding);
  }

  void finish(CaseResult& out) const {
    for (const QuantityJudge& judge : judges_)
      if (judge.touched()) out.quantities.push_back(judge.result());
    out.window = window_;
    out.evidence = evidence_;
    if (const QuantityJudge* first = first_broken()) {
      const QuantityResult& r = first->result();
      out.verdict = Verdict::fail;
      out.first_broken = r.quantity;
      out.first_broken_step = first->first_broken_step();
      out.reason = fmt::format(
          "{} first broken at step {}; worst at step {}, element {}: got {:.9g}, expected {} (error/bound {:.3g})",
          to_string(r.quantity), first->first_broken_step(), r.worst.step, r.worst.index, r.worst.got,
          admitted(r.worst.expected, r.worst.bound), r.worst.ratio);
    } else if (const auto why = vacuity_.reason()) {
      out.verdict = Verdict::vacuous;
      out.reason = *why;
    }
    for (const StoredUpdate* stored : {&stored_averages_, &stored_momentum_})
      if (stored->elements > 0) out.stored_updates.push_back(*stored);
    out.times = times_;
    out.drift = drift_;
    acted_.describe(clock_ > 0, vacuity_, out);
  }

  uint64_t bits() const { return bits_.value(); }

  // --- for who drives it step by step ---

  const std::vector<std::byte>& initial_parameter() const { return parameter_.bytes; }
  void set_arithmetic(const Arithmetic& arithmetic) { arithmetic_ = arithmetic; }
  // The gradient of this step as the subject gets it. `poisoned`: with a NaN in the middle.
  std::span<const std::byte> prepare(int64_t step, bool poisoned = false) {
    watch_.lap();
    source_.gradient(step, gradient_);
    if (poisoned) {
      const auto at = size_t(gradient_.values.size() / 2);
      gradient_.values.data[int64_t(at)] = std::numeric_limits<double>::quiet_NaN();
      store(problem_.gradient, {gradient_.values.data.data() + at, 1},
            gradient_.bytes.data() + at * size_of(problem_.gradient));
    }
    scale_gradient();
    times_.generate += watch_.lap();
    return gradient_.bytes;
  }
  Observation& observed() { return observed_; }
  // Judges what the subject left in observed() after that gradient.
  void judge_step(int64_t step) {
    check_shown(problem_, before_, parameter_.bytes.size(), observed_, writes_beyond_);
    decode();
    times_.compare += watch_.lap();
    compare_with_reference(step);
  }
  // What an operation between steps left in observed(): parameter, clock and norms as they were, and of the state what
  // `kept` says. `now`: the problem from here on.
  void judge_kept(int64_t step, const Problem& now, Kept kept) {
    const bool had_state = previous_valid_;
    problem_ = realize(now);
    local_ = reference::make_plumbline(problem_.options, problem_.shape, store_, uint32_t(problem_.place));
    int64_t writes_beyond = writes_beyond_;
    for (const SlotState& slot : observed_.state) writes_beyond = int64_t(slot.writes) - observed_.steps_taken;
    check_shown(problem_, before_, parameter_.bytes.size(), observed_, writes_beyond);
    auto same = [&](Quantity q, bool equal) { judge(q).element(step, 0, equal ? 0 : 1, 0, 0); };
    same(Quantity::parameter, observed_.parameter == parameter_.bytes);
    same(Quantity::clock, observed_.steps_taken == clock_ || kept == Kept::codes);
    if (observed_.previous_norm)
      same(Quantity::previous_norm,
           std::bit_cast<uint64_t>(*observed_.previous_norm) == std::bit_cast<uint64_t>(before_.previous_norm));
    decode();
    for (size_t i = 0; had_state && i < observed_.state.size(); ++i) {
      const SlotState& slot = observed_.state[i];
      const auto was = std::find_if(previous_.state.begin(), previous_.state.end(),
                                    [&](const SlotState& s) { return s.slot == slot.slot; });
      if (was == previous_.state.end()) continue;
      const bool same_form = was->storage == slot.storage && was->block == slot.block && was->rounding == slot.rounding;
      if (kept == Kept::values && (!same_form || slot.writes == was->writes + 1))
        judge_encoded(step, slot, i);
      else
        same(info(slot.slot).stored(), same_form && slot.values == was->values &&
                                           same_words(slot.scales, was->scales) &&
                                           (slot.writes == was->writes || kept == Kept::codes));
    }
    writes_beyond_ = writes_beyond;
    clock_ = observed_.steps_taken;
    keep_failure(step);
    if (observed_.steps_taken > 0)
      for (size_t i = 0; i < observed_.state.size(); ++i) std::swap(before_.slot[observed_.state[i].slot], decoded_[i]);
    momentum_ = nullptr;
    std::swap(previous_, observed_);
  }
  bool broken() const { return first_broken() != nullptr; }
  int64_t clock() const { return clock_; }

 private:
  QuantityJudge& judge(Quantity q) { return (*into_)[size_t(q)]; }

  // The first excess in time, then in the order of the computation, names the stage.
  const QuantityJudge* first_broken() const {
    const QuantityJudge* first = nullptr;
    for (const QuantityJudge& judge : judges_)
      if (judge.broken() && (!first || std::pair(judge.first_broken_step(), stage(judge)) <
                                           std::pair(first->first_broken_step(), stage(*first))))
        first = &judge;
    return first;
  }

  // The place of a quantity in the computation: its number, but a momentum of the update comes after the clip, and the
  // bias correction, which follows from the clock alone, before the averages that are raised to what codes resolve.
  double stage(const QuantityJudge& j) const {
    const Quantity q = j.result().quantity;
    if (q == Quantity::bias) return double(Quantity::parameter_rms) - 0.5;
    const bool momentum = q >= Quantity::momentum && q <= Quantity::momentum_stored;
    return momentum && problem_.of_update()
               ? double(Quantity::clip) + 0.1 * (1 + double(q) - double(Quantity::momentum))
               : double(q);
  }

  void take_step(int64_t step) {
    session_->step(prepare(step), observed_);
    add_bits(observed_, bits_);
    times_.subject += watch_.lap();
    judge_step(step);
  }

  void compare_with_reference(int64_t step) {
    // The reference, from the subject's own state; after the momentum it goes on from what the subject stored.
    const int64_t t = clock_ + 1;
    local_.set_step_count(clock_);
    set_state(local_, before_);
    expected_ = parameter_.values;
    record_.skipped = false;
    local_.step(expected_, gradient_.values, &record_);
    times_.reference += watch_.lap();
    if (!record_.skipped)
      derive_bounds(problem_, arithmetic_, before_, record_, momentum_, parameter_.values, expected_, bounds_);
    vacuity_.observe({t, before_, gradient_.values, record_, parameter_.values, expected_, bounds_, momentum_state_});
    acted_.note(record_);
    times_.contract += watch_.lap();

    if (twin_) {
      twin_->step(gradient_.bytes, twin_observed_);
      judge(Quantity::twin_bits).element(step, 0, double(differing_words(observed_, twin_observed_)), 0, 0);
      times_.compare += watch_.lap();
    }
    judge(Quantity::clock).element(step, 0, double(observed_.steps_taken), double(record_.skipped ? clock_ : t), 0);
    if (observed_.nonfinite)
      judge(Quantity::nonfinite).element(step, 0, double(*observed_.nonfinite), double(record_.nonfinite), 0);
    if (record_.skipped)
      judge_skipped(step);
    else
      judge_stages(step);

    advance(step);
    times_.compare += watch_.lap();
  }

  // The product of two float32, rounded once, is what every stage reads: no error of its own.
  void scale_gradient() {
    if (problem_.gradient_scale == 1) return;
    for (double& g : gradient_.values.data) g = double(float(g * problem_.gradient_scale));
  }

  void decode() {
    decoded_.resize(observed_.state.size());
    momentum_ = nullptr;
    momentum_state_ = nullptr;
    for (size_t i = 0; i < observed_.state.size(); ++i) {
      const SlotState& slot = observed_.state[i];
      decode_slot(slot, arithmetic_, before_.slot[slot.slot].values.shape, decoded_[i], seed());
      if (!info(slot.slot).momentum) continue;
      momentum_ = &decoded_[i];
      momentum_state_ = &slot;
    }
  }
  uint32_t seed() const { return uint32_t(problem_.seed); }

  static bool same_words(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
  // Values of before, encoded as the slot is kept now: they are exact.
  void judge_encoded(int64_t step, const SlotState& slot, size_t i) {
    const Tensor &exact = before_.slot[slot.slot].values, &relative = before_.slot[slot.slot].relative_error;
    Tensor bound(exact.shape);  // the subject's own reading of what was stored
    if (relative.size() == exact.size()) bound.data = exact.data.abs() * relative.data;
    const SlotInfo& of = info(slot.slot);
    judge_slot(step, slot, arithmetic_, exact, bound, decoded_[i].values,
               {judge(of.scale), judge(of.code()), judge(of.stored())}, use_[slot.slot], seed());
  }

  void judge_stages(int64_t step) {
    auto scalar = [&](Quantity q, const auto& got, double expected, double bound) {
      if (got) judge(q).element(step, 0, double(*got), expected, bound);
    };
    auto array = [&](Quantity q, const std::optional<std::vector<float>>& got, const Tensor& expected,
                     const Tensor& bound) {
      if (!got || expected.size() == 0) return;
      const auto n = size_t(expected.size());
      judge(q).array(step, *got, {expected.data.data(), n}, {bound.data.data(), n});
    };
    if (!std::isnan(record_.parameter_rms))
      scalar(Quantity::parameter_rms, observed_.parameter_rms, record_.parameter_rms, bounds_.parameter_rms);
    for (const SlotInfo& slot : slot_table())
      array(slot.used, observed_.*slot.observed, record_.*slot.recorded, bounds_.slot[slot.slot]);
    array(Quantity::low_rank_gradient, observed_.low_rank_gradient, record_.low_rank_gradient,
          bounds_.low_rank_gradient);
    array(Quantity::channel_scale, observed_.channel_scale, record_.channel_scale, bounds_.channel_scale);
    if (problem_.options.clip > 0) {
      scalar(Quantity::update_rms, observed_.update_rms, record_.update_rms, bounds_.update_rms);
      scalar(Quantity::clip, observed_.clip, record_.clip, bounds_.clip);
    }
    if (problem_.options.limiter_margin) {
      scalar(Quantity::update_norm, observed_.update_norm, record_.update_norm, bounds_.update_norm);
      scalar(Quantity::limiter, observed_.limiter, record_.limiter, bounds_.limiter);
      scalar(Quantity::previous_norm, observed_.previous_norm, record_.update_norm / record_.limiter,
             bounds_.previous_norm);
    }
    if (problem_.options.beta1) scalar(Quantity::bias, observed_.bias, record_.bias, bounds_.bias);
    scalar(Quantity::step_size, observed_.step_size, record_.step_size, bounds_.step_size);
    scalar(Quantity::keep, observed_.keep, record_.keep, bounds_.keep);
    for (size_t i = 0; i < observed_.state.size(); ++i) {
      const SlotInfo& slot = info(observed_.state[i].slot);
      judge_slot(step, observed_.state[i], arithmetic_, record_.*slot.recorded, bounds_.slot[slot.slot],
                 decoded_[i].values, {judge(slot.scale), judge(slot.code()), judge(slot.stored())}, use_[slot.slot],
                 seed(), problem_.path() == reference::Path::projected ? bounds_.least_low_rank : 0);
    }
    judge_update(step);
    const auto n = size_t(expected_.size());
    const std::span<const double> expected(expected_.data.data(), n), bound(bounds_.parameter.data.data(), n);
    if (problem_.parameter_rounding == Rounding::stochastic && problem_.parameter != DType::float32) {
      if (judge_drawn_parameters(judge(Quantity::parameter), step, problem_, clock_, observed_.parameter, expected,
                                 bound) > 0)
        vacuity_.note(Feature::parameter_rounding);
    } else {
      judge(Quantity::parameter).stored(step, problem_.parameter, observed_.parameter, expected, bound);
    }
  }

  // What storing did to the update, where the subject shows its state before coding.
  void judge_update(int64_t step) {
    QuantityJudge& into = judge(Quantity::update_stored);
    for (size_t i = 0; i < observed_.state.size(); ++i) {
      const SlotState& slot = observed_.state[i];
      const SlotInfo& about = info(slot.slot);
      const auto& used = observed_.*about.observed;
      if (!used || int64_t(used->size()) != slot.count || slot.storage == Storage::fp32) continue;
      StoredUpdate& sum = about.momentum ? stored_momentum_ : stored_averages_;
      if (sum.state.empty())
        sum.state = fmt::format("{} in {} {}", about.momentum ? "momentum" : "averages", to_string(slot.storage),
                                to_string(slot.rounding));
      if (!about.momentum)
        judge_stored_average(step, slot, arithmetic_, seed(), *used, decoded_[i].values, into, sum);
      else if (take_units(decoded_[i].resolution.data))
        judge_stored_momentum(step, slot, arithmetic_, seed(), *used, decoded_[i].values, decoded_[i].resolution.data,
                              units_, into, sum);
    }
  }

  // Of the step's momentum; false where confidence or a projection comes in between.
  bool take_units(const reference::Vector& step_of_codes) {
    if (problem_.confident() || problem_.path() == reference::Path::projected) return false;
    auto& [unit, lifted, worth] = units_;
    const Eigen::Index n = expected_.size();
    unit.setConstant(n, 1);
    lifted.setConstant(n, 1);
    worth.resize(0);
    if (problem_.of_update()) return true;
    const auto raised = [&](reference::Slot slot) -> const Tensor& {
      return bounds_.raised[slot].size() > 0 ? bounds_.raised[slot] : record_.*info(slot).recorded;
    };
    const double b = problem_.options.relative_step ? 1 : record_.bias;
    if (!problem_.factored()) {
      const Tensor& v = raised(reference::Slot::second_moment);
      unit = b / v.data.sqrt();
      lifted = (record_.second_moment.data / v.data).sqrt();
      promise_full(step_of_codes, units_);
      return true;
    }
    const Tensor &row = raised(reference::Slot::row), &col = raised(reference::Slot::col);
    const Eigen::Index rows = row.shape[1], cols = col.shape[1];
    for (Eigen::Index i = 0; i < n; ++i) {
      const Eigen::Index slice = i / (rows * cols), r = i / cols, c = slice * cols + i % cols;
      unit[i] = b / std::sqrt(row.data[r] * col.data[c] / record_.row_mean[slice]);
      lifted[i] = std::sqrt(record_.row.data[r] / row.data[r] * (record_.col.data[c] / col.data[c]));
    }
    if (step_of_codes.size() == n)
      promise_factored(step_of_codes, b, record_.row, record_.col, record_.row_mean, units_);
    return true;
  }

  // A skipped step leaves every byte.
  void judge_skipped(int64_t step) {
    auto same = [&](Quantity q, bool equal) { judge(q).element(step, 0, equal ? 0 : 1, 0, 0); };
    same(Quantity::parameter, observed_.parameter == parameter_.bytes);
    if (!previous_valid_) {  // state as it began: zero, but in a storage that has no code for it
      for (size_t i = 0; i < observed_.state.size(); ++i) {
        const SlotState& now = observed_.state[i];
        if (now.storage != Storage::log_u8 && now.storage != Storage::linear_u8)
          same(info(now.slot).stored(), (decoded_[i].values.data == before_.slot[now.slot].values.data).all());
      }
      if (observed_.previous_norm) same(Quantity::previous_norm, *observed_.previous_norm == 0);
      return;
    }
    for (size_t i = 0; i < observed_.state.size() && i < previous_.state.size(); ++i) {
      const SlotState &now = observed_.state[i], &was = previous_.state[i];
      same(info(now.slot).stored(),
           now.values == was.values && now.writes == was.writes && same_words(now.scales, was.scales));
    }
    if (observed_.previous_norm && previous_.previous_norm)
      same(Quantity::previous_norm,
           std::bit_cast<uint64_t>(*observed_.previous_norm) == std::bit_cast<uint64_t>(*previous_.previous_norm));
  }

  // What the subject left is where the next step starts.
  void advance(int64_t step) {
    views_.clear();
    for (size_t i = 0; ledger_ && i < observed_.state.size(); ++i) {
      const SlotInfo& slot = info(observed_.state[i].slot);
      const auto& used = observed_.*slot.observed;
      views_.push_back({slot.slot, &decoded_[i].values, used ? std::span<const float>(*used) : std::span<const float>(),
                        &(record_.*slot.recorded), observed_.state[i].storage == Storage::fp32});
    }
    if (ledger_)
      ledger_->step(step, gradient_.values, bounds_, views_, &expected_, observed_.parameter, judges_,
                    options_.record_drift ? &drift_ : nullptr);
    keep_failure(step);
    // Before the first step that is taken, averages are zero, also in a storage without a code for it.
    if (observed_.steps_taken > 0)
      for (size_t i = 0; i < observed_.state.size(); ++i) std::swap(before_.slot[observed_.state[i].slot], decoded_[i]);
    carry_hidden();
    momentum_ = nullptr;
    before_.previous_norm = observed_.previous_norm.value_or(0);
    parameter_.bytes = observed_.parameter;
    load(problem_.parameter, parameter_.bytes.data(),
         {parameter_.values.data.data(), size_t(parameter_.values.size())});
    clock_ = observed_.steps_taken;
    std::swap(previous_, observed_);
    previous_valid_ = true;
  }

  // An average that is not shown is the reference's, within the bound of what the subject may have made of it.
  void carry_hidden() {
    if (record_.skipped) return;
    for (const SlotInfo& slot : slot_table()) {
      DecodedSlot& before = before_.slot[slot.slot];
      if (before.values.size() == 0 || std::any_of(observed_.state.begin(), observed_.state.end(),
                                                   [&](const SlotState& s) { return s.slot == slot.slot; }))
        continue;
      before.values = record_.*slot.recorded;
      before.relative_error = Tensor(before.values.shape, bounds_.slot[slot.slot].data / before.values.data);
    }
  }

  // Before the step's inputs are overwritten.
  void keep_failure(int64_t step) {
    const QuantityJudge* broken = window_ ? nullptr : first_broken();
    if (broken) window_ = around_worst(*broken);
    if (options_.evidence_step ? *options_.evidence_step == step : options_.evidence && broken)
      evidence_ = std::make_shared<const Evidence>(gather_evidence(
          {problem_, step, gradient_.bytes, parameter_.bytes, previous_valid_ ? &previous_ : nullptr, observed_,
           twin_ ? &twin_observed_ : nullptr, record_.skipped ? nullptr : &record_, expected_, bounds_}));
  }

  // Judges the step once more to see the elements near the worst one.
  ElementWindow around_worst(const QuantityJudge& broken) {
    constexpr int64_t kBeside = 4;
    const WorstElement& worst = broken.result().worst;
    const Quantity quantity = broken.result().quantity;
    ElementWindow window;
    if (!record_.skipped && worst.step == broken.first_broken_step()) {
      std::vector<QuantityJudge> probes;
      probes.reserve(kQuantities);
      for (int q = 0; q < kQuantities; ++q) probes.emplace_back(static_cast<Quantity>(q));
      for (QuantityJudge& probe : probes) probe.watch(worst.index - kBeside, worst.index + kBeside);
      into_ = &probes;
      judge_stages(worst.step);
      into_ = &judges_;
      window = *probes[size_t(quantity)].watched();
    }
    if (window.index.empty())  // judged outside of the stages
      window = {quantity,      worst.step,    {}, {worst.index}, {worst.got}, {worst.expected},
                {worst.bound}, {worst.ratio}, {}};
    describe_storage(problem_, observed_, window);
    return window;
  }

  Problem problem_;
  CaseOptions options_;
  DataSource source_;
  const DecodedSlot* momentum_ = nullptr;  // as the subject stored it in this step
  const SlotState* momentum_state_ = nullptr;
  reference::MomentumStore store_;
  reference::Optimizer local_;
  std::optional<Ledger> ledger_;
  Vacuity vacuity_;
  OptionsActed acted_;
  std::vector<QuantityJudge> judges_;
  std::vector<QuantityJudge>* into_ = &judges_;
  Checksum bits_;
  std::optional<ElementWindow> window_;
  std::shared_ptr<const Evidence> evidence_;
  std::unique_ptr<Session> session_, twin_;
  Arithmetic arithmetic_;

  Realized parameter_, gradient_;
  int64_t clock_ = 0;
  StateBefore before_;
  Tensor expected_;
  reference::StepRecord record_;
  StepBounds bounds_;
  Observation observed_, previous_, twin_observed_;
  bool previous_valid_ = false;
  int64_t writes_beyond_ = 0;  // of the state's slots, beside one a step
  std::vector<DecodedSlot> decoded_;
  PerSlot<CodeUse> use_;
  std::vector<SlotView> views_;
  std::vector<DriftPoint> drift_;
  MomentumUnits units_;
  StoredUpdate stored_averages_, stored_momentum_;
  CaseTimes times_;
  Stopwatch watch_;
};

struct StepJudge::Impl : CaseRun {
  using CaseRun::CaseRun;
};
StepJudge::StepJudge(const Problem& problem)
    : impl_(std::make_unique<Impl>(problem, nullptr, CaseOptions{.suite = "", .global = false})) {}
StepJudge::~StepJudge() = default;
StepJudge::StepJudge(StepJudge&&) noexcept = default;
const std::vector<std::byte>& StepJudge::initial_parameter() const { return impl_->initial_parameter(); }
void StepJudge::set_arithmetic(const Arithmetic& arithmetic) { impl_->set_arithmetic(arithmetic); }
std::span<const std::byte> StepJudge::gradient(int64_t step, bool poisoned) { return impl_->prepare(step, poisoned); }
Observation& StepJudge::observed() { return impl_->observed(); }
void StepJudge::judge_step(int64_t step) { impl_->judge_step(step); }
void StepJudge::judge_kept(int64_t step, const Problem& now, Kept kept) { impl_->judge_kept(step, now, kept); }
int64_t StepJudge::clock() const { return impl_->clock(); }
bool StepJudge::broken() const { return impl_->broken(); }
void StepJudge::finish(CaseResult& out) const { impl_->finish(out); }

CaseResult run_case(const Problem& problem, const Subject& subject, const CaseOptions& options) {
  CaseResult result;
  result.line = to_string(problem);
  result.suite = options.suite;
  result.subject = subject.name();
  result.elements = problem.elements();
  result.steps = problem.steps;
  validate(problem);
  if (const std::string why = subject.cannot_run(problem); !why.empty()) {
    result.verdict = Verdict::skipped;
    result.reason = why;
    return result;
  }
  try {
    CaseRun run(problem, &subject, options);
    run.run();
    run.finish(result);
    result.bits = run.bits();
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& e) {
    result.verdict = Verdict::error;
    result.reason = e.what();
  }
  return result;
}

}  // namespace plumbline::harness
