// Random layers: a spec, its inputs, and what a backend makes of them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cuda/core/number.h"
#include "cuda/linear/layer.h"

namespace plumbline::linear {

enum class Source : uint8_t { floats, codes, fp8 };

struct Sample {
  LayerSpec spec;
  Source source = Source::fp8;
  Type source_type = Type::float32;
  ScaleKind kind = ScaleKind::channel;
  int64_t tokens = 1;
  std::vector<int64_t> scale_shape;
  std::vector<std::byte> x, weight, scales, bias, grad_output;
  std::string text;  // for messages
};

inline size_t bytes_of(Type type) { return type == Type::float32 ? 4 : 2; }

inline std::vector<std::byte> to_type(Type type, const std::vector<float>& values) {
  std::vector<std::byte> out(values.size() * bytes_of(type));
  for (size_t i = 0; i < values.size(); ++i) {
    core::bf16 b;
    core::f16 h;
    core::narrow(values[i], b);
    core::narrow(values[i], h);
    if (type == Type::float32)
      std::memcpy(out.data() + 4 * i, &values[i], 4);
    else
      std::memcpy(out.data() + 2 * i, type == Type::bfloat16 ? &b.bits : &h.bits, 2);
  }
  return out;
}

class SampleDraw {
 public:
  explicit SampleDraw(uint64_t seed) : engine_(seed) {}
  int64_t between(int64_t low, int64_t high) { return low + int64_t(engine_() % uint64_t(high - low + 1)); }
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T>
  T of(std::initializer_list<T> values) {
    return values.begin()[between(0, int64_t(values.size()) - 1)];
  }
  // Bell-shaped; a few outliers, zeros and zero rows.
  std::vector<float> values(int64_t rows, int64_t columns, float scale) {
    std::normal_distribution<float> normal;
    std::vector<float> out(size_t(rows * columns));
    for (int64_t r = 0; r < rows; ++r) {
      const bool zero = one_in(17);
      for (int64_t c = 0; c < columns; ++c)
        out[size_t(r * columns + c)] = zero || one_in(31) ? 0 : normal(engine_) * scale * (one_in(61) ? 40.0f : 1.0f);
    }
    return out;
  }
  uint8_t byte() { return uint8_t(engine_()); }

 private:
  std::mt19937_64 engine_;
};

// Extents at and beside what the kernels' tiles like; `largest` bounds tokens x inputs x outputs.
inline Sample draw_sample(uint64_t seed, int64_t largest) {
  SampleDraw d(seed);
  const auto extent = [&](int64_t most) {
    const int64_t e = d.one_in(3) ? d.between(1, most)
                                  : d.of<int64_t>({1,   7,   15,  16,  17,  31,  32,  33,  63,  64,   65,  96,
                                                   127, 128, 129, 255, 256, 257, 320, 512, 520, 1000, 1024}) +
                                        (d.one_in(4) ? 8 : 0);
    return std::min(e, most);
  };
  Sample s;
  do {
    s.spec.inputs = extent(1100);
    s.spec.outputs = extent(1100);
    s.tokens = d.one_in(4) ? d.between(1, 16) : extent(700);
  } while (s.spec.inputs * s.spec.outputs * s.tokens > largest);
  s.spec.mode = d.one_in(4) ? Mode::fp8 : Mode::int8;
  s.spec.type = d.of({Type::float32, Type::bfloat16, Type::float16});
  s.spec.bias = d.one_in(2);
  s.spec.max_tokens = s.tokens;
  s.source = s.spec.mode == Mode::fp8 ? Source::fp8 : d.of({Source::floats, Source::codes, Source::fp8});
  s.kind = d.of({ScaleKind::tensor, ScaleKind::channel, ScaleKind::block});
  const int64_t in = s.spec.inputs, out = s.spec.outputs;
  const float w_scale = 1.0f / std::sqrt(float(in));
  switch (s.source) {
    case Source::floats:
      s.source_type = d.of({Type::float32, Type::bfloat16, Type::float16});
      s.weight = to_type(s.source_type, d.values(out, in, w_scale));
      break;
    case Source::codes: {
      s.weight.resize(size_t(out * in));
      for (auto& b : s.weight) b = std::byte(uint8_t(int8_t(d.between(-127, 127))));
      std::vector<float> scales(static_cast<size_t>(out));
      for (auto& v : scales) v = float(d.between(1, 1000)) * 1e-5f;
      s.scales = to_type(Type::float32, scales);
      break;
    }
    case Source::fp8: {
      s.weight.resize(size_t(out * in));
      for (auto& b : s.weight) {
        uint8_t code = d.byte();
        while ((code & 0x7f) == 0x7f) code = d.byte();
        b = std::byte(code);
      }
      int64_t blocks = 1;
      if (s.kind == ScaleKind::block) do
          blocks = d.between(1, std::min<int64_t>(in, 40));
        while (in % blocks != 0);
      const int64_t count = s.kind == ScaleKind::tensor ? 1 : out * blocks;
      s.scale_shape = s.kind == ScaleKind::tensor    ? std::vector<int64_t>{1}
                      : s.kind == ScaleKind::channel ? std::vector<int64_t>{out, 1}
                                                     : std::vector<int64_t>{out, blocks, 1};
      std::vector<float> scales(static_cast<size_t>(count));
      for (auto& v : scales) v = float(d.between(1, 1000)) * 1e-6f;
      s.scales = to_type(Type::float32, scales);
      break;
    }
  }
  s.x = to_type(s.spec.type, d.values(s.tokens, in, d.of({1.0f, 1e-3f, 30.0f})));
  s.bias = to_type(s.spec.type, d.values(1, out, 0.5f));
  s.grad_output = to_type(s.spec.type, d.values(s.tokens, out, 1e-2f));
  s.text = "seed " + std::to_string(seed) + ": tokens " + std::to_string(s.tokens) + ", inputs " + std::to_string(in) +
           ", outputs " + std::to_string(out) + ", mode " + (s.spec.mode == Mode::fp8 ? "fp8" : "int8") + ", type " +
           std::to_string(int(s.spec.type)) + ", source " + std::to_string(int(s.source)) + ", scales " +
           std::to_string(int(s.kind));
  return s;
}

// Everything that a layer shows.
struct Outcome {
  std::vector<std::byte> y, grad_input;
  Layer::Quantized weight, activation;
  std::vector<int32_t> accumulators;

