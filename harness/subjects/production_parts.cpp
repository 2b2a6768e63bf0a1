#include "harness/subjects/production_parts.h"

#include <cmath>
#include <cstring>

#include "harness/slots.h"

namespace plumbline::harness {

Type production_type(DType type) {
  switch (type) {
    case DType::bfloat16:
      return Type::bfloat16;
    case DType::float16:
      return Type::float16;
    default:
      return Type::float32;
  }
}

static_assert(int(Storage::linear_u8) == int(plumbline::Storage::linear_u8) &&
              int(Storage::al8) == int(plumbline::Storage::al8) && int(Storage::uf4) == int(plumbline::Storage::uf4) &&
              int(Rounding::dither) == int(plumbline::Rounding::dither));

GroupOptions production_options(const Problem& problem) {
  GroupOptions options;
  static const auto rows = reference::option_table<reference::PlumblineOptions>();
  for (const auto& row : rows) {
    const std::string value = reference::get_option(problem.options, row.name);
    if (value != row.default_value) set_option(options, row.name, value);
  }
  set_option(options, "storage", to_string(problem.storage));
  set_option(options, "rounding", to_string(problem.rounding));
  set_option(options, "block", std::to_string(problem.block));
  set_option(options, "momentum_storage", to_string(problem.momentum_storage));
  set_option(options, "momentum_rounding", to_string(problem.momentum_rounding));
  set_option(options, "momentum_block", std::to_string(problem.momentum_block));
  set_option(options, "parameter_rounding", to_string(problem.parameter_rounding));
  set_option(options, "seed", std::to_string(uint32_t(problem.seed)));
  set_option(options, "min_quantized_size", std::to_string(problem.min_quantized_size));
  set_option(options, "parameter_norm", problem.carried_norm ? "carried" : "fresh");
  return options;
}

Arithmetic arithmetic_of(const Optimizer& optimizer, int tensor) {
  const plumbline::Arithmetic a = optimizer.arithmetic(tensor);
  Arithmetic out;
  out.square = a.square;
  out.momentum_square = a.momentum_square;
  out.row_additions = a.row_additions;
  out.col_additions = a.col_additions;
  out.average_new = a.average_new;
  out.average_old = a.average_old;
  out.full_new = a.full_new;
  out.full_old = a.full_old;
  out.inverse_row = a.inverse_row;
  out.weighted_additions = a.weighted_additions;
  out.row_scale = a.row_scale;
  out.col_scale = a.col_scale;
  out.step_coefficient = a.step_coefficient;
  out.update = a.update;
  out.decayed = a.decayed;
  out.full_update = a.full_update;
  out.momentum_new = a.momentum_new;
  out.momentum_old = a.momentum_old;
  out.clipped_update = a.clipped_update;
  out.residual = a.residual;
  out.residual_square = a.residual_square;
  out.projected_additions = a.projected_additions;
  out.low_rank_gradient = a.low_rank_gradient;
  out.low_rank_update = a.low_rank_update;
  out.channel_scale = a.channel_scale;
  out.resolution = a.resolution;
  out.mean_resolution = a.mean_resolution;
  out.log2_absolute_ulps = a.log2_absolute_ulps;
  out.exp2_ulps = a.exp2_ulps;
  out.log_decode = a.log_decode;
  out.linear_decode = a.linear_decode;
  out.dither_exponent = a.dither_exponent;
  out.dither_factor = a.dither_factor;
  out.uniform_encode = a.uniform_encode;
  out.uniform_decode = a.uniform_decode;
  return out;
}

void observe_tensor(const Optimizer& optimizer, int tensor, const Problem& problem, Stream stream, Observation& out) {
  StepRecord record = optimizer.last_step(tensor, stream);
  out.steps_taken = optimizer.steps_taken(tensor, stream);
  out.nonfinite = record.nonfinite;
  // NaN where no option needs it; where one does, a NaN is a value.
  auto shown = [](double x, bool needed) { return needed || !std::isnan(x) ? std::optional(x) : std::nullopt; };
  out.parameter_rms = shown(record.parameter_rms, problem.options.scale_parameter);
  out.update_rms = shown(record.update_rms, problem.options.clip > 0);
  out.clip = record.clip;
  out.step_size = record.step_size;
  out.keep = record.keep;
  if (problem.options.limiter_margin) {
    out.update_norm = record.update_norm;
    out.limiter = record.limiter;
  }
  if (problem.options.beta1) out.bias = record.bias;
  auto show = [](std::vector<float>& from, std::optional<std::vector<float>>& to) {
    to = from.empty() ? std::nullopt : std::optional(std::move(from));
  };
  show(record.row, out.row);
  show(record.col, out.col);
  show(record.second_moment, out.second_moment);
  show(record.momentum, out.momentum);
  show(record.confidence_row, out.confidence_row);
  show(record.confidence_col, out.confidence_col);
  show(record.low_rank_gradient, out.low_rank_gradient);
  show(record.low_rank_momentum, out.low_rank_momentum);
  show(record.low_rank_second_moment, out.low_rank_second_moment);
  show(record.low_rank_row, out.low_rank_row);
  show(record.low_rank_col, out.low_rank_col);
  show(record.channel_scale, out.channel_scale);
  out.state.clear();
  for (RawSlot& raw : optimizer.export_raw(tensor, stream)) {
    SlotState slot;
    const SlotInfo* named = find_slot(raw.name);
    if (raw.name == "previous_norm") {
      double norm;
      std::memcpy(&norm, raw.values.data(), sizeof(norm));
      out.previous_norm = norm;
    }
    if (!named) continue;  // the carried norm: judged as parameter_rms
    slot.slot = named->slot;
    slot.storage = static_cast<Storage>(raw.storage);
    slot.rounding = static_cast<Rounding>(raw.rounding);
    slot.writes = raw.writes;
    slot.place = uint32_t(tensor);
    slot.matrix = raw.matrix;
    slot.row = raw.row;
    slot.block = raw.block;
    slot.values = std::move(raw.values);
    slot.scales = std::move(raw.scales);
    slot.count = raw.count;
    out.state.push_back(std::move(slot));
  }
}

}  // namespace plumbline::harness
