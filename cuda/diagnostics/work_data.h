// Data of the fixed work, and its results as stages.
#pragma once
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "cuda/core/number.h"
#include "cuda/diagnostics/workload.h"

namespace plumbline::diagnostics {

inline size_t element_bytes(Type type) { return type == Type::float32 ? 4 : 2; }

// Sign and mantissa at random; exponents downwards from `top`, two in three within four octaves of it.
inline float draw(uint64_t bits, int top, int octaves) {
  const auto mantissa = uint32_t(bits & 0x007fffffu), sign = uint32_t(bits >> 63) << 31;
  const auto pick = uint32_t(bits >> 23) & 0x3ffu;
  if (pick % 32 == 0) return core::from_bits(sign);                     // zero
  if (pick % 128 == 1) return core::from_bits(sign | (mantissa >> 3));  // subnormal
  const int spread = pick % 3 == 0 ? octaves : 4;
  const int exponent = top - int((bits >> 40) & 0xffffu) * spread / 0x10000;
  return core::from_bits(sign | uint32_t(exponent + 127) << 23 | mantissa);
}

// count values make(i), rounded to the type.
template <class Make>
std::vector<std::byte> make_values(Type type, int64_t count, const Make& make) {
  std::vector<std::byte> bytes(size_t(count) * element_bytes(type));
  for (int64_t i = 0; i < count; ++i) {
    const float x = make(i);
    if (type == Type::float32) {
      std::memcpy(&bytes[size_t(i) * 4], &x, 4);
    } else if (type == Type::bfloat16) {
      core::bf16 y;
      core::narrow(x, y);
      std::memcpy(&bytes[size_t(i) * 2], &y.bits, 2);
    } else {
      core::f16 y;
      core::narrow(x, y);
      std::memcpy(&bytes[size_t(i) * 2], &y.bits, 2);
    }
  }
  return bytes;
}

template <class T>
Stage stage_of(std::string name, int step, std::span<const T> values) {
  Stage stage{std::move(name), step, int(sizeof(T)), {}};
  const auto bytes = std::as_bytes(values);
  stage.bytes.assign(bytes.begin(), bytes.end());
  return stage;
}
template <class T>
Stage stage_of(std::string name, int step, const T& value) {
  return stage_of(std::move(name), step, std::span<const T>(&value, 1));
}

}  // namespace plumbline::diagnostics