  // The first part in which two outcomes differ; empty: none.
  std::string difference(const Outcome& other) const {
    const auto same_floats = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    };
    if (!same_floats(weight.scales, other.weight.scales)) return "weight scales";
    if (weight.codes != other.weight.codes) return "weight codes";
    if (!same_floats(activation.scales, other.activation.scales)) return "activation scales";
    if (activation.codes != other.activation.codes) return "activation codes";
    if (accumulators != other.accumulators) return "accumulators";
    if (y != other.y) return "y";
    if (grad_input != other.grad_input) return "grad_input";
    return "";
  }
};

// `Buffer(bytes)` owns memory of the backend: data(), write(bytes), read().
template <class Buffer>
Outcome run_sample(const Sample& s, const LayerConfig& config) {
  Layer layer(s.spec, config);
  const auto upload = [](const std::vector<std::byte>& bytes) {
    auto buffer = std::make_unique<Buffer>(std::max<size_t>(bytes.size(), 16));
    buffer->write(bytes);
    return buffer;
  };
  const auto weight = upload(s.weight), scales = upload(s.scales), bias = upload(s.bias), x = upload(s.x),
             grad_output = upload(s.grad_output);
  switch (s.source) {
    case Source::floats:
      layer.set_weight(weight->data(), s.source_type);
      break;
    case Source::codes:
      layer.set_weight_codes(static_cast<const int8_t*>(weight->data()), static_cast<const float*>(scales->data()));
      break;
    case Source::fp8:
      layer.set_weight(Fp8Weight{static_cast<const uint8_t*>(weight->data()), s.kind,
                                 static_cast<const float*>(scales->data()), s.scale_shape});
      break;
  }
  if (s.spec.bias) layer.set_bias(bias->data());
  Outcome out;
  out.y.resize(size_t(s.tokens * s.spec.outputs) * bytes_of(s.spec.type));
  out.grad_input.resize(s.x.size());
  Buffer y(out.y.size()), grad_input(out.grad_input.size());
  layer.forward(x->data(), s.tokens, y.data());
  layer.backward_input(grad_output->data(), s.tokens, grad_input.data());
  y.read(out.y);
  grad_input.read(out.grad_input);
  if (s.spec.mode == Mode::int8) out.weight = layer.weight();
  out.activation = layer.last_activation();
  if (config.record_accumulators) out.accumulators = layer.last_accumulators();
  return out;
}

// Memory of the host.
class HostBuffer {
 public:
  explicit HostBuffer(size_t bytes) : memory_(bytes / 16 + 1) {}
  void* data() { return memory_.data(); }
  void write(const std::vector<std::byte>& from) {
    if (!from.empty()) std::memcpy(memory_.data(), from.data(), from.size());
  }
  void read(std::vector<std::byte>& to) const {
    if (!to.empty()) std::memcpy(to.data(), memory_.data(), to.size());
  }

 private:
  struct alignas(16) Piece {
    std::byte bytes[16];
  };
  std::vector<Piece> memory_;
};

}  // namespace plumbline::linear
