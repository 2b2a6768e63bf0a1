// Codec scans: every code of every block range in every rounding, decoded, encoded again, and the value halfway to the
// next code encoded; every pair of nibbles.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/core/uniform.h"
#include "cuda/diagnostics/mix.h"

namespace plumbline::diagnostics {

struct CodecRow {
  Storage storage = Storage::al8;
  Rounding rounding = Rounding::nearest;
  bool pairs = false;  // uf4: bytes of two codes, scales apart
  int first = 0;       // smallest code
  int codes = 256;
};
std::vector<CodecRow> codec_table();
std::string to_string(const CodecRow& row);  // "al8, dither"

// Block scales that are scanned: log ranges from one value to all of float32, from everywhere in an octave; linear and
// uniform scales over all exponents.
std::vector<core::BlockScale> codec_scales(const CodecRow& row);

// Decoded value, the code that it encodes to, the code of the value halfway to the next; code 16 bits, two's
// complement.
PLUMBLINE_HD uint64_t pack_point(float value, int again, int between) {
  return uint64_t(core::to_bits(core::canonical(value))) | uint64_t(uint32_t(again) & 0xffffu) << 32 |
         uint64_t(uint32_t(between) & 0xffffu) << 48;
}
// `draw`: 16 random bits for roundings that want them.
PLUMBLINE_HD uint64_t uniform_point(const CodecRow& row, float scale, int code, uint32_t draw) {
  const core::UniformBlock b = core::uniform_block(row.storage, row.rounding, scale, core::dither_of(draw));
  const float v = core::decode_uniform(float(code), b), u = core::uniform_of(draw);
  const float middle = v + 0.5f * (core::decode_uniform(float(code + 1), b) - v);
  const bool stochastic = row.rounding == Rounding::stochastic;
  const float again = stochastic ? core::encode_uniform_stochastic(v, b, u) : core::encode_uniform(v, b);
  const float between = stochastic ? core::encode_uniform_stochastic(middle, b, u) : core::encode_uniform(middle, b);
  return pack_point(v, int(again), int(between));
}
PLUMBLINE_HD uint64_t second_moment_point(const CodecRow& row, core::BlockScale scale, int code, uint32_t draw) {
  const float u = core::uniform_of(draw), delta = core::dither_of(draw);
  const core::BlockDecoder decoder = core::block_decoder(row.storage, scale, row.rounding, delta);
  const core::BlockEncoder encoder = core::block_encoder(row.storage, scale, row.rounding, delta);
  const float v = core::decode(row.storage, uint32_t(code), decoder);
  const float next = core::decode(row.storage, uint32_t(code + (code + 1 < row.codes ? 1 : 0)), decoder);
  const float middle = v + 0.5f * (next - v);
  return pack_point(v, int(core::encode(row.storage, row.rounding, v, encoder, u)),
                    int(core::encode(row.storage, row.rounding, middle, encoder, u)));
}
PLUMBLINE_HD uint64_t pair_point(int byte) {
  const int high = core::high_nibble(uint8_t(byte)), low = core::low_nibble(uint8_t(byte));
  const int again = core::pack_nibbles(high, low);
  return pack_point(float(high) + float(low) * 0x1p-8f, again, again);
}
PLUMBLINE_HD uint64_t codec_point(const CodecRow& row, core::BlockScale scale, int at, uint32_t draw) {
  if (row.pairs) return pair_point(at);
  if (core::is_uniform(row.storage)) return uniform_point(row, scale.lo, row.first + at, draw);
  return second_moment_point(row, scale, at, draw);
}

// Points of all codes of all scales: codes of the first scale first.
std::vector<uint64_t> run_codec(const CodecRow& row, Backend backend, int device);

// What every codec promises, read off its points.
struct CodecFaults {
  uint64_t points = 0;
  uint64_t told_apart = 0;    // points of blocks wide enough to tell codes apart: the rest is judged by order alone
  uint64_t not_monotone = 0;  // a code whose value is below that of the code before
  uint64_t not_idempotent =
      0;                    // a code whose value encodes to another, where the range is wide enough to tell codes apart
  uint64_t misplaced = 0;   // a value halfway between two codes that encodes to neither
  uint64_t wrong_zero = 0;  // a zero code that is not 0, or another code that is
  uint64_t total() const { return not_monotone + not_idempotent + misplaced + wrong_zero; }
};
CodecFaults judge_codec(const CodecRow& row, std::span<const uint64_t> points);

}  // namespace plumbline::diagnostics
