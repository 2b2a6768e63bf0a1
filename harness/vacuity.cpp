#include "harness/vacuity.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "harness/contracts/codes.h"
#include "harness/contracts/rounded.h"
#include "harness/step_signal.h"

namespace plumbline::harness {
namespace {

using reference::Slot;
using reference::Tensor;

// The problem as it would be if a subject lacked the feature.
reference::PlumblineOptions without(Feature feature, reference::PlumblineOptions o) {
  switch (feature) {
    case Feature::clip:
      o.clip = 0;
      break;
    case Feature::eps1:
      o.eps1 = 0x1p-100;
      break;
    case Feature::eps2:
      o.eps2 = 0;
      break;
    case Feature::weight_decay:
      o.weight_decay = 0;
      break;
    case Feature::relative_step:
      o.relative_step = false;
      break;
    case Feature::scale_parameter:
      o.scale_parameter = false;
      break;
    case Feature::maximize:
      o.maximize = false;
      break;
    case Feature::beta2:
      o.beta2.reset();
      break;
    case Feature::momentum:
      o.beta1.reset();
      o.momentum_of = reference::MomentumOf::gradient;
      o.beta3.reset();
      break;
    case Feature::momentum_of:
      o.momentum_of = reference::MomentumOf::gradient;
      o.beta3.reset();
      break;
    case Feature::confidence:
      o.beta3.reset();
      break;
    case Feature::eps_came:
      o.eps_came = 0x1p-100;
      break;
    case Feature::limiter:
      o.limiter_margin.reset();
      break;
    case Feature::projection:
      o.projection_rank = 0;
      break;
    case Feature::projection_refresh:
      o.projection_refresh = int64_t{1} << 31;
      break;
    case Feature::projection_scale_by:
      o.projection_scale_by = reference::ScaleType::channel;
      break;
    case Feature::projection_scale:
      o.projection_scale = 1;
      break;
    case Feature::projection_scale_first:
      o.projection_scale_first = true;
      break;
    case Feature::projection_eps:
      o.projection_eps = 1e-30;
      break;
    case Feature::projection_factored:
      o.projection_factored = false;
      break;
    case Feature::projection_seed:
      o.projection_seed = 0;
      break;
    case Feature::nonfinite:
    case Feature::bias:
    case Feature::rounding:
    case Feature::momentum_rounding:
    case Feature::parameter_rounding:
    case Feature::gradient_scale:
      break;  // no option of the reference: see would_notice
  }
  return o;
}

// Beyond it, values are judged by kind alone.
double overflow_of(DType type) { return rounding_interval(type, std::numeric_limits<double>::infinity()).low; }

// Would a subject that computed `other` in that step and stored it, as its draws say, be outside the bound somewhere?
bool noticed(const Problem& problem, int64_t steps_before, const Tensor& other, const Tensor& expected,
             const Tensor& bound) {
  const DType type = problem.parameter;
  const bool draw = type != DType::float32 && problem.parameter_rounding == Rounding::stochastic;
  const ParameterDraws draws(problem, steps_before);
  const double overflow = overflow_of(type);
  for (int64_t i = 0; i < expected.size(); ++i) {
    if (!(std::fabs(expected.data[i]) < overflow)) continue;
    if (type == DType::float32) {
      if (std::fabs(other.data[i] - expected.data[i]) > bound.data[i]) return true;
      continue;
    }
    const double u = draw ? draws(i) : 0;
    const Interval in = draw ? drawn_interval(type, drawn(type, other.data[i], u), u)
                             : rounding_interval(type, round_to(type, other.data[i]));
    if (std::max(in.low - expected.data[i], expected.data[i] - in.high) > bound.data[i]) return true;
  }
  return false;
}

}  // namespace

void set_state(reference::Optimizer& optimizer, const StateBefore& state) {
  for (const SlotInfo& slot : slot_table()) {
    Tensor* into = optimizer.state(slot.slot);
    const Tensor& from = state.slot[slot.slot].values;
    if (into && from.size() == into->size()) into->data = from.data;  // else as a subject that lacks it begins
  }
  if (Tensor* norm = optimizer.state(Slot::previous_norm)) norm->data[0] = state.previous_norm;
}

Vacuity::Vacuity(const Problem& problem, const reference::MomentumStore& store) : problem_(problem), store_(store) {}

bool Vacuity::would_notice(Feature feature, const LocalStep& s) const {
  const reference::StepRecord& record = s.record;
  if (feature == Feature::nonfinite) return record.nonfinite > 0;
  if (record.skipped) return false;
  if (feature == Feature::bias) {
    const Tensor undone(s.parameter_after.shape,
                        record.keep * s.parameter_before.data +
                            (s.parameter_after.data - record.keep * s.parameter_before.data) / record.bias);
    return noticed(problem_, s.t - 1, undone, s.parameter_after, s.bounds.parameter);
  }
  const reference::PlumblineOptions options = without(feature, problem_.options);
  const bool unscaled = feature == Feature::gradient_scale && problem_.gradient_scale != 1;
  if (options == problem_.options && !unscaled) return false;
  reference::Optimizer other = reference::make_plumbline(options, problem_.shape, store_, uint32_t(problem_.place));
  set_state(other, s.before);
  other.set_step_count(s.t - 1);
  Tensor parameter = s.parameter_before, gradient = s.gradient;
  if (unscaled) gradient.data /= problem_.gradient_scale;
  reference::StepRecord other_record;
  other.step(parameter, gradient, &other_record);
  if (noticed(problem_, s.t - 1, parameter, s.parameter_after, s.bounds.parameter)) return true;
  for (const SlotInfo& slot : slot_table()) {
    const Tensor &a = other_record.*slot.recorded, &b = record.*slot.recorded, &bound = s.bounds.slot[slot.slot];
    if (b.size() == 0 || a.size() != b.size()) continue;
    if (slot.momentum ? storage_notices(*s.momentum, a, b, bound) : ((a.data - b.data).abs() > bound.data).any())
      return true;
  }
  return false;
}

void Vacuity::observe(const LocalStep& s) {
  for (const Feature feature : problem_.focus)
    if (!acted_[size_t(feature)]) acted_[size_t(feature)] = would_notice(feature, s);
  const Tensor &p_before = s.parameter_before, &p_after = s.parameter_after;
  const StepBounds& bounds = s.bounds;
  if (s.record.skipped) {
    idle_noticed_ |= acted_[size_t(Feature::nonfinite)];  // doing nothing is what was asked for: bytes are compared
    signal_seen_ |= idle_noticed_;
    in_range_ = varied_ = true;
    return;
  }
  if (s.record.nonfinite > 0 && !p_after.data.allFinite())
    in_range_ = idle_noticed_ = signal_seen_ = varied_ = true;  // a kind of non-finite value is what is asked for
  if (in_range_ && idle_noticed_ && signal_seen_ && varied_) return;
  if (!idle_noticed_) idle_noticed_ = noticed(problem_, s.t - 1, p_before, p_after, bounds.parameter);
  const double overflow = overflow_of(problem_.parameter);
  Signal signal;
  for (int64_t i = 0; i < p_after.size(); ++i)
    signal.add(p_before.data[i], p_after.data[i], bounds.parameter.data[i], overflow);
  in_range_ |= signal.in_range();
  signal_seen_ |= signal.exceeds_bound();
  varied_ |= signal.varies();
}

// The largest values of blocks have the outermost codes: of blocks of one or two there are few others.
void Vacuity::observe_codes(Slot slot, int64_t values, int64_t in_block, const std::bitset<256>& codes) {
  const size_t wanted = values >= 64 && in_block >= 8 ? 4 : values >= 16 && in_block >= 4 ? 2 : 1;
  if (codes.count() < wanted)
    few_codes_ = fmt::format("{} values of slot {} used only {} codes", values, info(slot).name, codes.count());
}

std::optional<std::string> Vacuity::reason() const {
  for (const Feature feature : problem_.focus)
    if (!acted_[size_t(feature)])
      return fmt::format("{} never acted: a subject without it would pass", to_string(feature));
  if (!in_range_) return "every value ran out of range";
  if (!idle_noticed_) return "an optimizer that does nothing would pass";
  if (!signal_seen_) return "the bound exceeds the update";
  if (!varied_) return "the parameter is constant or mostly zero";
  if (!few_codes_.empty()) return few_codes_;
  return std::nullopt;
}

}  // namespace plumbline::harness
