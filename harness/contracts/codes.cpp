#include "harness/contracts/codes.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "harness/contracts/blocks.h"
#include "harness/contracts/grids.h"
#include "harness/contracts/rounded.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
using reference::Vector;

void check_sizes(const SlotState& slot, int64_t expected) {
  if (slot.count != expected)
    throw std::runtime_error(fmt::format("state slot of {} values: expected {}", slot.count, expected));
  const int64_t row = slot.row_length();
  if (slot.matrix < 1 || row < 1 || slot.matrix % row != 0 || slot.count % slot.matrix != 0 ||
      (has_codes(slot.storage) && slot.block < 1))
    throw std::runtime_error("state slot: impossible blocks");
  const int64_t bytes = expected / row * bytes_of_row(slot);
  if (int64_t(slot.values.size()) != bytes)
    throw std::runtime_error(fmt::format("state slot of {} values in {} bytes: expected {} in {}", slot.count,
                                         slot.values.size(), expected, bytes));
  if (!has_codes(slot.storage)) return;
  const int64_t words = block_count(slot) * (is_log(slot.storage) ? 2 : 1);
  if (int64_t(slot.scales.size()) != words)
    throw std::runtime_error(fmt::format("state slot with {} words of scale: expected {}", slot.scales.size(), words));
}

bool has_nonfinite(const Vector& x, const Block& b) { return !x.segment(b.begin, b.end - b.begin).allFinite(); }

// Scale = largest magnitude, at least 2^-100: the subject's lies between what the contract of each value allows.
void judge_largest(int64_t step, const SlotState& slot, const Block& b, const Tensor& exact, const Tensor& bound,
                   QuantityJudge& judge) {
  const auto x = exact.data.segment(b.begin, b.end - b.begin).abs();
  const auto e = bound.data.segment(b.begin, b.end - b.begin);
  constexpr double kFloor = reference::LinearU8::kSmallestScale;
  const double largest = x.maxCoeff(), most = (x + e).maxCoeff(), least = (x - e).maxCoeff();
  const double got = slot.scales[size_t(b.index)], expected = std::max(largest, kFloor);
  const double error = std::max(most - largest, largest - least) + kUnit * kFloor;
  if (got < kFloor * (1 - kUnit))  // whatever the values may be
    judge.record(step, b.index, got, expected, error, std::nan(""));
  else
    judge.element(step, b.index, got, expected, error);
}

struct Judging {
  int64_t step;
  const SlotState& slot;
  const Arithmetic& arithmetic;
  const Tensor &exact, &bound, &decoded;
  reference::RoundingStream stream;
  SlotJudges& judges;
  CodeUse& use;
  std::span<const int> codes;
  double least;
};

// Codes on the grid of a block, and the decoded values.
template <class Grid>
void judge_codes(const Judging& j, const Block& b, const Grid& grid) {
  const bool stochastic = j.slot.rounding == Rounding::stochastic;
  for (int64_t i = b.begin; i < b.end; ++i) {
    const double v = j.exact.data[i], e = j.bound.data[i];
    const int code = j.codes[size_t(i)];
    if (grid.is_zero(v) || grid.is_zero_code(code)) {
      j.judges.code.element(j.step, i, code, grid.is_zero(v) ? 0 : 1, 0);
      continue;
    }
    const Position at = stochastic ? grid.drawn(v, e, j.stream.uniform(b.column + i - b.begin, b.row, b.slice))
                                   : grid.at(i - b.begin, v, e);
    const double inside = std::clamp(at.code, grid.first, grid.last);
    if (at.band <= 0.5) j.judges.code.element(j.step, i, code, inside, 0.5 + at.band);
    const double reach = (stochastic ? 1 : 0.5) + at.band + std::fabs(at.code - inside);
    j.judges.stored.element(j.step, i, j.decoded.data[i], v, grid.distance(v, reach));
    if (j.slot.rounding != Rounding::nearest) j.use.moved_by_rounding += code != grid.nearest_code(v);
  }
}

