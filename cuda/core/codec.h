// How second-moment state is kept in 8 or 16 bits. Values are non-negative; a block of B values shares one scale.
//
//   al8, al16  code 0 <=> value 0; else l = log2 v (v clamped to [2^-126, 2^126]), lo and hi its range in the block
//              (lo = hi - 1 if equal), r = fl(hi - lo), code = clamp(round_even(fl(fl(fl(l - lo)/r) K) + 1), 1, K + 1),
//              K = 254 or 65534. Decoded 2^((code - 1) r/K + lo). Stored: lo, r. All zero: lo = 0, r = 1.
//   log_u8     lo = -126, hi = lo + 1 if not above lo, code = clamp(round_even(fl(fl(fl(l - lo)/r) 255)), 0, 255): no
//              zero code. Decoded 2^(code r/255 + lo). Stored: lo, r.
//   linear_u8  scale = max v, at least 2^-100; code = round_even(fl(fl(v/scale) 255)), decoded fl(fl(code/255) scale),
//              code 0 as if it were 1/2: a second moment is never read as zero. Up to that value v has code 0. Stored:
//              scale.
// A value that is not finite makes lo (scale) NaN and every code 0; the block then decodes to NaN.
//
// Rounding of a code: to nearest as above; stochastic, the neighbour above with probability (v - v_k)/(v_{k+1} - v_k)
// in decoded values; dither (log codes), with one interval less: code = round_even(x + (first + 1/2 + delta)), read
// back as code - (first + 1/2) - delta and scaled by a/sinh a, a = ln 2 r/(2 (K - 1)), which makes the mean exact.
#pragma once
#include "cuda/api/options.h"
#include "cuda/core/elementary.h"
#include "cuda/core/mutant.h"
#include "cuda/core/rounding.h"

namespace plumbline::core {

constexpr float kLogCeiling = 0x1p126f, kLogFloor = 0x1p-126f, kLinearFloor = 0x1p-100f;

// Whether values are codes in blocks with a scale.
PLUMBLINE_HD bool is_quantized(Storage s) { return s != Storage::fp32 && s != Storage::bf16; }
PLUMBLINE_HD bool is_log(Storage s) { return s == Storage::al8 || s == Storage::log_u8 || s == Storage::al16; }
PLUMBLINE_HD bool is_uniform(Storage s) { return s == Storage::uf8 || s == Storage::uf4; }
// float32 words of scale that a block stores.
PLUMBLINE_HD int scale_words(Storage s) { return !is_quantized(s) ? 0 : is_log(s) ? 2 : 1; }
// Bytes that a row of n values takes, scales apart.
PLUMBLINE_HD int64_t row_bytes(Storage s, int64_t n) {
  if (s == Storage::fp32) return 4 * n;
  if (s == Storage::bf16 || s == Storage::al16) return 2 * n;
  return s == Storage::uf4 ? (n + 1) / 2 : n;
}

// Codes of a log storage: lowest of a value above 0, highest, and how many intervals lie between lo and hi.
PLUMBLINE_HD float first_code(Storage s) { return s == Storage::log_u8 ? 0.0f : 1.0f; }
PLUMBLINE_HD float last_code(Storage s) { return s == Storage::al16 ? 65535.0f : 255.0f; }
PLUMBLINE_HD float log_intervals(Storage s, Rounding rounding) {
  return last_code(s) - first_code(s) - (rounding == Rounding::dither ? 1.0f : 0.0f);
}

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
  if (storage == Storage::linear_u8)
    return {perturbed(PerturbedStage::row_scale, high >= kLinearFloor ? high : kLinearFloor), 1.0f};
  const float hi = log2(clamp(high, kLogFloor, kLogCeiling));
  if (storage == Storage::log_u8) return {-126.0f, hi > -126.0f ? hi - -126.0f : 1.0f};
  if (range.high == 0) return {0.0f, 1.0f};
  const float l = log2(clamp(from_bits(range.low + 1u), kLogFloor, kLogCeiling)), lo = l < hi ? l : hi - 1.0f;
  return {lo, perturbed(PerturbedStage::row_scale, hi - lo)};
}

// v/scale x 255 and (l - lo)/r x K: unrounded codes.
PLUMBLINE_HD float encode_linear(float v, float scale) { return v / scale * 255.0f; }
PLUMBLINE_HD float encode_log(float v, BlockScale s, float intervals) {
  return (log2(clamp(v, kLogFloor, kLogCeiling)) - s.lo) / s.r * intervals;
}

