#include "cuda/diagnostics/codec_points.h"

#include "cuda/diagnostics/exact.h"
#include "cuda/diagnostics/values.h"

namespace plumbline::diagnostics {
namespace {

constexpr float kFractions[] = {0.0f, 0x1p-20f, 0.125f, 0.4999f, 0.5f, 0.75f, 0.99999f};

// Scales of linear and uniform codes: absolute values.
std::vector<core::BlockScale> linear_scales() {
  std::vector<core::BlockScale> scales;
  for (int e = -39; e <= 126; ++e)
    for (const float f : kFractions) scales.push_back({core::from_bits(uint32_t(e + 127) << 23) * (1.0f + f), 1.0f});
  return scales;
}

std::vector<core::BlockScale> fixed_floor_scales() {
  std::vector<core::BlockScale> scales;
  for (int e = 1; e <= 252; ++e)
    for (const float f : kFractions) scales.push_back({-126.0f, float(e) - f});
  return scales;
}

std::vector<core::BlockScale> range_scales() {
  constexpr float kRanges[] = {0x1p-21f, 0x1p-17f, 0x1p-13f, 0x1p-9f, 0x1p-5f, 0.3f,   1.0f,   1.7f,
                               5.0f,     12.1f,    33.3f,    64.0f,   99.9f,   126.0f, 180.0f, 252.0f};
  std::vector<core::BlockScale> scales;
  for (int e = -127; e <= 126; ++e)
    for (const float f : kFractions)
      for (const float r : kRanges)
        if (const float lo = float(e) + f; lo + r <= 126.0f) scales.push_back({lo, r});
  return scales;
}

// Whether codes of this block can be told apart: the step beside the errors of its two ends. For logarithms
// r > 2(K - 1) e_l, e_l the error of the logarithm at the far end and the roundings of code and decoding beside it.
bool tells_codes(const CodecRow& row, core::BlockScale s) {
  if (!core::is_log(row.storage)) return true;
  const double low = magnitude(double(s.lo)), high = magnitude(double(s.lo) + double(s.r));
  const double far = low >= high ? low : high;
  const double error = ulp32(far >= 1.0 ? far : 1.0) * (core::kLog2Ulps + 2) + 0x1p-22;
  return double(s.r) >
         2.0 * (row.codes - 1) * error + 0x1p-20 * double(s.r) * (row.codes > 256 ? row.codes / 8192.0 : 0);
}

}  // namespace

std::vector<CodecRow> codec_table() {
  std::vector<CodecRow> rows;
  for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic, Rounding::dither}) {
    rows.push_back({Storage::al8, rounding, false, 0, 256});
    rows.push_back({Storage::log_u8, rounding, false, 0, 256});
    rows.push_back({Storage::al16, rounding, false, 0, 65536});
    if (rounding != Rounding::dither) rows.push_back({Storage::linear_u8, rounding, false, 0, 256});
    for (const Storage storage : {Storage::uf8, Storage::uf4}) {
      const int most = int(core::uniform_levels(storage, rounding) + (rounding == Rounding::dither ? 0.5f : 0.0f));
      rows.push_back({storage, rounding, false, -most, 2 * most + 1});
    }
  }
  rows.push_back({Storage::uf4, Rounding::nearest, true, 0, 256});
  return rows;
}

std::string to_string(const CodecRow& row) {
  constexpr const char* kStorages[] = {"fp32", "al8", "log_u8", "linear_u8", "al16", "bf16", "uf8", "uf4"};
  constexpr const char* kRoundings[] = {"nearest", "stochastic", "dither"};
  if (row.pairs) return "uf4, pairs of nibbles";
  return std::string(kStorages[int(row.storage)]) + ", " + kRoundings[int(row.rounding)];
}

std::vector<core::BlockScale> codec_scales(const CodecRow& row) {
  if (row.pairs) return {{1.0f, 1.0f}};
  std::vector<core::BlockScale> all = row.storage == Storage::log_u8 ? fixed_floor_scales()
                                      : core::is_log(row.storage)    ? range_scales()
                                                                     : linear_scales();
  // 65,536 codes want fewer ranges; random parts give each range another draw for every code
  const size_t every = row.storage == Storage::al16                                       ? 397
                       : row.storage == Storage::al8 && row.rounding != Rounding::nearest ? 5
                                                                                          : 1;
  std::vector<core::BlockScale> scales;
  for (size_t i = 0; i < all.size(); i += every) scales.push_back(all[i]);
  return scales;
}

std::vector<uint64_t> run_codec(const CodecRow& row, Backend backend, int device) {
  return evaluate_codec(row, codec_scales(row), backend, device);
}

CodecFaults judge_codec(const CodecRow& row, std::span<const uint64_t> points) {
  const std::vector<core::BlockScale> scales = codec_scales(row);
  const bool log = core::is_log(row.storage), zero_code = row.storage == Storage::al8 || row.storage == Storage::al16;
  CodecFaults faults;
  faults.points = points.size();
  for (size_t s = 0; s < scales.size(); ++s) {
    const bool tells = tells_codes(row, scales[s]);
    float before = -3.4e38f;
    for (int at = 0; at < row.codes; ++at) {
      const uint64_t point = points[s * size_t(row.codes) + size_t(at)];
      const float v = core::from_bits(uint32_t(point));
      const int code = row.first + at, again = row.first < 0 ? int(int16_t(point >> 32)) : int(point >> 32 & 0xffffu);
      const int between = row.first < 0 ? int(int16_t(point >> 48)) : int(point >> 48);
      if (row.pairs) {
        ++faults.told_apart;
        faults.not_idempotent += again != code;
        faults.wrong_zero += v != float((code >> 4) - (code >= 128 ? 16 : 0)) +
                                      float((code & 15) - ((code & 15) >= 8 ? 16 : 0)) * 0x1p-8f;
        continue;
      }
      // random draws move the values of neighbouring codes
      if (row.rounding != Rounding::dither) faults.not_monotone += !(v >= before);
      before = v;
      if (zero_code) faults.wrong_zero += (code == 0) != (v == 0.0f);
      // beyond the clamps of the format codes fall together
      const bool clamped = log && !(v == 0.0f || (v > 2 * core::kLogFloor && v < 0.5f * core::kLogCeiling));
      if (!tells || clamped) continue;
      ++faults.told_apart;
      faults.not_idempotent += again != code;
      const bool inner = at + 1 < row.codes && !(zero_code && code == 0);
      if (inner) faults.misplaced += between != code && between != code + 1;
    }
  }
  return faults;
}

}  // namespace plumbline::diagnostics
