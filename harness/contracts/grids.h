// Where a value lies on the grid of codes of its block, and how far from there the subject's evaluation may be.
#pragma once
#include <bit>
#include <cmath>
#include <numbers>

#include "harness/contracts/blocks.h"
#include "harness/contracts/bounds.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_codec.h"
#include "reference/codecs/rounding.h"
#include "reference/codecs/uniform.h"

namespace plumbline::harness {

// A code is accepted within half a code of the position and its band.
struct Position {
  double code, band;
};

// The draws of the write that left the slot as it is.
inline reference::RoundingStream stream_of(const SlotState& slot, uint32_t seed) {
  return {seed, reference::stream_number(slot.place, uint32_t(slot.slot)), slot.writes - 1};
}
inline double dither_offset(const SlotState& slot, const reference::RoundingStream& stream, const Block& b) {
  return slot.rounding == Rounding::dither ? stream.offset(b.in_row, b.row, b.slice) : 0;
}

// Of float32, of a number in its range.
inline double ulp32(double x) {
  return std::max(std::bit_cast<double>(std::bit_cast<uint64_t>(x) & 0x7ff0000000000000), 0x1p-126) * 0x1p-23;
}

// Error of l = log2 v in octaves: that of v, which is no less than `least` on either side, and that of the subject's
// own log2.
inline double log_error(double v, double e, double least, double l, const Arithmetic& a) {
  double inherited = 0;
  if (const double x = e / v; x < 0x1p-6) {
    inherited = x * (1 + x) / std::numbers::ln2;  // at least -log(1 - x)
  } else {
    const double lowest = std::max({v - e, least, reference::kSmallestLogged});
    inherited = v > lowest ? std::max(std::log1p(e / v), std::log(v / lowest)) / std::numbers::ln2
                           : std::log1p(e / v) / std::numbers::ln2;
  }
  return inherited + a.log2_absolute_ulps * ulp32(std::fabs(l) + inherited) + 0x1p-44;
}

// Stochastic rounding of a value between the decoded neighbours of code k: up where the draw u is below p = (v -
// low)/(high - low), that is, to the code nearest to k + p - u + 1/2. A subject that takes a value near a code for one
// on its other side draws against p about 0 or 1 and comes to the same but within its band; where the band reaches
// further, k itself is off by that much.
inline Position drawn_between(double k, double low, double high, double v, double error, double u, Position unrounded) {
  const double own = error / (high - low) + 4 * kUnit, x = unrounded.code;
  const double band = unrounded.band > 0.5                                 ? unrounded.band + 1 + own
                      : std::fabs(x - std::nearbyint(x)) <= unrounded.band ? std::max(own, unrounded.band)
                                                                           : own;
  return {k + (v - low) / (high - low) - u + 0.5, band};
}

// Codes on an even grid of l = log2 v: x = (l - lo)/r K + first; dithered (l - lo)/r (K - 1) + first + 1/2 + d.
class LogGrid {
 public:
  LogGrid(const SlotState& slot, reference::LogScale scale, const Arithmetic& arithmetic, double offset,
          double least = 0)
      : first(slot.storage == Storage::log_u8 ? 0 : 1),
        last(slot.storage == Storage::al16 ? 65535 : 255),
        codec_(slot.storage == Storage::al8    ? reference::kAl8
               : slot.storage == Storage::al16 ? reference::kAl16
                                               : reference::kLogU8),
        scale_(scale),
        a_(arithmetic),
        dither_(slot.rounding == Rounding::dither),
        offset_(offset),
        least_(least),
        steps_(codec_.steps() - (dither_ ? 1 : 0)),
        origin_(dither_ ? first + 0.5 + offset : first) {}

  const double first, last;

  bool is_zero(double v) const { return v == 0 && first == 1; }
  bool is_zero_code(int code) const { return code == 0 && first == 1; }

  // l and its error of the values of a block, in their order: what at() reads.
  void keep(const double* logs, const double* errors) {
    logs_ = logs;
    errors_ = errors;
  }
  Position at(int64_t k, double, double) const { return position_of(logs_[k], errors_[k]); }

  // Three roundings of the distance, one more where the origin is added.
  Position position(double v, double e) const {
    const double l = reference::clamped_log2(v);
    return position_of(l, v > 0 ? log_error(v, e, least_, l, a_) : 0);
  }
  // Of l and its error.
  Position position_of(double l, double error) const {
    const double distance = (l - scale_.lo) / scale_.r * steps_, x = distance + origin_;
    const double inherited = error / scale_.r * steps_, band = inherited + gamma(3) * (std::fabs(distance) + inherited);
    return {x, origin_ != 0 ? band + kUnit * (std::fabs(x) + band) : band};
  }
  Position drawn(double v, double e, double u) const {
    const Position at = position(v, e);
    const double k = std::clamp(std::floor(at.code), first, last - 1);
    const double low = decode(int(k)), high = decode(int(k) + 1);
    return drawn_between(k, low, high, v, e + (low + high) * decode_error(int(k) + 1) + v * kUnit, u, at);
  }
  int nearest_code(double v) const { return codec_.encode(v, scale_); }

