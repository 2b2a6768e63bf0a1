// How second-moment state is kept in 8 bits. Values are non-negative; a block of B values shares one scale.
//
//   al8        code 0 <=> value 0; else l = log2 v (v clamped to [2^-126, 2^126]), lo and hi its range in the block
//              (lo = hi - 1 if equal), r = fl(hi - lo), code = clamp(round_even(fl(fl(fl(l - lo)/r) 254) + 1), 1, 255).
//              Decoded 2^((code - 1) r/254 + lo). Stored: lo, r. All zero: lo = 0, r = 1.
//   log_u8     lo = -126, hi = lo + 1 if not above lo, code = clamp(round_even(fl(fl(fl(l - lo)/r) 255)), 0, 255): no
//              zero code. Decoded 2^(code r/255 + lo). Stored: lo, r.
//   linear_u8  scale = max v, at least 1e-12; code = round_even(fl(fl(v/scale) 255)), decoded fl(fl(code/255) scale).
//              Stored: scale.
// A value that is not finite makes lo (scale) NaN and every code 0; the block then decodes to NaN.
#pragma once
#include "cuda/api/options.h"
#include "cuda/core/elementary.h"

namespace plumbline::core {

constexpr float kLogCeiling = 0x1p126f, kLogFloor = 0x1p-126f, kLinearFloor = 1e-12f;

PLUMBLINE_HD bool is_quantized(Storage s) { return s != Storage::fp32; }
PLUMBLINE_HD bool is_log(Storage s) { return s == Storage::al8 || s == Storage::log_u8; }
// float32 words of scale that a block stores.
PLUMBLINE_HD int scale_words(Storage s) { return s == Storage::fp32 ? 0 : s == Storage::linear_u8 ? 1 : 2; }

// Smallest non-zero and largest value of a block, as bits: for non-negative floats they order as the values do, and NaN
// is above all. Order of visits does not matter.
struct BlockRange {
  uint32_t low = 0xffffffffu;  // bits of the smallest non-zero value, minus 1
  uint32_t high = 0;
};
PLUMBLINE_HD uint32_t range_bits(float v) { return to_bits(v) & 0x7fffffffu; }
PLUMBLINE_HD void include(BlockRange& range, float v) {
  const uint32_t bits = range_bits(v), below = bits - 1u;
  range.low = below < range.low ? below : range.low;
  range.high = bits > range.high ? bits : range.high;
}
PLUMBLINE_HD BlockRange merge(BlockRange a, BlockRange b) {
  return {a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}

// What a block stores beside its codes: (lo, r), or (scale, unused).
struct BlockScale {
  float lo, r;
};
PLUMBLINE_HD BlockScale block_scale(Storage storage, BlockRange range) {
  if (range.high >= 0x7f800000u) return {canonical_nan(), 1.0f};
  const float high = from_bits(range.high);
  if (storage == Storage::linear_u8) return {high >= kLinearFloor ? high : kLinearFloor, 1.0f};
  const float hi = log2(clamp(high, kLogFloor, kLogCeiling));
  if (storage == Storage::log_u8) return {-126.0f, hi > -126.0f ? hi - -126.0f : 1.0f};
  if (range.high == 0) return {0.0f, 1.0f};
  const float l = log2(clamp(from_bits(range.low + 1u), kLogFloor, kLogCeiling)), lo = l < hi ? l : hi - 1.0f;
  return {lo, hi - lo};
}

// v/scale x 255 and (l - lo)/r x K: unrounded codes.
PLUMBLINE_HD float encode_linear(float v, float scale) { return v / scale * 255.0f; }
PLUMBLINE_HD float encode_log(float v, BlockScale s, float intervals) {
  return (log2(clamp(v, kLogFloor, kLogCeiling)) - s.lo) / s.r * intervals;
}
// The code of v in its block, as a float32 integer (0 in a block of NaN).
PLUMBLINE_HD float encode_al8(float v, BlockScale s) {
  const float code = round_even(clamp(encode_log(v, s, 254.0f) + 1.0f, 1.0f, 255.0f));
  return v > 0.0f && s.lo == s.lo ? code : 0.0f;
}
PLUMBLINE_HD float encode_log_u8(float v, BlockScale s) {
  const float code = round_even(clamp(encode_log(v, s, 255.0f), 0.0f, 255.0f));
  return s.lo == s.lo ? code : 0.0f;
}
PLUMBLINE_HD float encode_linear_u8(float v, BlockScale s) {
  return s.lo == s.lo ? round_even(clamp(encode_linear(v, s.lo), 0.0f, 255.0f)) : 0.0f;
}
PLUMBLINE_HD uint8_t encode(Storage storage, float v, BlockScale s) {
  const float code = storage == Storage::al8      ? encode_al8(v, s)
                     : storage == Storage::log_u8 ? encode_log_u8(v, s)
                                                  : encode_linear_u8(v, s);
  return uint8_t(int(code));
}

// A block's scale as decoding wants it: value = 2^(whole + fma(code - first, step, fraction)) + poison.
struct BlockDecoder {
  float step;      // octaves per code; linear_u8: the scale
  float fraction;  // lo - whole, in [-1/2, 1/2]
  int whole;       // lo to the nearest integer: adding it to the exponent costs no bits
  float poison;    // NaN in a block of NaN, else 0
};
// Octaves per code: r/254 or r/255, one rounding.
template <class F>
PLUMBLINE_HD F code_step(F r, F intervals) {
  return r / intervals;
}
// Exponent of a code beside `whole`, one rounding more.
template <class F>
PLUMBLINE_HD F code_exponent(F code, F step, F fraction) {
  return fma(code, step, fraction);
}
template <class F>
PLUMBLINE_HD F decode_linear(F code, F scale) {
  return code / F(255.0f) * scale;
}
PLUMBLINE_HD BlockDecoder block_decoder(Storage storage, BlockScale s) {
  const bool nan = !(s.lo == s.lo);
  const float poison = nan ? canonical_nan() : 0.0f, lo = nan ? 0.0f : s.lo;
  if (storage == Storage::linear_u8) return {lo, 0.0f, 0, poison};
  const float whole = round_even(lo);
  return {code_step(s.r, storage == Storage::al8 ? 254.0f : 255.0f), lo - whole, int(whole), poison};
}
PLUMBLINE_HD float decode_log(float code, const BlockDecoder& d) {
  const float exponent = code_exponent(code, d.step, d.fraction), whole = round_even(exponent);
  return exp2(d.whole + int(whole), exponent - whole);
}
PLUMBLINE_HD float decode_al8(float code, const BlockDecoder& d) {
  const float v = decode_log(code - 1.0f, d);
  return (code >= 1.0f ? v : 0.0f) + d.poison;
}
PLUMBLINE_HD float decode_log_u8(float code, const BlockDecoder& d) { return decode_log(code, d) + d.poison; }
PLUMBLINE_HD float decode_linear_u8(float code, const BlockDecoder& d) {
  return decode_linear(code, d.step) + d.poison;
}
PLUMBLINE_HD float decode(Storage storage, uint8_t code, const BlockDecoder& d) {
  const float c = float(code);
  return storage == Storage::al8      ? decode_al8(c, d)
         : storage == Storage::log_u8 ? decode_log_u8(c, d)
                                      : decode_linear_u8(c, d);
}

}  // namespace plumbline::core
