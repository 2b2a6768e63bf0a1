#include "harness/live/data.h"

#include <cmath>

namespace plumbline::harness::live {
namespace {

uint64_t mix(uint64_t z) {  // splitmix64, Steele, Lea & Flood 2014
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
uint64_t key(uint64_t a, uint64_t b) { return mix(a ^ mix(b)); }

// Sum of four 16-bit uniforms, centred and of variance 1: bell-shaped, |x| < 3.47, never 0.
double bell(uint64_t bits) {
  const auto sum = int64_t((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
  return (double(sum - 131070) + 0.5) * (1.0 / 37837.2);
}
int below(uint64_t bits, int n) { return int((bits >> 32) * uint64_t(n) >> 32); }

enum StreamId : uint64_t { kParameter = 1, kRows, kCols, kTail, kGradient = 16 };  // kGradient + 8 * step

// Where an element lies in the endless tensor: the last axis, the one before, and all others together.
struct Place {
  uint64_t slice = 0, row = 0, col = 0;
  uint64_t row_key(uint64_t stream) const { return key(key(stream, slice), row); }
  uint64_t col_key(uint64_t stream) const { return key(key(stream, slice), ~col); }
  uint64_t element_key(uint64_t stream) const { return key(row_key(stream), col); }
};

template <class F>
void for_each_place(const LiveProblem& p, F f) {
  const size_t rank = p.shape.size();
  std::vector<int64_t> at(rank);
  const auto global = [&](size_t axis) { return uint64_t(at[axis] + (p.from.empty() ? 0 : p.from[axis])); };
  const int64_t count = p.elements();
  for (int64_t k = 0; k < count; ++k) {
    Place place;
    for (size_t a = 0; a + 2 < rank; ++a) place.slice = key(place.slice + 1, global(a));
    if (rank > 1) place.row = global(rank - 2);
    if (rank > 0) place.col = global(rank - 1);
    f(size_t(k), place);
    for (size_t a = rank; a-- > 0 && ++at[a] == p.shape[a];) at[a] = 0;
  }
}

double gradient_at(const LiveProblem& p, int64_t step, uint64_t stream, const Place& place) {
  const uint64_t bits = place.element_key(stream);
  const double scale = std::ldexp(1.0, p.exponent);
  switch (p.regime) {
    case LiveRegime::wide:
      return bell(bits) * std::ldexp(scale, below(place.row_key(key(p.seed, kRows)), 9) - 4 +
                                                below(place.col_key(key(p.seed, kCols)), 9) - 4);
    case LiveRegime::heavy_tail: {
      const uint64_t tail = place.element_key(stream + kTail);
      return bell(bits) * (below(tail, 64) == 0 ? std::ldexp(scale, 6 + below(mix(tail), 6)) : scale);
    }
    case LiveRegime::sparse_rows:
      return below(place.row_key(stream), 10) != 0 && place.row % 4 != uint64_t(step) % 4 ? 0 : bell(bits) * scale;
    case LiveRegime::zero_rows:
      return place.row != 0 && below(place.row_key(key(p.seed, kRows)), 5) == 0 ? 0 : bell(bits) * scale;
    case LiveRegime::constant:
      return scale;
    case LiveRegime::rank_one:
      return bell(place.row_key(stream)) * bell(place.col_key(stream)) * scale;
    case LiveRegime::spike:
      return bell(bits) * (step == 2 && below(place.element_key(stream + kTail), 32) == 0 ? 1024 * scale : scale);
    case LiveRegime::growing:
      return bell(bits) * std::ldexp(scale, int(std::min<int64_t>(2 * (step - 1), 20)));
    default:
      return bell(bits) * scale;
  }
}

LiveInput store_as(DType type, const LiveProblem& p, const std::vector<double>& values) {
  LiveInput out;
  out.values.shape = p.shape;
  out.values.data.resize(Eigen::Index(values.size()));
  out.bytes.resize(values.size() * size_of(type));
  store(type, values, out.bytes.data());
  load(type, out.bytes.data(), {out.values.data.data(), values.size()});
  return out;
}

}  // namespace

LiveInput initial_parameter(const LiveProblem& p) {
  std::vector<double> values(size_t(p.elements()));
  const uint64_t stream = key(p.seed, kParameter);
  const double scale = std::ldexp(1.0, p.parameter_exponent);
  for_each_place(p, [&](size_t k, const Place& place) {
    const uint64_t bits = place.element_key(stream);
    values[k] = below(mix(bits), 16) == 0 ? 0.0 : bell(bits) * scale;
  });
  return store_as(p.parameter, p, values);
}

LiveInput gradient_of(const LiveProblem& p, int64_t step) {
  std::vector<double> values(size_t(p.elements()));
  const uint64_t stream = key(p.seed, kGradient + 8 * uint64_t(p.regime == LiveRegime::frozen ? 1 : step));
  for_each_place(p, [&](size_t k, const Place& place) { values[k] = gradient_at(p, step, stream, place); });
  return store_as(p.gradient, p, values);
}

}  // namespace plumbline::harness::live
