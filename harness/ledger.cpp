#include "harness/ledger.h"

#include <cmath>

namespace plumbline::harness {
namespace {

using reference::Slot;
using reference::Tensor;
using reference::Vector;

Quantity drift_quantity(Slot slot) {
  switch (slot) {
    case Slot::row:
      return Quantity::row_drift;
    case Slot::col:
      return Quantity::col_drift;
    default:
      return Quantity::second_moment_drift;
  }
}

const Tensor& local_bound(const StepBounds& b, Slot slot) {
  switch (slot) {
    case Slot::row:
      return b.row;
    case Slot::col:
      return b.col;
    default:
      return b.second_moment;
  }
}

double safe_ratio(double a, double b) { return a == 0 ? 0 : a / b; }

}  // namespace

Ledger::Ledger(const Problem& problem, const Tensor& initial_parameter)
    : problem_(problem),
      reference_(reference::make_plumbline(problem.options, problem.shape)),
      parameter_(initial_parameter) {
  parameter_bound_ = Vector::Zero(initial_parameter.size());
  for (const Slot slot : {Slot::row, Slot::col, Slot::second_moment}) {
    const Tensor* state = reference_.state(slot);
    if (!state) continue;
    SlotLedger ledger;
    ledger.slot = slot;
    ledger.quantity = drift_quantity(slot);
    ledger.quantization = ledger.rounding = Vector::Zero(state->size());
    slots_.push_back(std::move(ledger));
  }
}

void Ledger::step(int64_t t, const Tensor& gradient, const StepBounds& local, std::span<const SlotView> views,
                  std::span<const std::byte> parameter, std::span<QuantityJudge> judges,
                  std::vector<DriftPoint>* drift) {
  for (SlotLedger& s : slots_) s.before = reference_.state(s.slot)->data;
  parameter_before_ = parameter_.data;
  record_.skipped = false;
  reference_.step(parameter_, gradient, &record_);
  poisoned_ |= record_.nonfinite > 0 && problem_.options.nonfinite == reference::Nonfinite::propagate;
  if (poisoned_) return;  // the local comparison goes on

  if (!record_.skipped) {
    const double old = record_.old_weight;
    for (SlotLedger& s : slots_) {
      const SlotView* view = nullptr;
      for (const SlotView& v : views)
        if (v.slot == s.slot) view = &v;
      const Vector& now = reference_.state(s.slot)->data;
      const Vector& e = local_bound(local, s.slot).data;
      s.deviation = old * (s.quantization.abs() + s.rounding) + e;
      // a difference that may cancel: less what double lost in it
      s.floor = (now * (1 - 0x1p-50) - old * s.before).max(record_.weight * problem_.options.eps1);
      s.factor = (1 + s.deviation / now).max(1 / (1 - s.deviation / now).max(s.floor / now));
      if (!view || int64_t(view->unquantized.size()) != now.size()) continue;
      const Vector used = Eigen::Map<const Eigen::ArrayXf>(view->unquantized.data(), now.size()).cast<double>();
      s.quantization = old * s.quantization + (view->stored->data - used);
      s.rounding = old * s.rounding + e + 0x1p-48 * now;
      QuantityJudge& judge = judges[size_t(s.quantity)];
      for (int64_t i = 0; i < now.size(); ++i)
        judge.element(t, i, view->stored->data[i], now[i] + s.quantization[i],
                      s.rounding[i] + 0x1p-48 * std::fabs(s.quantization[i]));
      if (drift) {
        const double norm = std::sqrt(now.square().sum());
        drift->push_back({t, s.quantity, safe_ratio(std::sqrt((view->stored->data - now).square().sum()), norm),
                          safe_ratio(std::sqrt(s.quantization.square().sum()), norm),
                          safe_ratio(s.rounding.maxCoeff(), now.maxCoeff())});
      }
    }
    bound_parameter(local);
  }

  Vector got(parameter_.size());
  load(problem_.parameter, parameter.data(), {got.data(), size_t(got.size())});
  if (!record_.skipped && problem_.parameter != DType::float32)
    parameter_bound_ +=
        (got.abs() * (unit_roundoff(problem_.parameter) * 1.01)).max(smallest_subnormal(problem_.parameter) / 2);
  QuantityJudge& judge = judges[size_t(Quantity::parameter_drift)];
  const auto n = size_t(got.size());
  judge.array(t, std::span<const double>(got.data(), n), {parameter_.data.data(), n}, {parameter_bound_.data(), n});
  poisoned_ |= !got.allFinite();  // judged just now; the reference has a wider range and goes elsewhere from here
  if (drift)
    drift->push_back(
        {t, Quantity::parameter_drift,
         safe_ratio(std::sqrt((got - parameter_.data).square().sum()), std::sqrt(parameter_.data.square().sum())), 0,
         safe_ratio(parameter_bound_.maxCoeff(), parameter_.data.abs().maxCoeff())});
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
