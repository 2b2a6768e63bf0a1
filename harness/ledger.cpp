#include "harness/ledger.h"

#include <cmath>

namespace plumbline::harness {
namespace {

using reference::Tensor;
using reference::Vector;

}  // namespace

Ledger::Ledger(const Problem& problem, const Tensor& initial_parameter)
    : problem_(problem),
      reference_(reference::make_plumbline(problem.options, problem.shape, {}, uint32_t(problem.place))),
      parameter_(initial_parameter),
      measured_(problem.options.beta1 || problem.options.limiter_margin ||
                problem.path() == reference::Path::projected) {
  parameter_bound_ = Vector::Zero(initial_parameter.size());
  if (measured_) parameter_inputs_ = parameter_bound_, got_before_ = initial_parameter.data;
  for (const SlotInfo& info : slot_table()) {
    const Tensor* state = reference_.state(info.slot);
    if (!state) continue;
    SlotLedger ledger;
    ledger.slot = info.slot;
    ledger.quantization = ledger.rounding = Vector::Zero(state->size());
    const bool confidence = info.slot == Slot::confidence_row || info.slot == Slot::confidence_col;
    if (confidence || (info.slot == Slot::momentum && problem.of_update()))
      ledger.inputs = ledger.stored = ledger.rounding;
    slots_.push_back(std::move(ledger));
  }
}

double Ledger::old_weight(Slot slot) const {
  if (info(slot).momentum) return *problem_.options.beta1;
  if (slot == Slot::confidence_row || slot == Slot::confidence_col) return *problem_.options.beta3;
  return record_.old_weight;
}

void Ledger::step_slot(int64_t t, SlotLedger& s, const SlotView& view, const Vector& e, std::span<QuantityJudge> judges,
                       std::vector<DriftPoint>* drift) {
  const double old = old_weight(s.slot);
  const Vector& now = reference_.state(s.slot)->data;
  const bool shown = int64_t(view.unquantized.size()) == now.size();
  if (!shown && !view.local) return;
  // What the step used before storing: shown, or stored as it was; else the reference's own value stands for it, and
  // what rounding did counts as quantization: then there is nothing to judge.
  const Vector used = shown
                          ? Vector(Eigen::Map<const Eigen::ArrayXf>(view.unquantized.data(), now.size()).cast<double>())
                      : view.exact ? view.stored->data
                                   : view.local->data;
  double magnitude = 0;
  if (s.inputs.size() > 0) {
    s.inputs = old * s.inputs + (view.local->data - now) - old * (s.stored - s.before);
    s.stored = view.stored->data;
    magnitude = view.local->data.abs().maxCoeff();
  }
  s.quantization = old * s.quantization + (view.stored->data - used);
  s.rounding = old * s.rounding + e + 0x1p-48 * (now.abs() + magnitude);
  Vector explained = now + s.quantization;
  if (s.inputs.size() > 0) explained += s.inputs;
  QuantityJudge& judge = judges[size_t(info(s.slot).drift)];
  if (shown || view.exact)
    for (int64_t i = 0; i < now.size(); ++i)
      judge.element(t, i, view.stored->data[i], explained[i],
                    s.rounding[i] + 0x1p-48 * (std::fabs(s.quantization[i]) + std::fabs(explained[i])));
  if (!drift) return;
  const double norm = std::sqrt(now.square().sum());
  drift->push_back({t, info(s.slot).drift, safe_ratio(std::sqrt((view.stored->data - now).square().sum()), norm),
                    safe_ratio(std::sqrt(s.quantization.square().sum()), norm),
                    safe_ratio(s.rounding.maxCoeff(), now.abs().maxCoeff())});
}

void Ledger::step(int64_t t, const Tensor& gradient, const StepBounds& local, std::span<const SlotView> views,
                  const Tensor* local_parameter, std::span<const std::byte> parameter, std::span<QuantityJudge> judges,
                  std::vector<DriftPoint>* drift) {
  for (SlotLedger& s : slots_) s.before = reference_.state(s.slot)->data;
  parameter_before_ = parameter_.data;
  record_.skipped = false;
  reference_.step(parameter_, gradient, &record_);
  poisoned_ |= record_.nonfinite > 0 && problem_.options.nonfinite == reference::Nonfinite::propagate;
  if (poisoned_) return;  // the local comparison goes on

  if (!record_.skipped) {
    for (SlotLedger& s : slots_) {
      const SlotView* view = nullptr;
      for (const SlotView& v : views)
        if (v.slot == s.slot) view = &v;
      const Vector& e = local.slot[s.slot].data;
      if (!measured_) {
        const Vector& now = reference_.state(s.slot)->data;
        const double old = record_.old_weight;
        s.deviation = old * (s.quantization.abs() + s.rounding) + e;
        // a difference that may cancel: less what double lost in it
        s.floor = (now * (1 - 0x1p-50) - old * s.before).max(record_.weight * problem_.options.eps1);
        s.factor = (1 + s.deviation / now).max(1 / (1 - s.deviation / now).max(s.floor / now));
      }
      if (view) step_slot(t, s, *view, e, judges, drift);
    }
    if (measured_ && local_parameter)
      measure_parameter(local, *local_parameter);
    else
      bound_parameter(local);
  }

  Vector got(parameter_.size());
  load(problem_.parameter, parameter.data(), {got.data(), size_t(got.size())});
  if (!record_.skipped && problem_.parameter != DType::float32) {
    const double spacings = problem_.parameter_rounding == Rounding::nearest ? 1 : 2;
    parameter_bound_ +=
        spacings *
        (got.abs() * (unit_roundoff(problem_.parameter) * 1.01)).max(smallest_subnormal(problem_.parameter) / 2);
  }
  QuantityJudge& judge = judges[size_t(Quantity::parameter_drift)];
  const auto n = size_t(got.size());
  const Vector explained = measured_ ? Vector(parameter_.data + parameter_inputs_) : parameter_.data;
  if (parameter_bound_.isFinite().all())
    judge.array(t, std::span<const double>(got.data(), n), {explained.data(), n}, {parameter_bound_.data(), n});
  else
    for (int64_t i = 0; i < got.size(); ++i) judge.element(t, i, got[i], explained[i], parameter_bound_[i]);
  poisoned_ |= !got.allFinite();  // judged just now; the reference has a wider range and goes elsewhere from here
  if (measured_) got_before_ = got;
  if (drift)
    drift->push_back(
        {t, Quantity::parameter_drift,
         safe_ratio(std::sqrt((got - parameter_.data).square().sum()), std::sqrt(parameter_.data.square().sum())), 0,
         safe_ratio(parameter_bound_.maxCoeff(), parameter_.data.abs().maxCoeff())});
}

void Ledger::measure_parameter(const StepBounds& local, const Tensor& local_parameter) {
  parameter_inputs_ = record_.keep * parameter_inputs_ + (local_parameter.data - parameter_.data) -
                      record_.keep * (got_before_ - parameter_before_);
  parameter_bound_ = std::fabs(record_.keep) * parameter_bound_ + local.parameter.data +
                     0x1p-48 * (parameter_.data.abs() + local_parameter.data.abs() + parameter_inputs_.abs());
}

// The subject's u and the reference's lie within this factor of each other, elementwise.
Vector Ledger::update_factor() const {
  if (!problem_.factored()) return slots_[0].factor.sqrt();
  const SlotLedger &row = slots_[0], &col = slots_[1];
  const int64_t slices = record_.row.shape[0], m = record_.row.shape[1], n = record_.col.shape[1];
  Vector factor(slices * m * n);
  for (int64_t s = 0; s < slices; ++s) {
    const auto rows = record_.row.data.segment(s * m, m);
    const double mean = row.deviation.segment(s * m, m).sum() / rows.sum();
    const double lowest = row.floor.segment(s * m, m).sum() / rows.sum();
    const double mean_factor = std::sqrt(std::max(1 + mean, 1 / std::max(1 - mean, lowest)));
    const Vector cols = col.factor.segment(s * n, n).sqrt();
    for (int64_t i = 0; i < m; ++i)
      factor.segment((s * m + i) * n, n) = cols * (mean_factor * std::sqrt(row.factor[s * m + i]));
  }
  return factor;
}

void Ledger::bound_parameter(const StepBounds& local) {
  const auto& o = problem_.options;
  const Vector factor = update_factor();
  const Vector& u = record_.update.data;
  const double step = record_.step_size / record_.clip;

  double clip_relative = 0;  // of 1/clip
  if (o.clip > 0) {
    const double rms_error = std::sqrt((u * (factor - 1)).square().mean());
    if (!((record_.update_rms + rms_error) / o.clip <= 1)) {
      const double moved = rms_error / o.clip;
      clip_relative = moved / std::max(1.0, record_.clip - moved);
    }
  }
  const double step_moved = o.scale_parameter ? record_.rho * std::sqrt(parameter_bound_.square().mean()) : 0;
  const double step_relative = safe_ratio(step_moved, record_.step_size);
  const double keep_moved = o.weight_decay_by == reference::DecayScale::step_size ? o.weight_decay * step_moved : 0;

  parameter_bound_ = std::fabs(record_.keep) * parameter_bound_ +
                     keep_moved * (parameter_before_.abs() + parameter_bound_) +
                     step * u.abs() * (factor * ((1 + step_relative) * (1 + clip_relative)) - 1) +
                     local.parameter.data + 0x1p-48 * parameter_.data.abs();
  // The bound grows by a factor in every step. Where it overflows (0 inf) it says nothing, and nothing but NaN breaks
  // it.
  parameter_bound_ = parameter_bound_.isNaN().select(HUGE_VAL, parameter_bound_);
}

}  // namespace plumbline::harness
