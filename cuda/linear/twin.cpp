// The layer on the host: the kernels' results, bit for bit.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/core/geometry.h"
#include "cuda/core/with_type.h"
#include "cuda/linear/device.h"
#include "cuda/state/arena.h"

namespace plumbline::linear {
namespace {

float weight_scale(const StoredWeight& w, int64_t output, int64_t input) {
  if (!w.fp8 || w.kind == ScaleKind::channel) return w.scales[output];
  if (w.kind == ScaleKind::tensor) return w.scales[0];
  const int64_t shift = w.fault == Fault::shifted_block ? 1 : 0;
  return w.scales[output * w.blocks + std::min<int64_t>((input + shift) / w.block, w.blocks - 1)];
}

// One output channel as float32.
void dequantize_row(const StoredWeight& w, int64_t output, float* to) {
  const uint8_t* codes = w.codes + output * w.pitch;
  for (int64_t k = 0; k < w.inputs; ++k)
    to[k] = w.fp8 ? decode_e4m3(codes[k], w.fault) * weight_scale(w, output, k)
                  : weight_of(int8_t(codes[k]), weight_scale(w, output, k));
}

uint32_t largest_of(const float* x, int64_t columns) {
  uint32_t largest = 0;
  for (int64_t k = 0; k < columns; ++k) largest = std::max(largest, magnitude_bits(x[k]));
  return largest;
}

void code_row(const float* x, int64_t columns, int64_t pitch, float scale, int8_t* codes, Fault fault) {
  for (int64_t k = 0; k < columns; ++k) codes[k] = code_of(x[k], scale, fault);
  std::fill(codes + columns, codes + pitch, int8_t{0});
}

int32_t product_of(const int8_t* a, const int8_t* b, int64_t inputs) {
  int32_t sum = 0;
  for (int64_t k = 0; k < inputs; ++k) sum += int32_t(a[k]) * int32_t(b[k]);
  return sum;
}

float dot_of(const float* x, const float* w, int64_t inputs) {
  float lane[kLanes] = {};
  for (int64_t first = 0; first < inputs; first += kGroup) {
    float& sum = lane[first / kGroup % kLanes];
    for (int64_t k = first; k < std::min(first + kGroup, inputs); ++k) sum = core::fma(x[k], w[k], sum);
  }
  for (int n = kLanes / 2; n >= 1; n /= 2)
    for (int i = 0; i < n; ++i) lane[i] = lane[2 * i] + lane[2 * i + 1];
  return lane[0];
}

// Results of one row of `a` in the matmul's order: `columns` sums over `summed`, b(c) the weights of the c-th.
template <class B>
void matmul_row(const float* a, int64_t summed, int64_t columns, const B& b, float* total, float* sum) {
  std::fill(total, total + columns, 0.0f);
  for (int64_t first = 0; first < summed; first += kChunk) {
    std::fill(sum, sum + columns, 0.0f);
    for (int64_t c = first; c < std::min(first + kChunk, summed); ++c) {
      const float* w = b(c);
      for (int64_t n = 0; n < columns; ++n) sum[n] = core::fma(a[c], w[n], sum[n]);
    }
    for (int64_t n = 0; n < columns; ++n) total[n] = total[n] + sum[n];
  }
}

class HostDevice final : public Device {
 public:
  MemoryResource& memory() const override { return host_memory(); }
  const char* product_kernel() const override { return "twin"; }

  void quantize(const QuantizeTask& task, Stream) const override {
    const auto load = [&](int64_t row, std::vector<float>& values) {
      if (task.weight.codes != nullptr)
        dequantize_row(task.weight, row, values.data());
      else
        widen(values.data(), element(task.values, task.type, row * task.columns), task.type, task.columns, nullptr);
    };
    uint32_t of_all = 0;
    if (task.fault == Fault::scale_per_tensor) {
      std::vector<float> values(size_t(task.columns));
      for (int64_t row = 0; row < task.rows; ++row) {
        load(row, values);
        of_all = std::max(of_all, largest_of(values.data(), task.columns));
      }
    }
    each_row(task.rows, task.columns, [&](int64_t row, std::vector<float>& values) {
      load(row, values);
      const uint32_t largest = std::max(of_all, largest_of(values.data(), task.columns));
      task.scales[row] = scale_of(largest, task.fault);
      code_row(values.data(), task.columns, task.pitch, task.scales[row], task.codes + row * task.pitch, task.fault);
    });
  }

