#include "cuda/linear/layer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>

#include "cuda/core/geometry.h"
#include "cuda/linear/device.h"
#include "cuda/state/arena.h"

namespace plumbline::linear {
namespace {

constexpr int64_t kOutputPadding = 256;  // kernels read scales and biases of whole tiles
constexpr int64_t kMostExtent = int64_t{1} << 30;

size_t bytes_of(Type type) { return type == Type::float32 ? 4 : 2; }

void expect_range(const char* what, int64_t value, int64_t low, int64_t high, const char* why = "") {
  if (value < low || value > high)
    throw OptionError(fmt::format("{} = {}: expected {} to {}{}", what, value, low, high, why));
}

void expect_pointer(const char* what, const void* pointer, size_t alignment) {
  if (pointer == nullptr) throw OptionError(fmt::format("{}: null pointer", what));
  if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0)
    throw OptionError(fmt::format("{}: {} is not a multiple of {} bytes", what, pointer, alignment));
}

LayerSpec checked(const LayerSpec& spec) {
  expect_range("outputs", spec.outputs, 1, kMostExtent);
  expect_range("max_tokens", spec.max_tokens, 1, kMostExtent);
  if (spec.mode == Mode::int8)
    expect_range("inputs", spec.inputs, 1, kExactInputs, " (the int32 accumulator is exact up to there)");
  else
    expect_range("inputs", spec.inputs, 1, kMostExtent);
  return spec;
}

std::unique_ptr<Device> make_device(const LayerConfig& config) {
  if (const std::string why = backend_unavailable(config.backend, config.device); !why.empty()) throw CudaError(why);
  switch (config.backend) {
    case Backend::emulator:
      return make_emulator_device(config);
#ifdef PLUMBLINE_HAVE_CUDA
    case Backend::cuda:
      return make_cuda_device(config);
#endif
    default:
      return make_host_device(config);
  }
}

// A region of an arena that is planned part by part, each at a multiple of 256 bytes.
class Regions {
 public:
  size_t add(int64_t count, size_t each) {
    const size_t at = bytes_;
    bytes_ = (bytes_ + size_t(count) * each + 255) / 256 * 256;
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// Blocks of inputs an output, of a shape of scales that fits; throws OptionError.
int64_t blocks_of(const Fp8Weight& weight, const LayerSpec& spec) {
  std::vector<int64_t> shape = weight.scale_shape;
  if (!shape.empty() && shape.size() > 1 && shape.back() == 1) shape.pop_back();
  const auto refuse = [&](const std::string& wanted) {
    throw OptionError(fmt::format("scales of shape ({}): expected {} for a weight of {} outputs and {} inputs",
                                  fmt::join(weight.scale_shape, ", "), wanted, spec.outputs, spec.inputs));
  };
  switch (weight.kind) {
    case ScaleKind::tensor:
      if (!(shape.empty() || (shape.size() == 1 && shape[0] == 1))) refuse("one, shape () or (1),");
      break;
    case ScaleKind::channel:
      if (!(shape.size() == 1 && shape[0] == spec.outputs)) refuse(fmt::format("({0}) or ({0}, 1)", spec.outputs));
      break;
    case ScaleKind::block:
      if (shape.size() == 1 && weight.scale_shape.size() == 2) shape.push_back(1);  // one block: (outputs, 1)
      if (!(shape.size() == 2 && shape[0] == spec.outputs && shape[1] >= 1 && spec.inputs % shape[1] == 0))
        refuse(fmt::format("({0}, blocks) or ({0}, blocks, 1) with a number of blocks that divides the inputs",
                           spec.outputs));
      return shape[1];
  }
  return 1;
}

}  // namespace

class Layer::Impl {
 public:
  Impl(const LayerSpec& spec, const LayerConfig& config)
      : spec_(checked(spec)), config_(config), device_(make_device(config)), pitch_(padded(spec.inputs)) {
    const int64_t outputs = core::ceil_div(spec_.outputs + 1, kOutputPadding) * kOutputPadding;
    Regions weight, scratch;
    codes_ = weight.add(spec_.outputs * pitch_, 1);
    bias_ = weight.add(outputs, sizeof(float));
    if (int8()) scales_ = weight.add(outputs, sizeof(float));  // of FP8 weights: an arena of their own, see set_weight
    if (int8() && spec_.max_tokens > small_batch()) {
      activation_codes_ = scratch.add(spec_.max_tokens * pitch_, 1);
      activation_scales_ = scratch.add(spec_.max_tokens, sizeof(float));
      if (config_.record_accumulators) accumulators_ = scratch.add(spec_.max_tokens * spec_.outputs, sizeof(int32_t));
    }
    weight_ = allocate(weight.bytes());
    device_->zero(weight_->data(), weight_->bytes(), nullptr);
    if (scratch.bytes() > 0) scratch_ = allocate(scratch.bytes());
  }