  // Of a value that is `reach` codes away.
  double distance(double v, double reach) const {
    const double octaves = reach * scale_.r / steps_, y = octaves * std::numbers::ln2;
    const double up = y < 0x1p-5 ? y * (1 + y / 2 + y * y / 5) : std::expm1(y);  // at least e^y - 1
    const double floor = v < 0x1p-126 ? 0x1p-126 : 0;
    return (dither_ ? v * std::max(up, 1 - unbias() * std::exp2(-octaves)) : v * up) + floor;
  }
  double decode(int code) const {
    return dither_ ? codec_.decode_dither(code, scale_, offset_) : codec_.decode(code, scale_);
  }
  double decode_error(int code) const {
    const double octaves = std::max((code - first) * scale_.r / steps_, 0.0) + 1;
    const double error =
        std::expm1(std::numbers::ln2 * gamma(a_.log_decode + (dither_ ? a_.dither_exponent : 0)) * octaves) +
        a_.exp2_ulps * 2 * kUnit;
    return dither_ ? compose(error, gamma(a_.dither_factor)) : error;
  }

 private:
  double unbias() const {
    const double a = std::numbers::ln2 * scale_.r / (2 * steps_);
    return a == 0 ? 1 : a / std::sinh(a);
  }

  reference::LogCodec codec_;
  reference::LogScale scale_;
  const Arithmetic& a_;
  bool dither_;
  double offset_, least_, steps_, origin_;
  const double *logs_ = nullptr, *errors_ = nullptr;
};

// Codes on an even grid of v itself: linear_u8 from 0 to 255, uf8 and uf4 from -H to H, dithered v/scale H + d.
class LinearGrid {
 public:
  LinearGrid(const SlotState& slot, double scale, const Arithmetic& arithmetic, double offset)
      : first(slot.storage == Storage::linear_u8 ? 0 : -codes_of(slot)),
        last(slot.storage == Storage::linear_u8 ? 255 : codes_of(slot)),
        scale_(scale),
        encode_roundings_(slot.storage == Storage::linear_u8 ? 2 : arithmetic.uniform_encode),
        decode_roundings_(slot.storage == Storage::linear_u8 ? arithmetic.linear_decode : arithmetic.uniform_decode),
        dither_(slot.rounding == Rounding::dither),
        offset_(offset),
        levels_(slot.storage == Storage::linear_u8 ? 255 : levels_of(slot)),
        nearest_levels_(slot.storage == Storage::linear_u8 ? 255
                        : slot.storage == Storage::uf8     ? 127
                                                           : 7) {}

  const double first, last;

  bool is_zero(double) const { return false; }
  bool is_zero_code(int) const { return false; }

  Position at(int64_t, double v, double e) const { return position(v, e); }
  // v/scale H: its roundings, and v/scale may underflow
  Position position(double v, double e) const {
    const double distance = v / scale_ * levels_, x = distance + offset_, inherited = e / scale_ * levels_;
    const double band = inherited + gamma(encode_roundings_) * (std::fabs(distance) + inherited) + 0x1p-140 / scale_;
    return {x, dither_ ? band + kUnit * (std::fabs(x) + band) : band};
  }
  Position drawn(double v, double e, double u) const {
    const Position at = position(v, e);
    const double k = std::clamp(std::floor(at.code), first, last - 1);
    const double low = decode(int(k)), high = decode(int(k) + 1);
    const double error = (std::fabs(low) + std::fabs(high)) * decode_error() + std::fabs(v) * kUnit;
    return drawn_between(k, low, high, v, e + error, u, at);
  }
  int nearest_code(double v) const { return int(std::nearbyint(v / scale_ * nearest_levels_)); }

  double distance(double, double reach) const { return reach * scale_ / levels_; }
  // A second moment is never read as zero.
  double decode(int code) const {
    const double x = first == 0 && code == 0 ? 0.5 : code - offset_;
    return x * scale_ / levels_;
  }
  double decode_error() const { return gamma(decode_roundings_); }

 private:
  // Largest code and H.
  static double codes_of(const SlotState& slot) {
    return (slot.storage == Storage::uf8 ? 127 : 7) - (slot.rounding == Rounding::nearest ? 0 : 1);
  }
  static double levels_of(const SlotState& slot) {
    return codes_of(slot) - (slot.rounding == Rounding::dither ? 0.5 : 0);
  }

  double scale_;
  int encode_roundings_, decode_roundings_;
  bool dither_;
  double offset_, levels_, nearest_levels_;
};

}  // namespace plumbline::harness
