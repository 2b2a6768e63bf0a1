#include "cuda/diagnostics/workload.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "cuda/core/number.h"
#include "cuda/diagnostics/buffers.h"
#include "cuda/diagnostics/mix.h"
#include "cuda/diagnostics/work_data.h"

namespace plumbline::diagnostics {
namespace {

constexpr Type f32 = Type::float32, bf16 = Type::bfloat16, f16 = Type::float16;
constexpr Regime ordinary = Regime::ordinary, wide = Regime::wide, hostile = Regime::hostile;

// Widths go through every form of the sweep: to 1024, 4096, 8192, 12288 and 16384 columns, and cut into segments.
constexpr WorkloadRow kWork[] = {
    {"exact row sums", "64x64", f32, f32, ordinary, 3, "storage=fp32"},
    {"narrow sweep", "200x1000", f32, f32, ordinary, 3, "storage=al8"},
    {"narrow sweep, bfloat16", "200x1000", bf16, bf16, ordinary, 3, "storage=al8"},
    {"narrow sweep, float16", "200x1000", f16, f16, ordinary, 3, "storage=al8"},
    {"mixed types", "70x517", f32, bf16, ordinary, 2, "storage=fp32"},
    {"mixed types", "70x517", f32, f16, ordinary, 2, "storage=fp32"},
    {"mixed types", "70x517", bf16, f32, ordinary, 2, "storage=fp32"},
    {"mixed types", "70x517", f16, f32, ordinary, 2, "storage=fp32"},
    {"mixed types", "70x517", bf16, f16, ordinary, 2, "storage=fp32"},
    {"mixed types", "70x517", f16, bf16, ordinary, 2, "storage=fp32"},
    {"middle sweep", "72x4093", f32, f32, ordinary, 2, "storage=al8"},
    {"middle sweep, bfloat16", "72x4093", bf16, bf16, ordinary, 2, "storage=al8"},
    {"wide sweep", "40x8001", f32, f32, ordinary, 2, "storage=fp32"},
    {"wide sweep, float16", "40x8001", f16, f16, ordinary, 2, "storage=fp32"},
    {"wider sweep", "24x12287", f32, f32, ordinary, 2, "storage=fp32"},
    {"wider sweep, bfloat16", "24x12287", bf16, bf16, ordinary, 2, "storage=fp32"},
    {"widest sweep", "16x16380", f32, f32, ordinary, 2, "storage=fp32"},
    {"widest sweep, bfloat16", "16x16380", bf16, bf16, ordinary, 2, "storage=fp32"},
    {"sweep in segments", "9x20011", f32, f32, ordinary, 2, "storage=fp32"},
    {"sweep in segments, bfloat16", "9x20011", bf16, bf16, ordinary, 2, "storage=fp32"},
    {"many strips", "2050x65", f32, f32, ordinary, 2, "storage=al8"},
    {"batch of matrices", "5x33x129", f32, f32, ordinary, 3, "storage=al8 min_quantized_size=1"},
    {"log_u8", "130x300", f32, f32, wide, 3, "storage=log_u8 min_quantized_size=1"},
    {"linear_u8", "130x300", f32, f32, ordinary, 3, "storage=linear_u8 min_quantized_size=1"},
    {"al8, small blocks", "130x300", f32, f32, wide, 3, "storage=al8 block=64 min_quantized_size=1"},
    {"carried norm", "130x300", f32, f32, ordinary, 3, "parameter_norm=carried"},
    {"relative step, decay by step", "130x300", f32, f32, ordinary, 3, "relative_step=true weight_decay=0.1"},
    {"decay by lr, maximize", "130x300", f32, f32, ordinary, 3, "weight_decay=0.1 weight_decay_by=lr maximize=true"},
    {"tight clip", "130x300", f32, f32, ordinary, 3, "clip=0.125"},
    {"no clip, no scale", "130x300", f32, f32, ordinary, 3, "clip=0 scale_parameter=false lr=0.001"},
    {"fixed beta2", "130x300", f32, f32, ordinary, 3, "beta2=0.99 eps1=1e-8"},
    {"non-finite counted as zero", "130x300", f32, f32, hostile, 2, "nonfinite=zero"},
    {"non-finite skipped", "130x300", f32, f32, hostile, 2, "nonfinite=skip"},
    {"non-finite propagated", "130x300", f32, f32, hostile, 2, "nonfinite=propagate"},
    {"full, fp32", "40003", f32, f32, ordinary, 3, "storage=fp32"},
    {"full, al8", "40003", f32, f32, wide, 3, "storage=al8"},
    {"full, log_u8", "40003", f32, f32, wide, 3, "storage=log_u8"},
    {"full, linear_u8", "40003", f32, f32, ordinary, 3, "storage=linear_u8"},
    {"full, bfloat16", "40003", bf16, bf16, ordinary, 3, "storage=al8"},
    {"full, float16", "40003", f16, f16, ordinary, 3, "storage=al8"},
    {"full, mixed types", "8200", f32, bf16, ordinary, 2, "storage=al8"},
    {"full, mixed types", "8200", bf16, f32, ordinary, 2, "storage=al8"},
    {"full, mixed types", "8200", f32, f16, ordinary, 2, "storage=al8"},
    {"full, mixed types", "8200", f16, f32, ordinary, 2, "storage=al8"},
    {"full, batch", "6x70x71", f32, f32, ordinary, 2, "factored=false storage=al8"},
    {"al16", "130x300", f32, f32, wide, 3, "storage=al16"},
    {"stochastic codes", "130x300", f32, f32, ordinary, 3, "storage=al8 rounding=stochastic seed=7"},
    {"dithered codes", "130x300", f32, f32, ordinary, 3, "storage=al8 rounding=dither beta2=0.9 seed=7"},
    {"dithered al16", "130x300", f32, f32, ordinary, 3, "storage=al16 rounding=dither seed=7"},
    {"stochastic log_u8, linear_u8", "130x300", f32, f32, ordinary, 2, "storage=log_u8 rounding=stochastic"},
    {"stochastic log_u8, linear_u8", "130x300", f32, f32, ordinary, 2, "storage=linear_u8 rounding=stochastic"},
    {"stochastic bfloat16 parameters", "130x300", bf16, bf16, ordinary, 3, "parameter_rounding=stochastic seed=3"},
    {"stochastic float16 parameters", "130x300", f16, f16, ordinary, 3, "parameter_rounding=stochastic seed=3"},
    {"momentum of the gradient, uf4", "130x301", f32, f32, ordinary, 3, "beta1=0.9 momentum_storage=uf4"},
    {"momentum of the gradient, uf8", "130x301", f32, f32, ordinary, 3, "beta1=0.9 momentum_storage=uf8"},
    {"momentum of the gradient, bf16", "130x301", f32, f32, ordinary, 3, "beta1=0.9 momentum_storage=bf16"},
    {"momentum of the gradient, fp32", "130x301", bf16, bf16, ordinary, 3, "beta1=0.9 momentum_storage=fp32"},
    {"momentum, stochastic", "130x301", f32, f32, ordinary, 3, "beta1=0.9 momentum_storage=bf16 seed=5"},
    {"momentum, dither", "130x301", bf16, f32, ordinary, 3,
     "beta1=0.9 momentum_of=update momentum_storage=uf8 momentum_rounding=dither seed=5"},
    {"momentum, nearest", "130x301", f32, f32, ordinary, 3, "beta1=0.5 momentum_rounding=nearest"},
    {"momentum of the update", "130x4100", f32, f32, ordinary, 2, "beta1=0.9 momentum_of=update"},
    {"momentum of the update, bfloat16", "130x4100", bf16, bf16, ordinary, 2, "beta1=0.9 momentum_of=update"},
    {"CAME, uf4", "130x4100", f32, f32, ordinary, 2, "beta1=0.9 momentum_storage=uf4 momentum_of=update beta3=0.9999"},
    {"CAME, fp32", "64x1000", f32, f32, ordinary, 3,
     "beta1=0.9 momentum_of=update beta3=0.999 storage=fp32 momentum_storage=fp32"},
    {"CAME, batch, bfloat16", "3x40x260", bf16, bf16, ordinary, 3, "beta1=0.9 momentum_of=update beta3=0.999"},
    {"limiter", "130x300", f32, f32, ordinary, 3, "limiter_margin=0.01"},
    {"CAME with a limiter", "130x300", f32, f32, ordinary, 3,
     "beta1=0.9 momentum_of=update beta3=0.999 limiter_margin=0.01"},
    {"full, momentum of the gradient", "40003", f32, f32, ordinary, 3, "beta1=0.9"},
    {"full, momentum of the update", "40003", bf16, bf16, ordinary, 3,
     "beta1=0.9 momentum_of=update momentum_storage=uf8 limiter_margin=0.1"},
    // a line says what is computed: another arithmetic of the projection is other work, not another result
    {"projection in integers, by channel", "300x130", f32, f32, ordinary, 3,
     "projection_rank=4 beta1=0.9 limiter_margin=0.01"},
    {"projection in integers, rank 1, by tensor", "130x300", f32, f32, ordinary, 3,
     "projection_rank=1 projection_scale_by=tensor projection_scale=128"},
    {"projection in integers, rank 16", "130x300", bf16, bf16, ordinary, 3, "projection_rank=16 projection_refresh=2"},
    {"projection in integers, factored", "130x300", f32, f32, ordinary, 3,
     "projection_rank=8 projection_factored=true"},
    {"full, carried norm", "20000", f32, f32, ordinary, 3, "parameter_norm=carried weight_decay=0.01"},
};

const char* name_of(Type type) { return type == f32 ? "f32" : type == bf16 ? "bf16" : "f16"; }
const char* name_of(Regime regime) { return regime == ordinary ? "ordinary" : regime == wide ? "wide" : "hostile"; }

std::vector<int64_t> parse_shape(std::string_view text) {
  std::vector<int64_t> shape;
  for (const char *at = text.data(), *end = at + text.size(); at < end; ++at) {
    int64_t extent = 0;
    at = std::from_chars(at, end, extent).ptr;
    shape.push_back(extent);
  }
  return shape;
}

GroupOptions parse_options(std::string_view text) {
  GroupOptions options;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const size_t equals = word.find('=');
    set_option(options, word.substr(0, equals), word.substr(equals + 1));
  }
  return options;
}

float gradient_value(uint64_t bits, Regime regime, int64_t i) {
  if (regime == hostile && i % 1009 == 7) {
    constexpr uint32_t kBits[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x58800000u, 0xd9000001u};
    return core::from_bits(kBits[i / 1009 % 5]);
  }
  return draw(bits, regime == wide ? 4 : -3, regime == wide ? 60 : 16);
}

void take_record(const StepRecord& r, int step, const std::function<void(Stage&&)>& take) {
  take(stage_of("nonfinite", step, r.nonfinite));
  take(stage_of("parameter_rms", step, core::canonical(r.parameter_rms)));
  const auto list = [&](const char* name, const std::vector<float>& values) {
    if (!values.empty()) take(stage_of(name, step, std::span<const float>(values)));
  };
  list("low_rank_gradient", r.low_rank_gradient);
  list("low_rank_momentum", r.low_rank_momentum);
  list("low_rank_row", r.low_rank_row);
  list("low_rank_col", r.low_rank_col);
  list("low_rank_second_moment", r.low_rank_second_moment);
  list("channel_scale", r.channel_scale);
  list("row", r.row);
  list("col", r.col);
  list("second_moment", r.second_moment);
  take(stage_of("update_rms", step, core::canonical(r.update_rms)));
  take(stage_of("clip", step, r.clip));
  take(stage_of("step_size", step, r.step_size));
  take(stage_of("bias", step, r.bias));
  list("momentum", r.momentum);
  list("confidence_row", r.confidence_row);
  list("confidence_col", r.confidence_col);
  take(stage_of("update_norm", step, core::canonical(r.update_norm)));
  take(stage_of("limiter", step, r.limiter));
  take(stage_of("keep", step, r.keep));
}

}  // namespace

