#include "harness/vacuity.h"

#include <fmt/format.h>

#include <cmath>

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
    case Feature::nonfinite:
      break;
  }
  return o;
}

// Would a subject that computed `other` and stored it be outside the bound somewhere?
bool noticed(DType type, const Tensor& other, const Tensor& expected, const Tensor& bound) {
  for (int64_t i = 0; i < expected.size(); ++i) {
    if (type == DType::float32) {
      if (std::fabs(other.data[i] - expected.data[i]) > bound.data[i]) return true;
      continue;
    }
    const Interval in = rounding_interval(type, round_to(type, other.data[i]));
    if (std::max(in.low - expected.data[i], expected.data[i] - in.high) > bound.data[i]) return true;
  }
  return false;
}

}  // namespace

void set_state(reference::Optimizer& optimizer, const StateBefore& state) {
  if (Tensor* row = optimizer.state(Slot::row)) row->data = state.row.data;
  if (Tensor* col = optimizer.state(Slot::col)) col->data = state.col.data;
  if (Tensor* full = optimizer.state(Slot::second_moment)) full->data = state.second_moment.data;
}

Vacuity::Vacuity(const Problem& problem) : problem_(problem) {}

bool Vacuity::would_notice(Feature feature, int64_t t, const StateBefore& before, const Tensor& gradient,
                           const reference::StepRecord& record, const Tensor& p_before, const Tensor& p_after,
                           const StepBounds& bounds) const {
  if (feature == Feature::nonfinite) return record.nonfinite > 0;
  const reference::PlumblineOptions options = without(feature, problem_.options);
  if (options == problem_.options) return false;
  reference::Optimizer other = reference::make_plumbline(options, problem_.shape);
  set_state(other, before);
  other.set_step_count(t - 1);
  Tensor parameter = p_before;
  reference::StepRecord other_record;
  other.step(parameter, gradient, &other_record);
  if (noticed(problem_.parameter, parameter, p_after, bounds.parameter)) return true;
  auto averages_differ = [](const Tensor& a, const Tensor& b, const Tensor& bound) {
    return a.size() > 0 && ((a.data - b.data).abs() > bound.data).any();
  };
  return averages_differ(other_record.row, record.row, bounds.row) ||
         averages_differ(other_record.second_moment, record.second_moment, bounds.second_moment);
}

void Vacuity::observe(int64_t t, const StateBefore& before, const Tensor& gradient, const reference::StepRecord& record,
                      const Tensor& p_before, const Tensor& p_after, const StepBounds& bounds) {
  for (const Feature feature : problem_.focus)
    if (!acted_[size_t(feature)])
      acted_[size_t(feature)] = would_notice(feature, t, before, gradient, record, p_before, p_after, bounds);
  if (record.skipped) {
    idle_noticed_ |= acted_[size_t(Feature::nonfinite)];  // doing nothing is what was asked for: bytes are compared
    signal_seen_ |= idle_noticed_;
    varied_ = true;
    return;
  }
  if (!p_after.data.allFinite())
    idle_noticed_ = signal_seen_ = varied_ = true;  // the same kind of non-finite value is asked for
  if (!idle_noticed_) idle_noticed_ = noticed(problem_.parameter, p_before, p_after, bounds.parameter);
  if (!signal_seen_)
    signal_seen_ = bounds.parameter.data.square().sum() < (p_after.data - p_before.data).square().sum();
  if (!varied_) {
    const bool constant = p_after.size() > 1 && (p_after.data == p_after.data[0]).all();
    const auto zeros = (p_after.data == 0).count();
    varied_ = !constant && double(zeros) <= 0.9 * double(p_after.size());
  }
}

void Vacuity::observe_codes(Slot slot, int64_t values, const std::bitset<256>& codes) {
  const size_t wanted = values >= 64 ? 4 : values >= 16 ? 2 : 1;
  if (codes.count() < wanted)
    few_codes_ = fmt::format("{} values of slot {} used only {} codes", values,
                             slot == Slot::row   ? "row"
                             : slot == Slot::col ? "col"
                                                 : "second_moment",
                             codes.count());
}

std::optional<std::string> Vacuity::reason() const {
  for (const Feature feature : problem_.focus)
    if (!acted_[size_t(feature)])
      return fmt::format("{} never acted: a subject without it would pass", to_string(feature));
  if (!idle_noticed_) return "an optimizer that does nothing would pass";
  if (!signal_seen_) return "the bound exceeds the update";
  if (!varied_) return "the parameter is constant or mostly zero";
  if (!few_codes_.empty()) return few_codes_;
  return std::nullopt;
}

}  // namespace plumbline::harness
