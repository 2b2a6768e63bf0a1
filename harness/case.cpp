#include "harness/case.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>

#include "harness/contracts/codes.h"
#include "harness/data.h"
#include "harness/error.h"
#include "harness/ledger.h"
#include "harness/vacuity.h"

namespace plumbline::harness {
namespace {

using reference::Slot;
using reference::Tensor;

class Stopwatch {
 public:
  // Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// What production stores as float32 is what the reference reads.
Problem realize(Problem problem) {
  problem.options.eps1 = double(float(problem.options.eps1));
  return problem;
}

// Words that differ between two subjects' observations. A part that only one of them shows counts too.
uint64_t differing_words(const Observation& a, const Observation& b) {
  uint64_t differing = 0;
  auto bytes = [&](const void* x, size_t x_bytes, const void* y, size_t y_bytes, size_t width) {
    if (x_bytes != y_bytes) {
      differing += std::max(x_bytes, y_bytes) / width;
      return;
    }
    const auto *p = static_cast<const std::byte*>(x), *q = static_cast<const std::byte*>(y);
    if (x_bytes == 0 || std::memcmp(p, q, x_bytes) == 0) return;
    for (size_t i = 0; i < x_bytes; i += width) differing += std::memcmp(p + i, q + i, width) != 0;
  };
  auto vector = [&](const auto& x, const auto& y) {
    bytes(x.data(), x.size() * sizeof(x[0]), y.data(), y.size() * sizeof(y[0]), sizeof(x[0]));
  };
  auto scalar = [&](const auto& x, const auto& y) {
    if (x && y)
      bytes(&*x, sizeof(*x), &*y, sizeof(*y), sizeof(*x));
    else
      differing += x.has_value() != y.has_value();
  };
  vector(a.parameter, b.parameter);
  scalar(a.nonfinite, b.nonfinite);
  scalar(a.parameter_rms, b.parameter_rms);
  scalar(a.update_rms, b.update_rms);
  scalar(a.clip, b.clip);
  scalar(a.step_size, b.step_size);
  scalar(a.keep, b.keep);
  const std::vector<float> none;
  vector(a.row ? *a.row : none, b.row ? *b.row : none);
  vector(a.col ? *a.col : none, b.col ? *b.col : none);
  vector(a.second_moment ? *a.second_moment : none, b.second_moment ? *b.second_moment : none);
  differing += a.state.size() != b.state.size() || a.steps_taken != b.steps_taken;
  for (size_t i = 0; i < std::min(a.state.size(), b.state.size()); ++i) {
    vector(a.state[i].values, b.state[i].values);
    vector(a.state[i].scales, b.state[i].scales);
  }
  return differing;
}

class CaseRun {
 public:
  CaseRun(const Problem& problem, const Subject& subject, const CaseOptions& options)
      : problem_(realize(problem)),
        options_(options),
        source_(problem_),
        local_(reference::make_plumbline(problem_.options, problem_.shape)),
        vacuity_(problem_) {
    for (int q = 0; q < kQuantities; ++q) judges_.emplace_back(static_cast<Quantity>(q));
    source_.initial_parameter(parameter_);
    ledger_.emplace(problem_, parameter_.values);
    times_.generate += watch_.lap();
    session_ = subject.start(problem_, parameter_.bytes);
    arithmetic_ = session_->arithmetic();
    if (options_.twin) twin_ = options_.twin->start(problem_, parameter_.bytes);
    times_.subject += watch_.lap();
    for (const Slot slot : {Slot::row, Slot::col, Slot::second_moment})
      if (const Tensor* state = local_.state(slot))
        (slot == Slot::row ? before_.row : slot == Slot::col ? before_.col : before_.second_moment) = *state;
  }

  void run() {
    for (int64_t step = 1; step <= problem_.steps; ++step) take_step(step);
    for (size_t i = 0; i < previous_.state.size(); ++i)
      if (previous_.state[i].storage != Storage::fp32)
        vacuity_.observe_codes(previous_.state[i].slot, previous_.state[i].count, codes_[i]);
  }

