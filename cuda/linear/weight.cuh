// A stored weight as float32 values, sixteen inputs of one output at a time.
#pragma once
#include "cuda/kernels/vector.cuh"
#include "cuda/linear/tasks.h"

namespace plumbline::PLUMBLINE_TARGET {

struct Group {
  float x[linear::kGroup];
};

PLUMBLINE_DEVICE float fp8_scale(const linear::StoredWeight& w, int64_t output, int64_t input) {
  if (w.kind == linear::ScaleKind::tensor) return w.scales[0];
  if (w.kind == linear::ScaleKind::channel) return w.scales[output];
  // the zeros of the padding take the last block's scale
  const int32_t shift = linear::active(w.fault) == linear::Fault::shifted_block ? 1 : 0;
  const int32_t block = (int32_t(input) + shift) / w.block;
  return w.scales[output * w.blocks + (block < w.blocks ? block : w.blocks - 1)];
}

PLUMBLINE_DEVICE float weight_at(const linear::StoredWeight& w, int64_t output, int64_t input) {
  const uint8_t code = w.codes[output * w.pitch + input];
  if (!w.fp8) return linear::weight_of(int8_t(code), w.scales[output]);
  return linear::decode_e4m3(code, linear::active(w.fault)) * fp8_scale(w, output, input);
}

// Inputs 16g ... 16g + 15 of one output; +0 past the last input.
PLUMBLINE_DEVICE Group load_weight(const linear::StoredWeight& w, int64_t output, int64_t g) {
  const int64_t first = g * linear::kGroup;
  const auto bytes = load<16>(w.codes + output * w.pitch + first);
  const bool one_scale = !w.fp8 || w.kind != linear::ScaleKind::block ||
                         (w.block % linear::kGroup == 0 && linear::active(w.fault) == linear::Fault::none);
  const float scale = !w.fp8 ? w.scales[output] : one_scale ? fp8_scale(w, output, first) : 0.0f;
  Group group;
  PLUMBLINE_UNROLL
  for (int i = 0; i < linear::kGroup; ++i) {
    const auto code = uint8_t(bytes.word[i / 4] >> (i % 4 * 8));
    const float value = w.fp8 ? linear::decode_e4m3(code, linear::active(w.fault)) *
                                    (one_scale ? scale : fp8_scale(w, output, first + i))
                              : linear::weight_of(int8_t(code), scale);
    group.x[i] = first + i < w.inputs ? value : 0.0f;
  }
  return group;
}

// Values 16g ... 16g + 15 of a row of `columns`; +0 past its end.
template <class T>
PLUMBLINE_DEVICE Group load_row(const T* row, int64_t columns, int64_t g, bool whole) {
  const int64_t first = g * linear::kGroup;
  const auto packed = load_elements<T, linear::kGroup>(row + first, columns - first, whole);
  const auto values = unpack<T, linear::kGroup>(packed);
  Group group;
  PLUMBLINE_UNROLL
  for (int i = 0; i < linear::kGroup; ++i) group.x[i] = core::widen(values.x[i]);
  return group;
}

}  // namespace plumbline::PLUMBLINE_TARGET