  void set_weight(const void* values, Type type, Stream stream) {
    expect_pointer("weight", values, 16);
    if (!int8()) throw OptionError("mode fp8 takes an E4M3 weight alone: got floating-point values");
    QuantizeTask task;
    task.values = values;
    task.type = type;
    quantize_weight(task, stream);
  }

  void set_weight(const Fp8Weight& weight, Stream stream) {
    const int64_t blocks = blocks_of(weight, spec_);
    expect_pointer("weight", weight.codes, 16);
    expect_pointer("scales", weight.scales, sizeof(float));
    StoredWeight stored;
    stored.fp8 = true;
    stored.kind = weight.kind;
    stored.blocks = int32_t(blocks);
    stored.block = int32_t(spec_.inputs / blocks);
    stored.inputs = spec_.inputs;
    stored.outputs = spec_.outputs;
    stored.pitch = pitch_;
    stored.fault = config_.fault;
    const int64_t scales = weight.kind == ScaleKind::tensor ? 1 : spec_.outputs * blocks;
    if (!int8()) {
      fp8_scales_ = allocate(size_t(scales) * sizeof(float));
      stored.codes = weight_codes();
      stored.scales = reinterpret_cast<const float*>(fp8_scales_->data());
      device_->copy_rows(weight_->data() + codes_, pitch_, weight.codes, spec_.inputs, spec_.inputs, spec_.outputs,
                         stream);
      device_->copy_rows(fp8_scales_->data(), scales * 4, weight.scales, scales * 4, scales * 4, 1, stream);
      stored_ = stored;
      has_weight_ = true;
      return;
    }
    // rows of a whole pitch for the time of the conversion
    const auto rows = allocate(size_t(spec_.outputs * pitch_));
    device_->copy_rows(rows->data(), pitch_, weight.codes, spec_.inputs, spec_.inputs, spec_.outputs, stream);
    stored.codes = reinterpret_cast<const uint8_t*>(rows->data());
    stored.scales = weight.scales;
    QuantizeTask task;
    task.weight = stored;
    quantize_weight(task, stream);
    std::byte last;
    device_->download(&last, weight_->data(), 1, stream);  // `rows` goes when the conversion is over
  }

  void set_weight_codes(const int8_t* codes, const float* scales, Stream stream) {
    if (!int8()) throw OptionError("mode fp8 takes an E4M3 weight alone: got int8 codes");
    expect_pointer("weight", codes, 1);
    expect_pointer("scales", scales, sizeof(float));
    device_->copy_rows(weight_->data() + codes_, pitch_, codes, spec_.inputs, spec_.inputs, spec_.outputs, stream);
    const int64_t bytes = spec_.outputs * 4;
    device_->copy_rows(weight_->data() + scales_, bytes, scales, bytes, bytes, 1, stream);
    store_int8();
  }

  void set_bias(const void* bias, Stream stream) {
    if (!spec_.bias) throw OptionError("bias given to a layer without one");
    expect_pointer("bias", bias, bytes_of(spec_.type));
    device_->widen(reinterpret_cast<float*>(weight_->data() + bias_), bias, spec_.type, spec_.outputs, stream);
  }

