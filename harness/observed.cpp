#include "harness/observed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace plumbline::harness {
namespace {

using reference::Slot;

// Blocks of momentum never cross a row; the full path reads a matrix as one.
int64_t momentum_row(const Problem& problem, const StateBefore& before) {
  const auto& shape = problem.shape;
  switch (problem.path()) {
    case reference::Path::factored:
      return shape.back();
    case reference::Path::projected:
      return before.slot[Slot::low_rank_momentum].values.shape.back();
    default:
      return shape.size() < 2 ? shape.back() : shape.back() * shape[shape.size() - 2];
  }
}

}  // namespace

void check_shown(const Problem& problem, const StateBefore& before, size_t parameter_bytes, const Observation& observed,
                 int64_t writes_beyond) {
  if (observed.parameter.size() != parameter_bytes) throw std::runtime_error("the parameter changed its size");
  for (const SlotInfo& slot : slot_table()) {
    const bool wanted = before.slot[slot.slot].values.size() > 0;
    const auto shown = std::count_if(observed.state.begin(), observed.state.end(),
                                     [&](const SlotState& s) { return s.slot == slot.slot; });
    // Averages in float32 may be kept from view: they follow from what is known. What a later stage of the same step
    // reads, and what depends on codes, may not.
    const bool follows = !slot.momentum && problem.keeping(slot.slot).storage == Storage::fp32;
    if (shown > (wanted ? 1 : 0) || (shown == 0 && wanted && !follows))
      throw std::runtime_error(
          fmt::format("state of {} shown {} times: expected {}", slot.name, shown, wanted ? 1 : 0));
  }
  if (problem.options.limiter_margin && !observed.previous_norm)
    throw std::runtime_error("the limiter's previous norm is not shown");
  for (const SlotState& slot : observed.state) {
    const Keeping wanted = problem.keeping(slot.slot);
    if (slot.storage != wanted.storage)
      throw std::runtime_error(
          fmt::format("state kept in {}: expected {}", to_string(slot.storage), to_string(wanted.storage)));
    if (has_codes(wanted.storage) && slot.block != wanted.block)
      throw std::runtime_error(fmt::format("state in blocks of {}: expected blocks of {}", slot.block, wanted.block));
    if (slot.rounding != wanted.rounding)
      throw std::runtime_error(
          fmt::format("state rounded {}: expected {}", to_string(slot.rounding), to_string(wanted.rounding)));
    if (wanted.rounding != Rounding::nearest && int64_t(slot.writes) != observed.steps_taken + writes_beyond)
      throw std::runtime_error(
          fmt::format("state written {} times: expected {}", slot.writes, observed.steps_taken + writes_beyond));
    if (info(slot.slot).momentum && has_codes(wanted.storage) && slot.row_length() != momentum_row(problem, before))
      throw std::runtime_error(
          fmt::format("momentum in rows of {}: expected rows of {}", slot.row_length(), momentum_row(problem, before)));
  }
}

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
  scalar(a.update_norm, b.update_norm);
  scalar(a.limiter, b.limiter);
  scalar(a.bias, b.bias);
  scalar(a.previous_norm, b.previous_norm);
  scalar(a.step_size, b.step_size);
  scalar(a.keep, b.keep);
  const std::vector<float> none;
  auto shown = [&](std::optional<std::vector<float>> Observation::*member) {
    vector(a.*member ? *(a.*member) : none, b.*member ? *(b.*member) : none);
  };
  for (const SlotInfo& slot : slot_table()) shown(slot.observed);
  shown(&Observation::low_rank_gradient);
  shown(&Observation::channel_scale);
  differing += a.state.size() != b.state.size() || a.steps_taken != b.steps_taken;
  for (size_t i = 0; i < std::min(a.state.size(), b.state.size()); ++i) {
    vector(a.state[i].values, b.state[i].values);
    vector(a.state[i].scales, b.state[i].scales);
  }
  return differing;
}

}  // namespace plumbline::harness
