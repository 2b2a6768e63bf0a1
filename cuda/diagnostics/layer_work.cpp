#include "cuda/diagnostics/layer_work.h"

#include <fmt/format.h>

#include "cuda/diagnostics/buffers.h"
#include "cuda/diagnostics/mix.h"
#include "cuda/diagnostics/work_data.h"

namespace plumbline::diagnostics {
namespace {

using linear::Mode;

// Products of many tokens, dots of few, weights of either kind, edges that no tile divides.
constexpr LayerRow kLayers[] = {
    {Mode::int8, Type::bfloat16, 256, 192, 128, true}, {Mode::int8, Type::float32, 201, 67, 33, true},
    {Mode::int8, Type::float16, 515, 130, 17, false},  {Mode::int8, Type::bfloat16, 333, 130, 5, true},
    {Mode::fp8, Type::bfloat16, 256, 128, 64, true},   {Mode::fp8, Type::float32, 130, 70, 3, false},
};

template <class T>
void take_all(const char* name, const std::vector<T>& values, const std::function<void(Stage&&)>& take) {
  if (!values.empty()) take(stage_of(name, 1, std::span<const T>(values)));
}

}  // namespace

std::span<const LayerRow> layer_table() { return kLayers; }

std::string to_string(const LayerRow& row) {
  const char* type = row.type == Type::float32 ? "f32" : row.type == Type::bfloat16 ? "bf16" : "f16";
  return fmt::format("layer {}: {} inputs={} outputs={} tokens={} bias={}", row.mode == Mode::int8 ? "int8" : "fp8",
                     type, row.inputs, row.outputs, row.tokens, row.bias);
}

void run_layer(const LayerRow& row, Backend backend, int device, const std::function<void(Stage&&)>& take) {
  uint64_t seed = 0;
  for (const char c : to_string(row)) seed = mix64(seed + uint8_t(c));
  const auto buffers = make_buffers(backend, device);
  const auto values = [&](int stream, int64_t count, int top) {
    void* memory = buffers->allocate(size_t(count) * element_bytes(row.type));
    buffers->upload(memory, make_values(row.type, count, [&](int64_t i) {
                      return draw(mix64(seed + uint64_t(stream) * 0x9e3779b97f4a7c15u + mix64(uint64_t(i))), top, 8);
                    }));
    return memory;
  };
  linear::LayerConfig config;
  config.backend = backend;
  config.device = device;
  config.record_accumulators = true;
  linear::Layer layer({row.inputs, row.outputs, row.mode, row.type, row.bias, row.tokens}, config);

  const int64_t weights = int64_t(row.inputs) * row.outputs;
  if (row.mode == Mode::int8) {
    layer.set_weight(values(0, weights, -3), row.type);
  } else {
    std::vector<std::byte> codes(static_cast<size_t>(weights));
    for (size_t i = 0; i < codes.size(); ++i) {
      const auto code = uint8_t(mix64(seed + i));
      codes[i] = std::byte((code & 0x7fu) == 0x7fu ? uint8_t(0) : code);  // no NaN
    }
    std::vector<float> scales(static_cast<size_t>(row.outputs));
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0x1p-8f * (1.0f + float(i % 7) * 0.125f);
    void* device_codes = buffers->allocate(codes.size());
    void* device_scales = buffers->allocate(scales.size() * sizeof(float));
    buffers->upload(device_codes, codes);
    buffers->upload(device_scales, std::as_bytes(std::span<const float>(scales)));
    layer.set_weight({static_cast<const uint8_t*>(device_codes),
                      linear::ScaleKind::channel,
                      static_cast<const float*>(device_scales),
                      {row.outputs}});
  }
  if (row.bias) layer.set_bias(values(1, row.outputs, -2));

  const int64_t results = int64_t(row.tokens) * row.outputs, inputs = int64_t(row.tokens) * row.inputs;
  void* y = buffers->allocate(size_t(results) * element_bytes(row.type));
  layer.forward(values(2, inputs, 2), row.tokens, y);
  if (row.mode == Mode::int8) {
    const linear::Layer::Quantized weight = layer.weight();
    take_all("weight scales", weight.scales, take);
    take_all("weight codes", weight.codes, take);
    if (row.tokens > 16) {
      const linear::Layer::Quantized activation = layer.last_activation();
      take_all("activation scales", activation.scales, take);
      take_all("activation codes", activation.codes, take);
      take_all("accumulators", layer.last_accumulators(), take);
    }
  }
  const auto stored = [&](const char* name, const void* from, int64_t count) {
    Stage stage{name, 1, int(element_bytes(row.type)), {}};
    stage.bytes.resize(size_t(count) * element_bytes(row.type));
    buffers->download(stage.bytes, from);
    take(std::move(stage));
  };
  stored("output", y, results);
  void* grad_input = buffers->allocate(size_t(inputs) * element_bytes(row.type));
  layer.backward_input(values(3, results, -4), row.tokens, grad_input);
  stored("input gradient", grad_input, inputs);
}

}  // namespace plumbline::diagnostics