  void forward(const void* x, int64_t tokens, void* y, Stream stream) {
    check_call(tokens);
    expect_pointer("x", x, 16);
    expect_pointer("y", y, 16);
    const auto* bias = reinterpret_cast<const float*>(weight_->data() + bias_) + (fault(Fault::neighbour_bias) ? 1 : 0);
    if (tokens <= small_batch()) return device_->dot({x, stored_, bias, y, spec_.type, tokens}, stream);
    if (!int8()) return device_->matmul({x, stored_, true, bias, y, spec_.type, tokens}, stream);
    QuantizeTask quantize;
    quantize.values = x;
    quantize.type = spec_.type;
    quantize.rows = tokens;
    quantize.columns = spec_.inputs;
    quantize.pitch = pitch_;
    quantize.fault = config_.fault;
    quantize.codes = reinterpret_cast<int8_t*>(scratch_->data() + activation_codes_);
    quantize.scales = reinterpret_cast<float*>(scratch_->data() + activation_scales_);
    device_->quantize(quantize, stream);
    ProductTask product;
    product.x = quantize.codes;
    product.x_scale = quantize.scales;
    product.w = reinterpret_cast<const int8_t*>(stored_.codes);
    product.w_scale = stored_.scales + (fault(Fault::neighbour_scale) ? 1 : 0);
    product.bias = bias;
    product.y = y;
    product.type = spec_.type;
    if (config_.record_accumulators)
      product.accumulators = reinterpret_cast<int32_t*>(scratch_->data() + accumulators_);
    product.tokens = tokens;
    product.outputs = spec_.outputs;
    product.pitch = pitch_;
    product.depth = fault(Fault::lost_tail) ? spec_.inputs / 64 * 64 : pitch_;
    device_->product(product, stream);
    last_tokens_ = tokens;
  }

  void backward_input(const void* grad_output, int64_t tokens, void* grad_input, Stream stream) {
    check_call(tokens);
    expect_pointer("grad_output", grad_output, 16);
    expect_pointer("grad_input", grad_input, 16);
    device_->matmul({grad_output, stored_, false, nullptr, grad_input, spec_.type, tokens}, stream);
  }

  size_t weight_bytes() const { return weight_->bytes() + (fp8_scales_ ? fp8_scales_->bytes() : 0); }
  size_t scratch_bytes() const { return scratch_ ? scratch_->bytes() : 0; }
  const char* product_kernel() const { return device_->product_kernel(); }

  Quantized last_activation(Stream stream) const {
    if (last_tokens_ == 0) return {};
    return read(scratch_->data() + activation_codes_, scratch_->data() + activation_scales_, last_tokens_, stream);
  }
  Quantized weight(Stream stream) const {
    if (!int8()) throw OptionError("mode fp8 has no int8 weight");
    return read(weight_->data() + codes_, weight_->data() + scales_, spec_.outputs, stream);
  }
  std::vector<int32_t> last_accumulators(Stream stream) const {
    if (!config_.record_accumulators) throw OptionError("the layer was not asked to record accumulators");
    std::vector<int32_t> out(size_t(last_tokens_ * spec_.outputs));
    if (last_tokens_ > 0)
      device_->download(out.data(), scratch_->data() + accumulators_, out.size() * sizeof(int32_t), stream);
    return out;
  }

 private:
  bool int8() const { return spec_.mode == Mode::int8; }
  bool fault(Fault which) const { return config_.fault == which; }
  int64_t small_batch() const { return kSmallBatch - (fault(Fault::small_batch_off_by_one) ? 1 : 0); }
  const uint8_t* weight_codes() const { return reinterpret_cast<const uint8_t*>(weight_->data() + codes_); }

  std::unique_ptr<Arena> allocate(size_t bytes) const {
    return std::make_unique<Arena>(config_.memory != nullptr ? *config_.memory : device_->memory(), bytes);
  }

  void check_call(int64_t tokens) const {
    expect_range("tokens", tokens, 1, spec_.max_tokens);
    if (!has_weight_) throw OptionError("the layer has no weight yet");
  }

