// A case of the W8A8 linear layer as a value: shape, types, where the weight comes from, data and seed. Prints itself
// as one line that begins with "w8a8" and parses that line back to an equal value.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/format.h"
#include "reference/linear/layer.h"

namespace plumbline::harness {

enum class LayerMode : uint8_t { int8, fp8 };
inline constexpr int kLayerModes = 2;
const char* to_string(LayerMode mode);

// What the layer is given as its weight.
enum class WeightSource : uint8_t {
  fp8,  // E4M3 with scales; converted to int8 in mode int8
  f32,  // floating-point values, quantized by the layer (mode int8)
  bf16,
  f16,
  codes,  // int8 codes and scales (mode int8)
};
inline constexpr int kWeightSources = 5;
const char* to_string(WeightSource source);
const char* to_string(reference::Fp8ScaleKind kind);

// Statistics of activations and gradients; weights are bell-shaped where nothing else is said.
enum class LayerRegime : uint8_t {
  gaussian,         // bell-shaped, one scale
  heavy_tail,       // a few elements fifty times larger
  outlier_channel,  // one input in sixteen a hundred times larger, in every token
  wide_tokens,      // scales of tokens spread over 2^-12 .. 2^12
  zero_tokens,      // some tokens are zero, others half zeros
  ties,             // x/s = k + 1/2 exactly, for powers of two s
  integers,         // every operation is exact in float32: bounds of zero
  tiny,             // below the floor of the scale
  nonfinite,        // gaussian; NaN and infinities in some tokens
};
inline constexpr int kLayerRegimes = 9;
const char* to_string(LayerRegime regime);

struct LinearProblem {
  int64_t tokens = 33, inputs = 64, outputs = 48;
  LayerMode mode = LayerMode::int8;
  DType type = DType::float32;  // of x, y, bias and gradients
  WeightSource weight = WeightSource::fp8;
  reference::Fp8ScaleKind scales = reference::Fp8ScaleKind::channel;  // of an FP8 weight
  int64_t block = 0;                                                  // inputs of a block, for scales = block
  bool bias = true;
  LayerRegime regime = LayerRegime::gaussian;
  int exponent = 0;   // activations are about 2^exponent
  std::string layer;  // a recorded layer by path or name; empty: generated
  uint64_t seed = 1;

  bool operator==(const LinearProblem&) const = default;
  // Up to 16 tokens the weight is dequantized instead of the activations quantized.
  bool small_batch() const { return tokens <= reference::kSmallBatchTokens; }
  bool quantizes_activations() const { return mode == LayerMode::int8 && !small_batch(); }
};

// "w8a8 tokens=17 inputs=128 outputs=96 type=bf16 weight=fp8 scales=block block=16 data=gaussian:0 seed=7": what
// differs from the defaults, and always the extents, the data and the seed.
std::string to_string(const LinearProblem& problem);
// Throws InputError naming the word, what was expected and the known names.
LinearProblem parse_linear_problem(std::string_view line);
// Throws InputError for an impossible problem.
void validate(const LinearProblem& problem);

}  // namespace plumbline::harness