  void product(const ProductTask& task, Stream) const override {
    core::with_type(task.type, [&]<class T>(T) {
      auto* y = static_cast<T*>(task.y);
      tbb::parallel_for(int64_t{0}, task.tokens, [&](int64_t token) {
        for (int64_t o = 0; o < task.outputs; ++o) {
          const int32_t sum = product_of(task.x + token * task.pitch, task.w + o * task.pitch, task.depth);
          const int64_t at = token * task.outputs + o;
          if (task.accumulators != nullptr) task.accumulators[at] = sum;
          core::narrow(output_of(sum, task.x_scale[token], task.w_scale[o], task.bias[o]), y[at]);
        }
      });
    });
  }

  void dot(const DotTask& task, Stream) const override {
    const int64_t inputs = task.weight.inputs, outputs = task.weight.outputs;
    std::vector<float> x(size_t(task.tokens * inputs));
    widen(x.data(), task.x, task.type, task.tokens * inputs, nullptr);
    core::with_type(task.type, [&]<class T>(T) {
      each_row(outputs, inputs, [&](int64_t o, std::vector<float>& w) {
        dequantize_row(task.weight, o, w.data());
        for (int64_t t = 0; t < task.tokens; ++t)
          core::narrow(dot_of(x.data() + t * inputs, w.data(), inputs) + task.bias[o],
                       static_cast<T*>(task.y)[t * outputs + o]);
      });
    });
  }

  void matmul(const MatmulTask& task, Stream) const override {
    const StoredWeight& w = task.weight;
    const int64_t columns = task.transposed ? w.outputs : w.inputs, summed = task.transposed ? w.inputs : w.outputs;
    // by summed index
    std::vector<float> dequantized(size_t(w.inputs * w.outputs));
    each_row(w.outputs, w.inputs, [&](int64_t o, std::vector<float>& row) {
      dequantize_row(w, o, row.data());
      for (int64_t k = 0; k < w.inputs; ++k)
        dequantized[size_t(task.transposed ? k * w.outputs + o : o * w.inputs + k)] = row[size_t(k)];
    });
    core::with_type(task.type, [&]<class T>(T) {
      each_row(task.tokens, summed + 2 * columns, [&](int64_t token, std::vector<float>& work) {
        float *a = work.data(), *total = a + summed, *sum = total + columns;
        widen(a, element(task.a, task.type, token * summed), task.type, summed, nullptr);
        matmul_row(
            a, summed, columns, [&](int64_t c) { return dequantized.data() + c * columns; }, total, sum);
        for (int64_t n = 0; n < columns; ++n)
          core::narrow(total[n] + (task.bias != nullptr ? task.bias[n] : 0.0f),
                       static_cast<T*>(task.out)[token * columns + n]);
      });
    });
  }

  void copy_rows(void* to, int64_t to_pitch, const void* from, int64_t from_pitch, int64_t width, int64_t rows,
                 Stream) const override {
    for (int64_t row = 0; row < rows; ++row) {
      auto* at = static_cast<std::byte*>(to) + row * to_pitch;
      std::memcpy(at, static_cast<const std::byte*>(from) + row * from_pitch, size_t(width));
      std::memset(at + width, 0, size_t(to_pitch - width));
    }
  }
  void widen(float* to, const void* from, Type type, int64_t count, Stream) const override {
    core::with_type(type, [&]<class T>(T) {
      const auto* values = static_cast<const T*>(from);
      for (int64_t i = 0; i < count; ++i) to[i] = core::widen(values[i]);
    });
  }
  void download(void* to, const void* from, size_t bytes, Stream) const override { std::memcpy(to, from, bytes); }
  void zero(void* memory, size_t bytes, Stream) const override { std::memset(memory, 0, bytes); }

 private:
  static const void* element(const void* values, Type type, int64_t index) {
    return static_cast<const std::byte*>(values) + index * (type == Type::float32 ? 4 : 2);
  }
  // f(row, floats of its own) for every row, in parallel.
  template <class F>
  static void each_row(int64_t rows, int64_t floats, const F& f) {
    const int64_t grain = core::ceil_div(int64_t{1} << 14, floats + 1);
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, rows, size_t(grain)), [&](const auto& range) {
      std::vector<float> work(static_cast<size_t>(floats));
      for (int64_t row = range.begin(); row < range.end(); ++row) f(row, work);
    });
  }
};

}  // namespace

std::unique_ptr<Device> make_host_device(const LayerConfig&) { return std::make_unique<HostDevice>(); }

}  // namespace plumbline::linear
