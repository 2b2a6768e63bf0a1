#include "harness/subjects/linear.h"

#include <cstring>
#include <stdexcept>

#include "harness/error.h"
#include "harness/subjects/memory.h"

namespace plumbline::harness {
namespace {

Type production_type(DType type) {
  return type == DType::bfloat16 ? Type::bfloat16 : type == DType::float16 ? Type::float16 : Type::float32;
}

linear::ScaleKind production_kind(reference::Fp8ScaleKind kind) {
  switch (kind) {
    case reference::Fp8ScaleKind::tensor:
      return linear::ScaleKind::tensor;
    case reference::Fp8ScaleKind::channel:
      return linear::ScaleKind::channel;
    case reference::Fp8ScaleKind::block:
      break;
  }
  return linear::ScaleKind::block;
}

linear::LayerSpec spec_of(const LinearProblem& p) {
  linear::LayerSpec spec;
  spec.inputs = p.inputs;
  spec.outputs = p.outputs;
  spec.mode = p.mode == LayerMode::int8 ? linear::Mode::int8 : linear::Mode::fp8;
  spec.type = production_type(p.type);
  spec.bias = p.bias;
  spec.max_tokens = p.tokens;
  return spec;
}

std::vector<int64_t> scale_shape(const LinearProblem& p) {
  switch (p.scales) {
    case reference::Fp8ScaleKind::tensor:
      return {1};
    case reference::Fp8ScaleKind::channel:
      return {p.outputs, 1};
    case reference::Fp8ScaleKind::block:
      break;
  }
  return {p.outputs, p.inputs / p.block, 1};
}

class ProductionLayer final : public LinearSubject {
 public:
  ProductionLayer(Backend backend, linear::Fault fault) : backend_(backend), fault_(fault) {}

  std::string cannot_run(const LinearProblem& p) const override {
    const double products = double(p.tokens) * double(p.inputs) * double(p.outputs);
    if (backend_ == Backend::emulator && products > 0x1p23)
      return "too large for the emulator (more than 2^23 products)";
    return {};
  }

  LinearObservation run(const LinearProblem& p, const LinearInputs& in) const override {
    const auto memory = make_memory();
    GuardedResource resource(*memory);
    linear::Layer layer(spec_of(p), config(p, resource));
    const auto upload = [&](const void* data, size_t bytes) {
      auto buffer = std::make_unique<GuardedBuffer>(*memory, bytes);
      buffer->write({static_cast<const std::byte*>(data), bytes});
      return buffer;
    };
    const auto x = upload(in.x.data(), in.x.size()), gradient = upload(in.grad_output.data(), in.grad_output.size()),
               weight = upload(in.weight.data(), in.weight.size()), bias = upload(in.bias.data(), in.bias.size()),
               scales = upload(in.scales.data(), in.scales.size() * sizeof(float));
    set_weight(layer, p, weight->data(), scales->data());
    if (p.bias) layer.set_bias(bias->data());

    LinearObservation out;
    out.output.resize(size_t(p.tokens * p.outputs) * size_of(p.type));
    out.input_gradient.resize(in.x.size());
    GuardedBuffer y(*memory, out.output.size()), grad_input(*memory, out.input_gradient.size());
    layer.forward(x->data(), p.tokens, y.data());
    layer.backward_input(gradient->data(), p.tokens, grad_input.data());
    y.read(out.output);
    grad_input.read(out.input_gradient);
    const auto coded = [](linear::Layer::Quantized&& q) { return CodedRows{std::move(q.codes), std::move(q.scales)}; };
    if (p.mode == LayerMode::int8) out.weight = coded(layer.weight());
    if (p.quantizes_activations()) {
      out.activation = coded(layer.last_activation());
      out.accumulators = layer.last_accumulators();
    }
    y.check_guards("y");
    grad_input.check_guards("grad_input");
    resource.check_guards();
    expect_untouched("x", *x, in.x);
    expect_untouched("grad_output", *gradient, in.grad_output);
    expect_untouched("weight", *weight, in.weight);
    return out;
  }

  LinearArithmetic arithmetic(const LinearProblem& p) const override {
    const linear::LayerArithmetic a = linear::arithmetic_of(spec_of(p));
    return {a.dot, a.forward, a.backward};
  }

 private:
  std::unique_ptr<Memory> make_memory() const {
#ifdef PLUMBLINE_HAVE_CUDA
    if (backend_ == Backend::cuda) return make_cuda_memory(0);
#endif
    return make_host_memory();
  }

  linear::LayerConfig config(const LinearProblem& p, GuardedResource& resource) const {
    linear::LayerConfig config;
    config.backend = backend_;
    config.memory = &resource;
    config.schedule_seed = p.seed;
    config.record_accumulators = true;
    config.fault = fault_;
    return config;
  }

  static void set_weight(linear::Layer& layer, const LinearProblem& p, const void* weight, const void* scales) {
    switch (p.weight) {
      case WeightSource::fp8:
        return layer.set_weight(linear::Fp8Weight{static_cast<const uint8_t*>(weight), production_kind(p.scales),
                                                  static_cast<const float*>(scales), scale_shape(p)});
      case WeightSource::codes:
        return layer.set_weight_codes(static_cast<const int8_t*>(weight), static_cast<const float*>(scales));
      case WeightSource::f32:
        return layer.set_weight(weight, Type::float32);
      case WeightSource::bf16:
        return layer.set_weight(weight, Type::bfloat16);
      case WeightSource::f16:
        return layer.set_weight(weight, Type::float16);
    }
  }

  static void expect_untouched(const char* what, const GuardedBuffer& buffer, const std::vector<std::byte>& expected) {
    std::vector<std::byte> now(buffer.size());
    buffer.read(now);
    if (!now.empty() && std::memcmp(now.data(), expected.data(), now.size()) != 0)
      throw std::runtime_error(std::string(what) + " was written to");
    buffer.check_guards(what);
  }

  Backend backend_;
  linear::Fault fault_;
};

}  // namespace

std::unique_ptr<LinearSubject> make_linear_subject(Backend backend, linear::Fault fault) {
  return std::make_unique<ProductionLayer>(backend, fault);
}

}  // namespace plumbline::harness