// A block's scale as decoding wants it: value = 2^(whole + fma(code - offset - delta, step, fraction)) factor + poison.
struct BlockDecoder {
  float step;      // octaves per code; linear_u8: the scale
  float fraction;  // lo - whole, in [-1/2, 1/2]
  int whole;       // lo to the nearest integer: adding it to the exponent costs no bits
  float poison;    // NaN in a block of NaN, else 0
  float offset;    // code of lo: the first one, with dither half a code above
  float delta;     // of dither, else 0
  float factor;    // a/sinh a of dither, else 1
  float first;     // codes below it are zeros
};
// Octaves per code: r/K, one rounding.
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
  return code / F(is_mutant(Mutant::linear_decoded_by_256) ? 256.0f : 255.0f) * scale;
}
// a/sinh a for a = ln 2 r/(2 K), by its even series: a <= 0.35 and the next term is below 2^-30.
PLUMBLINE_HD float dither_factor(float r, float intervals) {
  const double a = 0x1.62e42fefa39efp-1 * double(r) / (2.0 * double(intervals)), z = a * a;
  double q = 127.0 / 604800.0;
  q = fma(q, z, -31.0 / 15120.0);
  q = fma(q, z, 7.0 / 360.0);
  q = fma(q, z, -1.0 / 6.0);
  return float(fma(q, z, 1.0));
}
PLUMBLINE_HD BlockDecoder block_decoder(Storage storage, BlockScale s, Rounding rounding = Rounding::nearest,
                                        float delta = 0.0f) {
  const bool nan = !(s.lo == s.lo), dither = rounding == Rounding::dither;
  const float poison = nan && !is_mutant(Mutant::nan_block_finite) ? canonical_nan() : 0.0f, lo = nan ? 0.0f : s.lo;
  if (storage == Storage::linear_u8) return {lo, 0.0f, 0, poison, 0.0f, 0.0f, 1.0f, 0.0f};
  const float whole = round_even(lo), intervals = log_intervals(storage, rounding), first = first_code(storage);
  return {code_step(s.r, intervals),
          lo - whole,
          int(whole),
          poison,
          (dither ? first + 0.5f : first) - (is_mutant(Mutant::log_decoded_one_off) ? 1.0f : 0.0f),
          dither && !is_mutant(Mutant::dither_kept) ? delta : 0.0f,
          dither && !is_mutant(Mutant::dither_biased) ? dither_factor(s.r, intervals) : 1.0f,
          first};
}
PLUMBLINE_HD float decode_log(float code, const BlockDecoder& d) {
  const float exponent = code_exponent(code - d.offset - d.delta, d.step, d.fraction), whole = round_even(exponent);
  const float v = exp2(d.whole + int(whole), exponent - whole) * d.factor;
  return (code >= d.first ? v : 0.0f) + d.poison;
}
PLUMBLINE_HD float decode_linear_u8(float code, const BlockDecoder& d) {
  const float zero = is_mutant(Mutant::linear_zero) ? 0.0f : 0.5f;
  return decode_linear(code > 0.0f ? code : zero, d.step) + d.poison;
}
PLUMBLINE_HD float decode(Storage storage, uint32_t code, const BlockDecoder& d) {
  return storage == Storage::linear_u8 ? decode_linear_u8(float(int(code)), d) : decode_log(float(int(code)), d);
}

// A block's scale as encoding wants it.
struct BlockEncoder {
  BlockScale scale;
  float intervals;
  float shift;        // added to the unrounded code: the first code, with dither 1/2 + delta more
  float first, last;  // limits of a code
  BlockDecoder decoder;
};
PLUMBLINE_HD BlockEncoder block_encoder(Storage storage, BlockScale s, Rounding rounding = Rounding::nearest,
                                        float delta = 0.0f) {
  const float first = storage == Storage::linear_u8 ? 0.0f : first_code(storage);
  const float shift = rounding == Rounding::dither ? first + 0.5f + delta : first;
  return {s, log_intervals(storage, rounding), shift, first, last_code(storage), block_decoder(storage, s)};
}
// Codes as float32 integers (0 in a block of NaN). The first of each pair serves nearest and dither.
PLUMBLINE_HD float encode_log(float v, const BlockEncoder& e) {
  const float unrounded = clamp(encode_log(v, e.scale, e.intervals) + e.shift, e.first, e.last);
  const float code = is_mutant(Mutant::code_truncated) ? floor(unrounded) : round_even(unrounded);
  return (v > 0.0f || e.first == 0.0f) && e.scale.lo == e.scale.lo ? code : 0.0f;
}
PLUMBLINE_HD float encode_log_stochastic(float v, const BlockEncoder& e, float u) {
  const float k = clamp(floor(encode_log(v, e.scale, e.intervals) + e.shift), e.first, e.last - 1.0f);
  const bool up = rounds_up(v, decode_log(k, e.decoder), decode_log(k + 1.0f, e.decoder), u);
  return (v > 0.0f || e.first == 0.0f) && e.scale.lo == e.scale.lo ? k + (up ? 1.0f : 0.0f) : 0.0f;
}
PLUMBLINE_HD float encode_linear_u8(float v, const BlockEncoder& e) {
  const float unrounded = clamp(encode_linear(v, e.scale.lo), 0.0f, 255.0f);
  const float code = is_mutant(Mutant::linear_code_truncated) ? floor(unrounded) : round_even(unrounded);
  return e.scale.lo == e.scale.lo && v > decode_linear_u8(0.0f, e.decoder) ? code : 0.0f;
}
PLUMBLINE_HD float encode_linear_u8_stochastic(float v, const BlockEncoder& e, float u) {
  const float k = clamp(floor(encode_linear(v, e.scale.lo)), 0.0f, 254.0f);
  const bool up = rounds_up(v, decode_linear_u8(k, e.decoder), decode_linear_u8(k + 1.0f, e.decoder), u);
  return e.scale.lo == e.scale.lo ? k + (up ? 1.0f : 0.0f) : 0.0f;
}
// u: of stochastic rounding; not read by the others.
PLUMBLINE_HD uint32_t encode(Storage storage, Rounding rounding, float v, const BlockEncoder& e, float u) {
  const bool linear = storage == Storage::linear_u8, stochastic = rounding == Rounding::stochastic;
  const float code = linear ? (stochastic ? encode_linear_u8_stochastic(v, e, u) : encode_linear_u8(v, e))
                            : (stochastic ? encode_log_stochastic(v, e, u) : encode_log(v, e));
  return uint32_t(int(code));
}
// To nearest.
PLUMBLINE_HD uint32_t encode(Storage storage, float v, BlockScale s) {
  return encode(storage, Rounding::nearest, v, block_encoder(storage, s), 0.0f);
}

}  // namespace plumbline::core
