#include "harness/contracts/codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <stdexcept>

#include "harness/contracts/bounds.h"
#include "reference/codecs/al8.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_u8.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
constexpr double kLn2 = std::numbers::ln2;

struct Block {
  int64_t begin, end;  // values
  int64_t index;       // block
};

// Blocks in order: they never cross a matrix.
template <class F>
void for_each_block(const SlotState& slot, F f) {
  int64_t index = 0;
  for (int64_t matrix = 0; matrix < slot.count; matrix += slot.matrix)
    for (int64_t begin = matrix; begin < matrix + slot.matrix; begin += slot.block)
      f(Block{begin, std::min(begin + slot.block, matrix + slot.matrix), index++});
}

int64_t block_count(const SlotState& slot) {
  return slot.count / slot.matrix * ((slot.matrix + slot.block - 1) / slot.block);
}

double ulp32(double x) { return std::ldexp(1.0, std::max(std::ilogb(x == 0 ? 0x1p-126 : x), -126) - 23); }

void check_sizes(const SlotState& slot, int64_t expected) {
  const bool quantized = slot.storage != Storage::fp32;
  const int64_t bytes = expected * (quantized ? 1 : 4);
  if (slot.count != expected || int64_t(slot.values.size()) != bytes)
    throw std::runtime_error(fmt::format("state slot of {} values in {} bytes: expected {} in {}", slot.count,
                                         slot.values.size(), expected, bytes));
  if (!quantized) return;
  if (slot.matrix < 1 || slot.block < 1 || slot.count % slot.matrix != 0)
    throw std::runtime_error("state slot: impossible blocks");
  const int64_t words = block_count(slot) * (slot.storage == Storage::linear_u8 ? 1 : 2);
  if (int64_t(slot.scales.size()) != words)
    throw std::runtime_error(fmt::format("state slot with {} words of scale: expected {}", slot.scales.size(), words));
}

reference::LogScale log_scale(const SlotState& slot, int64_t block) {
  return {slot.scales[size_t(2 * block)], slot.scales[size_t(2 * block + 1)]};
}

// Error of l = log2 v in octaves: that of v, and that of the subject's own log2.
double log_error(double v, double e, double l, const Arithmetic& a) {
  const double inherited = e > 0 ? -std::log1p(-e / v) / kLn2 : 0;
  return inherited + a.log2_absolute_ulps * ulp32(std::fabs(l) + inherited) + 0x1p-44;
}

// A log codec: code = (l - lo)/r K + first
struct LogGrid {
  double steps, first;
};

void judge_log_block(int64_t step, const SlotState& slot, const Block& b, const Arithmetic& a, const Tensor& exact,
                     const Tensor& bound, const Tensor& decoded, SlotJudges& j) {
  const bool al8 = slot.storage == Storage::al8;
  const LogGrid grid = al8 ? LogGrid{254, 1} : LogGrid{255, 0};
  const reference::LogScale s = log_scale(slot, b.index);
  const auto n = size_t(b.end - b.begin);
  const std::span<const double> values(exact.data.data() + b.begin, n);
  const reference::LogRange range = reference::log_range(values);

  if (range.nonfinite) {  // the block must decode to NaN; its codes say nothing
    j.scale.element(step, 2 * b.index, s.lo, std::nan(""), 0);
    return;
  }
  thread_local std::vector<double> logs, errors;
  logs.resize(n);
  errors.resize(n);
  double widest = 0;
  for (size_t i = 0; i < n; ++i) {
    logs[i] = reference::clamped_log2(values[i]);
    errors[i] = values[i] > 0 ? log_error(values[i], bound.data[b.begin + int64_t(i)], logs[i], a) : 0;
    widest = std::max(widest, errors[i]);
  }
  double lo = al8 ? range.lo : -126.0, hi = range.hi;
  if (range.empty) {
    lo = al8 ? 0 : -126;
    hi = lo + 1;
  } else if (!al8 && hi <= lo) {
    hi = lo + 1;
  }
  // Where the true range is within the error, the subject may see one value (lo = hi - 1) or two.
  const bool may_be_equal = al8 && !range.empty && hi - lo <= 2 * widest;
  if (may_be_equal && std::fabs(s.lo - (hi - 1)) < std::fabs(s.lo - lo))
    j.scale.element(step, 2 * b.index, s.lo, hi - 1, widest + kUnit * std::fabs(hi - 1));
  else
    j.scale.element(step, 2 * b.index, s.lo, lo, al8 && !range.empty ? widest : 0);
  j.scale.element(step, 2 * b.index + 1, s.r, hi - s.lo, range.empty ? 0 : widest + kUnit * std::fabs(hi - s.lo));
  if (!(s.r > 0) || !std::isfinite(s.lo)) return;  // the scale is broken: codes under it mean nothing

  for (size_t i = 0; i < n; ++i) {
    const int64_t at = b.begin + int64_t(i);
    const auto code = double(uint8_t(slot.values[size_t(at)]));
    if (al8 && (values[i] == 0 || code == 0)) {
      j.code.element(step, at, code, values[i] == 0 ? 0 : 1, 0);
      continue;
    }
    // fl(fl(fl(l - lo)/r) K): three roundings of the distance, one more where 1 is added
    const double x = (logs[i] - s.lo) / s.r * grid.steps + grid.first, distance = std::fabs(x - grid.first);
    const double band = errors[i] / s.r * grid.steps + 3 * kUnit * distance + grid.first * kUnit * std::fabs(x);
    const double inside = std::clamp(x, grid.first, 255.0);
    if (band <= 0.5) j.code.element(step, at, code, inside, 0.5 + band);
    const double octaves = (0.5 + band) * s.r / grid.steps + std::fabs(x - inside) * s.r / grid.steps;
    j.stored.element(step, at, decoded.data[at], values[i],
                     values[i] * std::expm1(octaves * kLn2) + (values[i] < 0x1p-126 ? 0x1p-126 : 0));
  }
}