void judge_log_block(const Judging& j, const Block& b) {
  const SlotState& slot = j.slot;
  const bool adaptive = slot.storage != Storage::log_u8;
  const reference::LogScale s{slot.scales[size_t(2 * b.index)], slot.scales[size_t(2 * b.index + 1)]};
  const std::span<const double> values(j.exact.data.data() + b.begin, size_t(b.end - b.begin));
  const reference::LogRange range = reference::log_range(values);
  if (range.nonfinite) {  // the block must decode to NaN; its codes say nothing
    j.judges.scale.element(j.step, 2 * b.index, s.lo, std::nan(""), 0);
    return;
  }
  thread_local std::vector<double> logs, errors;
  logs.resize(values.size());
  errors.resize(values.size());
  double widest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    logs[i] = reference::clamped_log2(values[i]);
    const double bound = j.bound.data[b.begin + int64_t(i)];
    errors[i] = values[i] > 0 ? log_error(values[i], bound, j.least, logs[i], j.arithmetic) : 0;
    widest = std::max(widest, errors[i]);
  }
  double lo = adaptive ? range.lo : -126.0, hi = range.hi;
  if (range.empty) {
    lo = adaptive ? 0 : -126;
    hi = lo + 1;
  } else if (!adaptive && hi <= lo) {
    hi = lo + 1;
  }
  QuantityJudge& scale = j.judges.scale;
  // Where the true range is within the error, the subject may see one value (lo = hi - 1) or two.
  const bool may_be_equal = adaptive && !range.empty && hi - lo <= 2 * widest;
  if (may_be_equal && std::fabs(s.lo - (hi - 1)) < std::fabs(s.lo - lo))
    scale.element(j.step, 2 * b.index, s.lo, hi - 1, widest + kUnit * std::fabs(hi - 1));
  else
    scale.element(j.step, 2 * b.index, s.lo, lo, adaptive && !range.empty ? widest : 0);
  const double r_error = range.empty ? 0 : widest + kUnit * std::fabs(hi - s.lo);
  if (!(s.r > 0)) {  // never right, however near: a block of one value has r = 1; codes under it mean nothing
    scale.record(j.step, 2 * b.index + 1, s.r, hi - s.lo, r_error, std::nan(""));
    return;
  }
  scale.element(j.step, 2 * b.index + 1, s.r, hi - s.lo, r_error);
  if (!std::isfinite(s.lo)) return;  // the scale is broken
  LogGrid grid(slot, s, j.arithmetic, dither_offset(slot, j.stream, b), j.least);
  grid.keep(logs.data(), errors.data());
  judge_codes(j, b, grid);
}

void judge_linear_block(const Judging& j, const Block& b) {
  const double s = j.slot.scales[size_t(b.index)];
  if (has_nonfinite(j.exact.data, b)) {
    j.judges.scale.element(j.step, b.index, s, std::nan(""), 0);
    return;
  }
  judge_largest(j.step, j.slot, b, j.exact, j.bound, j.judges.scale);
  if (!(s > 0)) return;
  judge_codes(j, b, LinearGrid(j.slot, s, j.arithmetic, dither_offset(j.slot, j.stream, b)));
}

// bfloat16: no block, no code; each value is the rounding of some value within its bound.
void judge_brain(const Judging& j) {
  const int64_t n = j.slot.row_length(), rows = j.slot.matrix / n;
  for (int64_t i = 0; i < j.exact.size(); ++i) {
    double draw = 0.5;
    if (j.slot.rounding == Rounding::stochastic) {
      draw = j.stream.uniform(i % n, i / n % rows, i / j.slot.matrix);
      j.use.moved_by_rounding += j.decoded.data[i] != round_to(DType::bfloat16, j.exact.data[i]);
    }
    judge_rounded(j.judges.stored, j.step, i, DType::bfloat16, j.slot.rounding, draw, j.decoded.data[i],
                  j.exact.data[i], j.bound.data[i]);
  }
}

}  // namespace