  void quantize_weight(QuantizeTask& task, Stream stream) {
    task.rows = spec_.outputs;
    task.fault = config_.fault;
    task.columns = spec_.inputs;
    task.pitch = pitch_;
    task.codes = reinterpret_cast<int8_t*>(weight_->data() + codes_);
    task.scales = reinterpret_cast<float*>(weight_->data() + scales_);
    device_->quantize(task, stream);
    store_int8();
  }

  void store_int8() {
    stored_ = {};
    stored_.codes = weight_codes();
    stored_.scales = reinterpret_cast<const float*>(weight_->data() + scales_);
    stored_.inputs = spec_.inputs;
    stored_.outputs = spec_.outputs;
    stored_.pitch = pitch_;
    has_weight_ = true;
  }

  Quantized read(const std::byte* codes, const std::byte* scales, int64_t rows, Stream stream) const {
    Quantized out;
    std::vector<int8_t> raw(size_t(rows * pitch_));
    device_->download(raw.data(), codes, raw.size(), stream);
    out.scales.resize(size_t(rows));
    device_->download(out.scales.data(), scales, out.scales.size() * sizeof(float), stream);
    out.codes.resize(size_t(rows * spec_.inputs));
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(raw.begin() + row * pitch_, spec_.inputs, out.codes.begin() + row * spec_.inputs);
    return out;
  }

  LayerSpec spec_;
  LayerConfig config_;
  std::unique_ptr<Device> device_;
  int64_t pitch_;
  size_t codes_ = 0, bias_ = 0, scales_ = 0, activation_codes_ = 0, activation_scales_ = 0, accumulators_ = 0;
  std::unique_ptr<Arena> weight_, scratch_, fp8_scales_;
  StoredWeight stored_;
  bool has_weight_ = false;
  int64_t last_tokens_ = 0;
};

LayerArithmetic arithmetic_of(const LayerSpec& spec) {
  const auto blocked = [](int64_t n) { return std::min<int64_t>(n, kChunk) + core::ceil_div(n, kChunk); };
  LayerArithmetic a;
  a.dot = kGroup * core::ceil_div(core::ceil_div(spec.inputs, kGroup), kLanes) + core::tree_height(kLanes);
  a.forward = blocked(spec.inputs);
  a.backward = blocked(spec.outputs);
  return a;
}

Layer::Layer(const LayerSpec& spec, const LayerConfig& config) : impl_(std::make_unique<Impl>(spec, config)) {}
Layer::~Layer() = default;
Layer::Layer(Layer&&) noexcept = default;
Layer& Layer::operator=(Layer&&) noexcept = default;

void Layer::set_weight(const void* values, Type type, Stream stream) { impl_->set_weight(values, type, stream); }
void Layer::set_weight(const Fp8Weight& weight, Stream stream) { impl_->set_weight(weight, stream); }
void Layer::set_weight_codes(const int8_t* codes, const float* scales, Stream stream) {
  impl_->set_weight_codes(codes, scales, stream);
}
void Layer::set_bias(const void* bias, Stream stream) { impl_->set_bias(bias, stream); }
void Layer::forward(const void* x, int64_t tokens, void* y, Stream stream) { impl_->forward(x, tokens, y, stream); }
void Layer::backward_input(const void* grad_output, int64_t tokens, void* grad_input, Stream stream) {
  impl_->backward_input(grad_output, tokens, grad_input, stream);
}
void Layer::backward_weight(const void*, const void*, int64_t, void*) {
  throw OptionError("W8A8 does not support weight gradients");
}
size_t Layer::weight_bytes() const { return impl_->weight_bytes(); }
size_t Layer::scratch_bytes() const { return impl_->scratch_bytes(); }
const char* Layer::product_kernel() const { return impl_->product_kernel(); }
Layer::Quantized Layer::last_activation(Stream stream) const { return impl_->last_activation(stream); }
std::vector<int32_t> Layer::last_accumulators(Stream stream) const { return impl_->last_accumulators(stream); }
Layer::Quantized Layer::weight(Stream stream) const { return impl_->weight(stream); }

}  // namespace plumbline::linear
