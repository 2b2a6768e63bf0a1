// A training in small, for tests of the interface: tensors with made-up gradients, the same for the same step.
#pragma once
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/core/number.h"

namespace plumbline {

// Elements in their type, 16-byte aligned.
class Values {
 public:
  Values(int64_t size, Type type) : type_(type), units_(size_t(size / 4 + 1)), size_(size) {}
  void set(int64_t i, float x) {
    core::bf16 b;
    core::f16 h;
    if (type_ == Type::float32) std::memcpy(bytes() + i * 4, &x, 4);
    if (type_ == Type::bfloat16) core::narrow(x, b), std::memcpy(bytes() + i * 2, &b, 2);
    if (type_ == Type::float16) core::narrow(x, h), std::memcpy(bytes() + i * 2, &h, 2);
  }
  void fill(double scale, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int64_t i = 0; i < size_; ++i) {
      const double unit = std::ldexp(double(random() >> 11), -52) - 1.0;
      set(i, float(unit * scale * std::ldexp(1.0, -int(random() % 6))));
    }
  }
  void* data() { return units_.data(); }
  const void* data() const { return units_.data(); }
  std::span<std::byte> span() { return {reinterpret_cast<std::byte*>(units_.data()), units_.size() * sizeof(Unit)}; }
  bool operator==(const Values& other) const {
    return units_.size() == other.units_.size() &&
           std::memcmp(units_.data(), other.units_.data(), units_.size() * sizeof(Unit)) == 0;
  }

 private:
  struct alignas(16) Unit {
    unsigned char x[16] = {};
  };
  unsigned char* bytes() { return units_[0].x; }
  Type type_;
  std::vector<Unit> units_;
  int64_t size_;
};

inline int64_t elements(const TensorSpec& spec) {
  int64_t size = 1;
  for (const int64_t extent : spec.shape) size *= extent;
  return size;
}

struct Training {
  std::vector<TensorSpec> specs;
  Optimizer optimizer;
  std::vector<Values> parameters, gradients;
  std::vector<TensorPointers> pointers;

  Training(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config = {})
      : specs(std::move(tensors)), optimizer(specs, std::move(groups), config) {
    for (size_t i = 0; i < specs.size(); ++i) {
      parameters.emplace_back(elements(specs[i]), specs[i].parameter).fill(0.5, i + 1);
      gradients.emplace_back(elements(specs[i]), specs[i].gradient);
    }
    for (size_t i = 0; i < specs.size(); ++i) pointers.push_back({parameters[i].data(), gradients[i].data()});
  }
  void step(int t, float scale = 1.0f) {
    for (size_t i = 0; i < specs.size(); ++i) gradients[i].fill(1e-2 * double(scale), 1000 * uint64_t(t) + i);
    optimizer.step(pointers);
  }
};

inline bool same_slot(const RawSlot& a, const RawSlot& b) {
  return static_cast<const SlotLayout&>(a) == b && a.values == b.values && a.scales.size() == b.scales.size() &&
         (a.scales.empty() || std::memcmp(a.scales.data(), b.scales.data(), a.scales.size() * sizeof(float)) == 0);
}
// Every byte of state of every tensor.
inline bool same_state(const Optimizer& a, const Optimizer& b) {
  if (a.tensors().size() != b.tensors().size()) return false;
  for (int i = 0; i < int(a.tensors().size()); ++i) {
    const auto x = a.export_raw(i), y = b.export_raw(i);
    if (a.steps_taken(i) != b.steps_taken(i) || x.size() != y.size()) return false;
    for (size_t k = 0; k < x.size(); ++k) {
      if (!same_slot(x[k], y[k])) return false;
    }
  }
  return true;
}
inline bool same_training(const Training& a, const Training& b) {
  return a.parameters == b.parameters && same_state(a.optimizer, b.optimizer);
}

// Options by name over the library's, every tensor quantized.
using OptionList = std::vector<std::pair<const char*, const char*>>;
inline GroupOptions options_of(const OptionList& options) {
  GroupOptions out;
  out.min_quantized_size = 0;
  for (const auto& [name, value] : options) set_option(out, name, value);
  return out;
}

}  // namespace plumbline