void decode_slot(const SlotState& slot, const Arithmetic& a, const std::vector<int64_t>& shape, DecodedSlot& out,
                 uint32_t seed) {
  int64_t expected = 1;
  for (int64_t extent : shape) expected *= extent;
  check_sizes(slot, expected);
  out.values.shape = shape;
  out.values.data.resize(expected);
  out.relative_error = out.resolution = {};
  if (!has_codes(slot.storage)) {
    load(slot.storage == Storage::bf16 ? DType::bfloat16 : DType::float32, slot.values.data(),
         {out.values.data.data(), size_t(expected)});
    return;
  }
  out.relative_error.shape = shape;
  out.relative_error.data.resize(expected);
  thread_local std::vector<int> codes;
  read_codes(slot, codes);
  const bool momentum = info(slot.slot).momentum;
  if (momentum) out.resolution = Tensor(shape);
  const reference::RoundingStream stream = stream_of(slot, seed);
  for_each_block(slot, [&](const Block& b) {
    const double offset = dither_offset(slot, stream, b);
    if (!is_log(slot.storage)) {
      const LinearGrid grid(slot, slot.scales[size_t(b.index)], a, offset);
      if (momentum) out.resolution.data.segment(b.begin, b.end - b.begin) = grid.distance(0, 1);
      for (int64_t i = b.begin; i < b.end; ++i) {
        out.values.data[i] = grid.decode(codes[size_t(i)]);
        out.relative_error.data[i] = grid.decode_error();
      }
      return;
    }
    const reference::LogScale s{slot.scales[size_t(2 * b.index)], slot.scales[size_t(2 * b.index + 1)]};
    const LogGrid grid(slot, s, a, offset);
    double values[256], errors[256];
    const bool table = slot.storage != Storage::al16 && b.end - b.begin > 256;
    if (table)
      for (int c = 0; c < 256; ++c) values[c] = grid.decode(c), errors[c] = grid.decode_error(c);
    for (int64_t i = b.begin; i < b.end; ++i) {
      const int code = codes[size_t(i)];
      out.values.data[i] = table ? values[code] : grid.decode(code);
      out.relative_error.data[i] = table ? errors[code] : grid.decode_error(code);
    }
  });
}

void judge_slot(int64_t step, const SlotState& slot, const Arithmetic& a, const Tensor& exact, const Tensor& bound,
                const Tensor& decoded, SlotJudges judges, CodeUse& use, uint32_t seed, double least) {
  if (slot.storage == Storage::fp32) {
    judges.stored.array(step, std::span<const double>(decoded.data.data(), size_t(decoded.size())),
                        {exact.data.data(), size_t(exact.size())}, {bound.data.data(), size_t(bound.size())});
    return;
  }
  thread_local std::vector<int> codes;
  Judging j{step, slot, a, exact, bound, decoded, stream_of(slot, seed), judges, use, {}, least};
  if (slot.storage == Storage::bf16) return judge_brain(j);
  read_codes(slot, codes);
  j.codes = codes;
  for_each_block(slot, [&](const Block& b) {
    if (is_log(slot.storage))
      judge_log_block(j, b);
    else
      judge_linear_block(j, b);
  });
  for (const int code : codes) use.codes.set(size_t(code & 255));
}

bool storage_notices(const SlotState& slot, const Tensor& other, const Tensor& exact, const Tensor& bound) {
  if (other.size() != exact.size()) return true;
  if (!has_codes(slot.storage)) {
    const double spacing = slot.storage == Storage::bf16 ? 0x1p-7 : 0;  // at most, relative
    return ((other.data - exact.data).abs() > bound.data + spacing * exact.data.abs()).any();
  }
  bool noticed = false;
  for_each_block(slot, [&](const Block& b) {
    const int64_t n = b.end - b.begin;
    const auto x = exact.data.segment(b.begin, n).abs();
    const double largest = other.data.segment(b.begin, n).abs().maxCoeff();
    noticed |= std::fabs(largest - x.maxCoeff()) > 2 * bound.data.segment(b.begin, n).maxCoeff() + 0x1p-100;
  });
  return noticed;
}

}  // namespace plumbline::harness