std::span<const WorkloadRow> workload_table() { return kWork; }

std::string to_string(const WorkloadRow& row) {
  return fmt::format("{}: shape={} param={} grad={} data={} steps={} {}", row.name, row.shape, name_of(row.parameter),
                     name_of(row.gradient), name_of(row.regime), row.steps, row.options);
}

void run_workload(const WorkloadRow& row, Backend backend, int device, const std::function<void(Stage&&)>& take) {
  const std::vector<int64_t> shape = parse_shape(row.shape);
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  uint64_t seed = 0;  // every row has its own data
  for (const char c : to_string(row)) seed = mix64(seed + uint8_t(c));
  const auto bits = [&](int stream, int64_t i) {
    return mix64(seed + uint64_t(stream) * 0x9e3779b97f4a7c15u + mix64(uint64_t(i)));
  };

  OptimizerConfig config;
  config.backend = backend;
  config.device = device;
  config.record_second_moment = true;
  Optimizer optimizer({{"tensor", shape, row.parameter, row.gradient, 0}}, {parse_options(row.options)}, config);
  const auto buffers = make_buffers(backend, device);
  void* parameter = buffers->allocate(size_t(count) * element_bytes(row.parameter));
  void* gradient = buffers->allocate(size_t(count) * element_bytes(row.gradient));
  buffers->upload(parameter, make_values(row.parameter, count, [&](int64_t i) { return draw(bits(0, i), -3, 6); }));
  for (int step = 1; step <= row.steps; ++step) {
    buffers->upload(gradient, make_values(row.gradient, count, [&](int64_t i) {
                      return gradient_value(bits(step, i), row.regime, i + step);
                    }));
    const TensorPointers pointers[] = {{parameter, gradient}};
    optimizer.step(pointers);
    take_record(optimizer.last_step(0), step, take);
    for (const RawSlot& slot : optimizer.export_raw(0)) {
      if (!slot.scales.empty()) take(stage_of(slot.name + " scales", step, std::span<const float>(slot.scales)));
      Stage values = stage_of(slot.name + " values", step, std::span<const std::byte>(slot.values));
      values.element_bytes = std::max<int>(1, int(int64_t(slot.values.size()) / std::max<int64_t>(1, slot.count)));
      take(std::move(values));
    }
    Stage stored{"parameter", step, int(element_bytes(row.parameter)), {}};
    stored.bytes.resize(size_t(count) * element_bytes(row.parameter));
    buffers->download(stored.bytes, parameter);
    take(std::move(stored));
  }
}

namespace {

constexpr uint64_t kParts = 16, kLeastPart = 256;  // elements

uint64_t hash_bytes(std::span<const std::byte> bytes, uint64_t first_word) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(4, bytes.size() - i));
    sum += word_term(first_word + i / 4, word);
  }
  return sum;
}

}  // namespace

uint64_t StageHash::part_elements() const {
  const uint64_t least = std::max(kLeastPart, (elements + kParts - 1) / kParts);
  return (least + 3) / 4 * 4;  // parts begin at whole words
}

StageHash hash_stage(const Stage& stage) {
  StageHash out{stage.name, stage.step, stage.element_bytes, stage.bytes.size() / size_t(stage.element_bytes), 0, {}};
  const std::span<const std::byte> bytes(stage.bytes);
  const size_t part = out.part_elements() * size_t(stage.element_bytes);
  for (size_t at = 0; at < bytes.size(); at += part) {
    const uint64_t hash = hash_bytes(bytes.subspan(at, std::min(part, bytes.size() - at)), at / 4);
    out.hash += hash;
    if (part < bytes.size()) out.parts.push_back(uint32_t(mix64(hash)));
  }
  return out;
}

}  // namespace plumbline::diagnostics