void judge_linear_block(int64_t step, const SlotState& slot, const Block& b, const Tensor& exact, const Tensor& bound,
                        const Tensor& decoded, SlotJudges& j) {
  const double s = slot.scales[size_t(b.index)];
  double largest = 0, error = 0;
  bool nonfinite = false;
  for (int64_t i = b.begin; i < b.end; ++i) {
    nonfinite |= !std::isfinite(exact.data[i]);
    largest = std::max(largest, exact.data[i]);
    error = std::max(error, bound.data[i]);
  }
  if (nonfinite) {
    j.scale.element(step, b.index, s, std::nan(""), 0);
    return;
  }
  constexpr double kFloor = reference::LinearU8::kSmallestScale;
  j.scale.element(step, b.index, s, std::max(largest, kFloor), error + kUnit * kFloor);
  if (!(s > 0)) return;
  for (int64_t i = b.begin; i < b.end; ++i) {
    const auto code = double(uint8_t(slot.values[size_t(i)]));
    const double x = exact.data[i] / s * 255;
    const double band = bound.data[i] / s * 255 + 2 * kUnit * x + 0x1p-140 / s;  // two roundings, and v/s may underflow
    const double inside = std::clamp(x, 0.0, 255.0);
    if (band <= 0.5) j.code.element(step, i, code, inside, 0.5 + band);
    j.stored.element(step, i, decoded.data[i], exact.data[i], (0.5 + band + std::fabs(x - inside)) * s / 255);
  }
}

}  // namespace

void decode_slot(const SlotState& slot, const Arithmetic& a, const std::vector<int64_t>& shape, DecodedSlot& out) {
  int64_t expected = 1;
  for (int64_t extent : shape) expected *= extent;
  check_sizes(slot, expected);
  out.values.shape = shape;
  out.values.data.resize(expected);
  out.relative_error = {};
  if (slot.storage == Storage::fp32) {
    load(DType::float32, slot.values.data(), {out.values.data.data(), size_t(expected)});
    return;
  }
  out.relative_error.shape = shape;
  out.relative_error.data.resize(expected);
  for_each_block(slot, [&](const Block& b) {
    if (slot.storage == Storage::linear_u8) {
      const reference::LinearScale s{slot.scales[size_t(b.index)]};
      for (int64_t i = b.begin; i < b.end; ++i) {
        out.values.data[i] = reference::LinearU8::decode(uint8_t(slot.values[size_t(i)]), s);
        out.relative_error.data[i] = gamma(a.linear_decode);
      }
      return;
    }
    const reference::LogScale s = log_scale(slot, b.index);
    const bool al8 = slot.storage == Storage::al8;
    auto decode = [&](uint8_t code) {
      return al8 ? reference::Al8::decode(code, s) : reference::LogU8::decode(code, s);
    };
    auto error = [&](uint8_t code) {
      const double octaves = (al8 ? std::max(code - 1, 0) * s.r / 254 : code * s.r / 255) + 1;
      return std::expm1(kLn2 * gamma(a.log_decode) * octaves) + a.exp2_ulps * 2 * kUnit;
    };
    double values[256], errors[256];
    const bool table = b.end - b.begin > 256;
    if (table)
      for (int c = 0; c < 256; ++c) values[c] = decode(uint8_t(c)), errors[c] = error(uint8_t(c));
    for (int64_t i = b.begin; i < b.end; ++i) {
      const auto code = uint8_t(slot.values[size_t(i)]);
      out.values.data[i] = table ? values[code] : decode(code);
      out.relative_error.data[i] = table ? errors[code] : error(code);
    }
  });
}

void judge_slot(int64_t step, const SlotState& slot, const Arithmetic& a, const Tensor& exact, const Tensor& bound,
                const Tensor& decoded, SlotJudges judges, std::bitset<256>& codes) {
  if (slot.storage == Storage::fp32) {
    for (int64_t i = 0; i < exact.size(); ++i)
      judges.stored.element(step, i, decoded.data[i], exact.data[i], bound.data[i]);
    return;
  }
  for_each_block(slot, [&](const Block& b) {
    if (slot.storage == Storage::linear_u8)
      judge_linear_block(step, slot, b, exact, bound, decoded, judges);
    else
      judge_log_block(step, slot, b, a, exact, bound, decoded, judges);
  });
  for (const std::byte code : slot.values) codes.set(size_t(code));
}

}  // namespace plumbline::harness