  void finish(CaseResult& out) const {
    for (const QuantityJudge& judge : judges_)
      if (judge.touched()) out.quantities.push_back(judge.result());
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
          "{} first broken at step {}; worst at step {}, element {}: got {:.9g}, expected {:.9g} +- {:.3g} "
          "(error/bound {:.3g})",
          to_string(r.quantity), first->first_broken_step(), r.worst.step, r.worst.index, r.worst.got, r.worst.expected,
          r.worst.bound, r.worst.ratio);
    } else if (const auto why = vacuity_.reason()) {
      out.verdict = Verdict::vacuous;
      out.reason = *why;
    }
    out.times = times_;
    out.drift = drift_;
    describe_options(out);
  }

 private:
  QuantityJudge& judge(Quantity q) { return judges_[size_t(q)]; }

  void take_step(int64_t step) {
    watch_.lap();
    source_.gradient(step, gradient_);
    times_.generate += watch_.lap();

    // The reference, from the subject's own state.
    const int64_t t = clock_ + 1;
    local_.set_step_count(clock_);
    set_state(local_, before_);
    expected_ = parameter_.values;
    record_.skipped = false;
    local_.step(expected_, gradient_.values, &record_);
    times_.reference += watch_.lap();
    if (!record_.skipped) derive_bounds(problem_, arithmetic_, before_, record_, parameter_.values, expected_, bounds_);
    vacuity_.observe(t, before_, gradient_.values, record_, parameter_.values, expected_, bounds_);
    note_options();
    times_.contract += watch_.lap();

    session_->step(gradient_.bytes, observed_);
    times_.subject += watch_.lap();
    if (twin_) {
      twin_->step(gradient_.bytes, twin_observed_);
      judge(Quantity::twin_bits).element(step, 0, double(differing_words(observed_, twin_observed_)), 0, 0);
      times_.compare += watch_.lap();
    }

    judge(Quantity::clock).element(step, 0, double(observed_.steps_taken), double(record_.skipped ? clock_ : t), 0);
    if (observed_.nonfinite)
      judge(Quantity::nonfinite).element(step, 0, double(*observed_.nonfinite), double(record_.nonfinite), 0);
    if (observed_.parameter.size() != parameter_.bytes.size())
      throw std::runtime_error("the parameter changed its size");
    decoded_.resize(observed_.state.size());
    codes_.resize(observed_.state.size());
    for (const SlotState& slot : observed_.state) check_kind(slot);
    for (size_t i = 0; i < observed_.state.size(); ++i)
      decode_slot(observed_.state[i], arithmetic_, slot_before(observed_.state[i].slot).shape, decoded_[i]);
    if (record_.skipped)
      judge_skipped(step);
    else
      judge_stages(step);

    advance(step);
    times_.compare += watch_.lap();
  }

  // State is kept as the case asks, not in a way that is easier to get right.
  void check_kind(const SlotState& slot) const {
    const Storage wanted = problem_.effective_storage();
    if (slot.storage != wanted)
      throw std::runtime_error(
          fmt::format("state kept in {}: expected {}", to_string(slot.storage), to_string(wanted)));
    if (wanted != Storage::fp32 && slot.block != problem_.block)
      throw std::runtime_error(fmt::format("state in blocks of {}: expected blocks of {}", slot.block, problem_.block));
  }

