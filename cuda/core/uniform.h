// Momentum in 8 or 4 bits: signed codes on an even grid, one scale a block.
//
//   scale = max |x| of the block, at least 2^-100; q = fl(H/scale)
//   nearest     code = round_even(fl(x q)) in -H..H, H = 127 (uf8) or 7 (uf4); decoded fl(fl(code/H) scale)
//   stochastic  H = 126 or 6; y = fl(x q), k = clamp(floor(y), -H, H - 1), up with probability by decoded values
//   dither      H = 125.5 or 5.5; code = round_even(fl(y + delta)), decoded fl(fl((code - delta)/H) scale)
// The range is symmetric: -8..7 would bias by sign. Smaller H leave room for the random part, so that nothing clamps.
// A value that is not finite makes the scale NaN and every code 0; the block then decodes to NaN. uf4 keeps two codes a
// byte in two's complement, the first in the high nibble; rows start on a byte.
#pragma once
#include "cuda/core/codec.h"

namespace plumbline::core {

// What coding and decoding of one block need. In a fresh slot the stored scale is 0: it decodes to 0.
struct UniformBlock {
  float scale;
  float q;        // H/scale, for encoding
  float H;        // levels on either side of 0
  float inverse;  // fl(1/H)
  float limit;    // largest code
  float delta;    // of dither, else 0
};
PLUMBLINE_HD float uniform_levels(Storage storage, Rounding rounding) {
  const float shrink = rounding == Rounding::nearest ? 0.0f : rounding == Rounding::stochastic ? 1.0f : 1.5f;
  const float wide = is_mutant(Mutant::uniform_asymmetric) ? 1.0f : 0.0f;
  return (storage == Storage::uf8 ? 127.0f : 7.0f) - shrink + wide;
}
PLUMBLINE_HD float uniform_scale(BlockRange range) {
  const float high =
      from_bits(is_mutant(Mutant::scale_floor_coarse) && range.high < 0x2b8cbcccu ? 0x2b8cbcccu : range.high);
  return range.high >= 0x7f800000u
             ? canonical_nan()
             : perturbed(PerturbedStage::momentum_scale, high >= kLinearFloor ? high : kLinearFloor);
}
// H/scale, one rounding.
template <class F>
PLUMBLINE_HD F uniform_factor(F levels, F scale) {
  return levels / scale;
}
PLUMBLINE_HD UniformBlock uniform_block(Storage storage, Rounding rounding, float scale, float delta) {
  const float H = uniform_levels(storage, rounding), limit = rounding == Rounding::dither ? H + 0.5f : H;
  const float residue = is_mutant(Mutant::residue) && rounding == Rounding::stochastic ? 0.25f : 0.0f;
  return {scale, uniform_factor(H, scale), H, 1.0f / H, limit, rounding == Rounding::dither ? delta : residue};
}

// Quotient by H, correctly rounded for every code and delta (tests try them all).
PLUMBLINE_HD float divide_levels(float x, float H, float inverse) {
  const float q = x * inverse;
  return fma(fma(-q, H, x), inverse, q);
}
// fl(x/H) scale: the recipe whose roundings are counted.
template <class F>
PLUMBLINE_HD F decode_uniform(F code, F H, F scale) {
  return code / H * scale;
}
PLUMBLINE_HD float decode_uniform(float code, const UniformBlock& b) {
  return divide_levels(code - b.delta, b.H, b.inverse) * b.scale;
}

// x in units of codes, unrounded.
template <class F>
PLUMBLINE_HD F unrounded_uniform(F x, F q) {
  return x * q;
}
// Codes as float32 integers (0 in a block of NaN). The first serves nearest and dither.
PLUMBLINE_HD float encode_uniform(float x, const UniformBlock& b) {
  const float unrounded = unrounded_uniform(x, b.q) + b.delta;
  float code = clamp(round_even(unrounded), -b.limit, b.limit);
  if (is_mutant(Mutant::momentum_code_truncated)) code = float(int(clamp(unrounded, -b.limit, b.limit)));
  if (is_mutant(Mutant::uniform_asymmetric)) code = clamp(code, -b.limit, b.limit - 1.0f);
  return b.scale == b.scale ? code : 0.0f;
}
PLUMBLINE_HD float encode_uniform_stochastic(float x, const UniformBlock& b, float u) {
  const float y = unrounded_uniform(x, b.q);
  if (is_mutant(Mutant::dead_zone) && y < 1.0f && y > -1.0f) return 0.0f;
  const float k = clamp(floor(y), -b.H, b.H - 1.0f);
  const bool up = rounds_up(x, decode_uniform(k, b), decode_uniform(k + 1.0f, b), u);
  return b.scale == b.scale ? k + (up ? 1.0f : 0.0f) : 0.0f;
}

// Two codes a byte.
PLUMBLINE_HD uint8_t pack_nibbles(int first, int second) {
  if (is_mutant(Mutant::nibbles_swapped)) return uint8_t((second & 15) << 4 | (first & 15));
  return uint8_t((first & 15) << 4 | (second & 15));
}
PLUMBLINE_HD int high_nibble(uint8_t byte) { return int(int8_t(byte)) >> 4; }
PLUMBLINE_HD int low_nibble(uint8_t byte) { return int(int8_t(uint8_t(byte << 4))) >> 4; }

}  // namespace plumbline::core
