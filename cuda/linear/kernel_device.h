// The layer's operations as launches, the same for the GPU and the emulator.
#pragma once
#include "cuda/core/with_type.h"
#include "cuda/kernels/runtime.h"
#include "cuda/linear/device.h"
#include "cuda/linear/dot.cuh"
#include "cuda/linear/matmul.cuh"
#include "cuda/linear/product.cuh"
#include "cuda/linear/quantize.cuh"
#ifdef PLUMBLINE_HOPPER
#include "cuda/linear/product_hopper.h"
#endif

namespace plumbline::PLUMBLINE_TARGET {

class KernelDevice final : public linear::Device {
 public:
  explicit KernelDevice(const linear::LayerConfig& config) : runtime_(runtime_config(config)), config_(config) {
    const Runtime::Use use(runtime_);
    for (const Type type : {Type::float32, Type::bfloat16, Type::float16})
      core::with_type(type, [&]<class T>(T) { runtime_.prepare(product_mma<T>, ProductTile::kShared); });
#ifdef PLUMBLINE_HOPPER
    hopper_ = !config.portable_kernels && gpu::is_hopper(config.device);
    if (hopper_) gpu::prepare_product_hopper();
#endif
  }

  MemoryResource& memory() const override { return runtime_.memory(); }
  const char* product_kernel() const override { return hopper_ ? "wgmma" : "mma"; }

  void quantize(const linear::QuantizeTask& task, Stream stream) const override {
    const Runtime::Use use(runtime_);
    const auto launch = [&](const char* name, auto kernel, const auto& rows) {
      runtime_.launch(name, kernel, task.rows, kQuantizeThreads, 0, stream, rows,
                      core::ceil_div(task.columns, linear::kGroup), task.pitch, task.codes, task.scales, task.fault);
    };
    if (task.weight.codes != nullptr)
      return launch("quantize_rows", quantize_rows<WeightRows>, WeightRows{task.weight});
    core::with_type(task.type, [&]<class T>(T) {
      launch("quantize_rows", quantize_rows<FloatRows<T>>,
             FloatRows<T>{static_cast<const T*>(task.values), task.columns});
    });
  }

  void product(const linear::ProductTask& task, Stream stream) const override {
    const Runtime::Use use(runtime_);
#ifdef PLUMBLINE_HOPPER
    if (hopper_)
      return gpu::run_product_hopper(task, runtime_.limits().multiprocessors, false, static_cast<cudaStream_t>(stream));
#endif
    launch_mma(task, stream);
  }

  void dot(const linear::DotTask& task, Stream stream) const override {
    const Runtime::Use use(runtime_);
    const int64_t warps = core::ceil_div(task.weight.outputs, kDotOutputs);
    const int64_t grid = core::ceil_div(warps, kDotThreads / kWarp);
    core::with_type(task.type, [&]<class T>(T) {
      if (task.tokens == 1)
        runtime_.launch("dot_rows", dot_rows<T, 1>, grid, kDotThreads, 0, stream, task);
      else if (task.tokens <= 4)
        runtime_.launch("dot_rows", dot_rows<T, 4>, grid, kDotThreads, 0, stream, task);
      else
        runtime_.launch("dot_rows", dot_rows<T, int(linear::kSmallBatch)>, grid, kDotThreads, 0, stream, task);
    });
  }

  void matmul(const linear::MatmulTask& task, Stream stream) const override {
    const Runtime::Use use(runtime_);
    const int64_t columns = task.transposed ? task.weight.outputs : task.weight.inputs;
    const int64_t grid = core::ceil_div(task.tokens, MatmulTile::kRows) * core::ceil_div(columns, MatmulTile::kColumns);
    core::with_type(task.type, [&]<class T>(T) {
      const auto kernel = task.transposed ? matmul_weight<T, true> : matmul_weight<T, false>;
      runtime_.launch("matmul_weight", kernel, grid, MatmulTile::kThreads, 0, stream, task);
    });
  }

  void copy_rows(void* to, int64_t to_pitch, const void* from, int64_t from_pitch, int64_t width, int64_t rows,
                 Stream stream) const override {
    const Runtime::Use use(runtime_);
    PLUMBLINE_LAUNCH(runtime_, copy_padded_rows, std::min<int64_t>(rows, 4096), 256, 0, stream,
                     static_cast<uint8_t*>(to), to_pitch, static_cast<const uint8_t*>(from), from_pitch, width, rows);
  }
  void widen(float* to, const void* from, Type type, int64_t count, Stream stream) const override {
    const Runtime::Use use(runtime_);
    core::with_type(type, [&]<class T>(T) {
      runtime_.launch("widen_values", widen_values<T>, core::ceil_div(count, 256), 256, 0, stream, to,
                      static_cast<const T*>(from), count);
    });
  }
  void download(void* to, const void* from, size_t bytes, Stream stream) const override {
    const Runtime::Use use(runtime_);
    runtime_.copy_to_host(to, from, bytes, stream);
  }
  void zero(void* memory, size_t bytes, Stream stream) const override {
    const Runtime::Use use(runtime_);
    runtime_.zero(memory, bytes, stream);
  }

 private:
  static OptimizerConfig runtime_config(const linear::LayerConfig& config) {
    OptimizerConfig out;
    out.device = config.device;
    out.schedule_seed = config.schedule_seed;
    return out;
  }

  void launch_mma(const linear::ProductTask& task, Stream stream) const {
    using Tile = ProductTile;
    const int64_t grid = core::ceil_div(task.tokens, Tile::kTokens) * core::ceil_div(task.outputs, Tile::kOutputs);
    core::with_type(task.type, [&]<class T>(T) {
      runtime_.launch("product_mma", product_mma<T>, grid, Tile::kThreads, Tile::kShared, stream, task);
    });
  }

  Runtime runtime_;
  linear::LayerConfig config_;
  bool hopper_ = false;
};

}  // namespace plumbline::PLUMBLINE_TARGET