  void judge_stages(int64_t step) {
    auto scalar = [&](Quantity q, const auto& got, double expected, double bound) {
      if (got) judge(q).element(step, 0, double(*got), expected, bound);
    };
    auto average = [&](Quantity q, const std::optional<std::vector<float>>& got, const Tensor& expected,
                       const Tensor& bound) {
      if (!got || expected.size() == 0) return;
      const auto n = size_t(expected.size());
      judge(q).array(step, *got, {expected.data.data(), n}, {bound.data.data(), n});
    };
    if (!std::isnan(record_.parameter_rms))
      scalar(Quantity::parameter_rms, observed_.parameter_rms, record_.parameter_rms, bounds_.parameter_rms);
    average(Quantity::row, observed_.row, record_.row, bounds_.row);
    average(Quantity::col, observed_.col, record_.col, bounds_.col);
    average(Quantity::second_moment, observed_.second_moment, record_.second_moment, bounds_.second_moment);
    if (problem_.options.clip > 0) {
      scalar(Quantity::update_rms, observed_.update_rms, record_.update_rms, bounds_.update_rms);
      scalar(Quantity::clip, observed_.clip, record_.clip, bounds_.clip);
    }
    scalar(Quantity::step_size, observed_.step_size, record_.step_size, bounds_.step_size);
    scalar(Quantity::keep, observed_.keep, record_.keep, bounds_.keep);
    for (size_t i = 0; i < observed_.state.size(); ++i) {
      const Slot slot = observed_.state[i].slot;
      const auto [expected, bound] = slot == Slot::row   ? std::pair(&record_.row, &bounds_.row)
                                     : slot == Slot::col ? std::pair(&record_.col, &bounds_.col)
                                                         : std::pair(&record_.second_moment, &bounds_.second_moment);
      const Quantity scale = slot == Slot::row   ? Quantity::row_scale
                             : slot == Slot::col ? Quantity::col_scale
                                                 : Quantity::second_moment_scale;
      auto next = [&](int k) -> QuantityJudge& { return judges_[size_t(scale) + size_t(k)]; };
      judge_slot(step, observed_.state[i], arithmetic_, *expected, *bound, decoded_[i].values,
                 {next(0), next(1), next(2)}, codes_[i]);
    }
    const auto n = size_t(expected_.size());
    judge(Quantity::parameter)
        .stored(step, problem_.parameter, observed_.parameter, {expected_.data.data(), n},
                {bounds_.parameter.data.data(), n});
  }

  // A skipped step leaves every byte.
  void judge_skipped(int64_t step) {
    auto same = [&](Quantity q, bool equal) { judge(q).element(step, 0, equal ? 0 : 1, 0, 0); };
    same(Quantity::parameter, observed_.parameter == parameter_.bytes);
    if (!previous_valid_) return;
    for (size_t i = 0; i < observed_.state.size() && i < previous_.state.size(); ++i) {
      const Slot slot = observed_.state[i].slot;
      const Quantity q = slot == Slot::row   ? Quantity::row_stored
                         : slot == Slot::col ? Quantity::col_stored
                                             : Quantity::second_moment_stored;
      const SlotState &now = observed_.state[i], &was = previous_.state[i];
      same(q, now.values == was.values && now.scales.size() == was.scales.size() &&
                  (now.scales.empty() ||
                   std::memcmp(now.scales.data(), was.scales.data(), now.scales.size() * sizeof(float)) == 0));
    }
  }

  // What the subject left is where the next step starts.
  void advance(int64_t step) {
    views_.clear();
    for (size_t i = 0; i < observed_.state.size(); ++i) {
      const Slot slot = observed_.state[i].slot;
      const auto& used = slot == Slot::row   ? observed_.row
                         : slot == Slot::col ? observed_.col
                                             : observed_.second_moment;
      views_.push_back({slot, &decoded_[i].values, used ? std::span<const float>(*used) : std::span<const float>()});
    }
    ledger_->step(step, gradient_.values, bounds_, views_, observed_.parameter, judges_,
                  options_.record_drift ? &drift_ : nullptr);
    for (size_t i = 0; i < observed_.state.size(); ++i) {
      const Slot slot = observed_.state[i].slot;
      slot_before(slot) = decoded_[i].values;
      (slot == Slot::row   ? before_.row_error
       : slot == Slot::col ? before_.col_error
                           : before_.second_moment_error) = decoded_[i].relative_error;
    }
    parameter_.bytes = observed_.parameter;
    load(problem_.parameter, parameter_.bytes.data(),
         {parameter_.values.data.data(), size_t(parameter_.values.size())});
    clock_ = observed_.steps_taken;
    std::swap(previous_, observed_);
    previous_valid_ = true;
  }

  Tensor& slot_before(Slot slot) {
    return slot == Slot::row ? before_.row : slot == Slot::col ? before_.col : before_.second_moment;
  }

  void note_options() {
    const auto& o = problem_.options;
    clip_acted_ |= record_.clip > 1;
    eps2_acted_ |= o.scale_parameter && record_.parameter_rms < o.eps2;
    decay_acted_ |= record_.keep != 1;
    relative_acted_ |= o.relative_step && record_.rho < o.lr;
    nonfinite_seen_ |= record_.nonfinite > 0;
  }

  void describe_options(CaseResult& out) const {
    const auto& o = problem_.options;
    const bool stepped = clock_ > 0;
    auto use = [&](std::string value, bool acted) { out.options.push_back({std::move(value), acted && stepped}); };
    use(problem_.factored()         ? "moment=factored"
        : problem_.shape.size() < 2 ? "moment=vector"
                                    : "moment=unfactored",
        true);
    use(fmt::format("storage={}", to_string(problem_.effective_storage())), true);
    use(fmt::format("param={}", to_string(problem_.parameter)), true);
    use(fmt::format("grad={}", to_string(problem_.gradient)), true);
    use(problem_.block == 2048 ? "block=2048" : "block<2048", problem_.effective_storage() != Storage::fp32);
    use(o.clip > 0 ? "clip=on" : "clip=off", o.clip > 0 ? clip_acted_ : true);
    use(o.scale_parameter ? "scale_parameter=true" : "scale_parameter=false", true);
    if (o.scale_parameter) use("eps2=floor", eps2_acted_);
    use(o.relative_step ? "relative_step=true" : "relative_step=false", o.relative_step ? relative_acted_ : true);
    use(o.beta2 ? "beta2=fixed" : "beta2=schedule", problem_.steps > 1);
    if (o.weight_decay > 0)
      use(o.weight_decay_by == reference::DecayScale::lr ? "weight_decay=lr" : "weight_decay=step_size", decay_acted_);
    if (o.maximize) use("maximize=true", true);
    use(problem_.carried_norm ? "parameter_norm=carried" : "parameter_norm=fresh",
        o.scale_parameter && (!problem_.carried_norm || problem_.steps > 1));
    if (o.eps1 > 1e-25) use("eps1=active", vacuity_.acted(Feature::eps1));
    if (problem_.data.regime == Regime::nonfinite && problem_.data.trace.empty())
      out.options.push_back({fmt::format("nonfinite={}", reference::get_option(o, "nonfinite")), nonfinite_seen_});
    use(fmt::format("data={}", problem_.data.trace.empty() ? to_string(problem_.data.regime) : "trace"), true);
  }

  Problem problem_;
  CaseOptions options_;
  DataSource source_;
  reference::Optimizer local_;
  std::optional<Ledger> ledger_;
  Vacuity vacuity_;
  std::vector<QuantityJudge> judges_;
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
  std::vector<DecodedSlot> decoded_;
  std::vector<std::bitset<256>> codes_;
  std::vector<SlotView> views_;
  std::vector<DriftPoint> drift_;
  bool clip_acted_ = false, eps2_acted_ = false, decay_acted_ = false, relative_acted_ = false, nonfinite_seen_ = false;
  CaseTimes times_;
  Stopwatch watch_;
};

}  // namespace

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
    CaseRun run(problem, subject, options);
    run.run();
    run.finish(result);
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& e) {
    result.verdict = Verdict::error;
    result.reason = e.what();
  }
  return result;
}

}  // namespace plumbline::harness
