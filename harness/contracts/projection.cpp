// Contracts of the projected path.
#include "harness/contracts/stages.h"
#include "reference/projections/sources.h"

namespace plumbline::harness {
namespace {

using reference::ConstMatrixMap;
using reference::Tensor;
using reference::Vector;

// The tensor as the matrix that is projected, and which of its axes is reduced.
struct Layout {
  int64_t m, n, rank;
  bool right;  // m >= n: channels are rows
  int64_t channels() const { return right ? m : n; }
  int64_t along() const { return right ? n : m; }
};

Layout layout_of(const Problem& p) {
  const int64_t m = p.shape[0], n = p.elements() / m;
  return {m, n, p.options.projection_rank, m >= n};
}

// f of every channel's line of a matrix whose channels are rows, or columns.
template <class F>
Vector per_channel(const Vector& values, int64_t rows, int64_t cols, bool right, F f) {
  const ConstMatrixMap x(values.data(), rows, cols);
  if (right) return f(x).rowwise().sum();
  return f(x).colwise().sum().transpose();
}

// Values per channel laid over a matrix with `other` values to each.
template <class F>
void for_each_entry(const Layout& l, int64_t other, F f) {
  const int64_t rows = l.right ? l.channels() : other, cols = l.right ? other : l.channels();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) f(i * cols + j, l.right ? i : j);
}

// How far the elements are from their channel's grid of step 2^-s: s is the largest for which the channel's largest
// element becomes an integer of three digits of -128 ... 127, up to where every float32 lies on it.
Vector grid_distance(const Vector& gradient, const Layout& l) {
  constexpr int kDigits = 3;  // of base 256
  Vector largest = Vector::Zero(l.channels()), distance = Vector::Zero(gradient.size());
  for_each_entry(l, l.along(), [&](int64_t at, int64_t channel) {
    largest[channel] = std::max(largest[channel], std::abs(gradient[at]));
  });
  const double limit = 127 * (std::ldexp(1.0, 8 * kDigits) - 1) / 255;
  std::vector<int> exponent(size_t(l.channels()));
  for (int64_t c = 0; c < l.channels(); ++c) {
    int& s = exponent[size_t(c)];
    std::frexp(largest[c], &s);
    s = 8 * kDigits - 1 - s;
    if (std::nearbyint(std::ldexp(largest[c], s)) > limit) --s;
    s = std::min(s, 149);
  }
  for_each_entry(l, l.along(), [&](int64_t at, int64_t channel) {
    const double x = std::ldexp(gradient[at], exponent[size_t(channel)]);
    distance[at] = std::ldexp(std::abs(x - std::nearbyint(x)), -exponent[size_t(channel)]);
  });
  return distance;
}

// G_low = float(unit 2^-s sum entry q), q the gradient on its channel's grid and the sum exact; the reference's is in
// double, |entry| <= 16.
Vector low_rank_error(const StageContext& c, const Layout& l) {
  const Tensor& low = c.record.low_rank_gradient;
  const Vector magnitude =
      per_channel(c.record.gradient.data, l.m, l.n, l.right, [](const auto& g) { return g.abs(); });
  const double unit = 16 / std::sqrt(8.0 * double(l.rank)), along = double(l.along());
  const double roundings = (along + 4 + c.arithmetic.projected_additions) * 0x1p-53;
  const Vector distance = grid_distance(c.record.gradient.data, l);
  Tensor moved(low.shape);  // sum_j |P_jk| distance_j
  Tensor p = l.right ? Tensor({l.rank, l.n}) : Tensor({l.m, l.rank});
  const auto& o = c.problem.options;
  reference::popcount_projection(uint32_t(o.projection_seed), uint32_t(c.problem.place))(
      {c.record.gradient.data.data(), l.m, l.n}, (c.record.step - 1) / o.projection_refresh, p.matrix(0));
  const auto d = ConstMatrixMap(distance.data(), l.m, l.n).matrix();
  if (l.right)
    moved.matrix(0).matrix().noalias() = d * p.matrix(0).abs().matrix().transpose();
  else
    moved.matrix(0).matrix().noalias() = p.matrix(0).abs().matrix().transpose() * d;
  Vector error = (low.data.abs() + moved.data) * gamma(c.arithmetic.low_rank_gradient) + moved.data;
  for_each_entry(l, l.rank, [&](int64_t at, int64_t channel) {
    if (magnitude[channel] > 0) error[at] += unit * magnitude[channel] * roundings + kUnderflow;
  });
  return error;
}

// 1 + d where 1/sqrt(x') is within a factor 1 -+ d of 1/sqrt(x), x' within e of x. New samples are at least w eps1:
// what cancellation left of G_low may have a square of many times that, on either side; neither average falls below it.
Vector root_factor(const Vector& average, const Vector& error, double floor) {
  const auto smaller = (average / (average - error).max(floor)).sqrt();
  const auto larger = 2 - (average / (average + error).max(floor)).sqrt();
  return smaller.max(larger);
}

// The relative error of sqrt(V) with its contract, elementwise; V full or factored.
Vector bound_moments(const StageContext& c, const Vector& low_error, StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const Arithmetic& a = c.arithmetic;
  const Vector &low = r.low_rank_gradient.data, square_error = 2 * low.abs() * low_error + low_error.square();
  const double floor = b.least_low_rank = r.weight * c.problem.options.eps1 * (1 - 0x1p-18);
  if (r.low_rank_second_moment.size() > 0) {
    Tensor& bound = b.slot[Slot::low_rank_second_moment];
    bound_average(r.low_rank_second_moment, c.before.slot[Slot::low_rank_second_moment], r.old_weight,
                  gamma(a.square + a.full_new) + kScalar, gamma(a.full_old), bound);
    bound.data += r.weight * square_error * (1 + gamma(a.square + a.full_new));
    bound_used(c, Slot::low_rank_second_moment, b);
    return root_factor(used(r, b, Slot::low_rank_second_moment).data, used_bound(b, Slot::low_rank_second_moment).data,
                       floor) -
           1;
  }
  Tensor &row = b.slot[Slot::low_rank_row], &col = b.slot[Slot::low_rank_col];
  const double rows = double(r.low_rank_row.size()), cols = double(r.low_rank_col.size());
  const double row_relative = gamma(a.square + a.row_additions + a.average_new);
  const double col_relative = gamma(a.square + a.col_additions + a.average_new);
  bound_average(r.low_rank_row, c.before.slot[Slot::low_rank_row], r.old_weight, row_relative + double_sum(cols),
                gamma(a.average_old), row);
  bound_average(r.low_rank_col, c.before.slot[Slot::low_rank_col], r.old_weight, col_relative + double_chain(rows),
                gamma(a.average_old), col);
  const int64_t m = r.low_rank_row.size(), n = r.low_rank_col.size();
  const ConstMatrixMap errors(square_error.data(), m, n);
  row.data += errors.rowwise().sum() * (r.weight / cols * (1 + row_relative));
  col.data += errors.colwise().sum().transpose() * (r.weight / rows * (1 + col_relative));
  for (const Slot slot : {Slot::low_rank_row, Slot::low_rank_col}) bound_used(c, slot, b);
  const Tensor &used_row = used(r, b, Slot::low_rank_row), &used_col = used(r, b, Slot::low_rank_col);
  const Tensor &row_bound = used_bound(b, Slot::low_rank_row), &col_bound = used_bound(b, Slot::low_rank_col);
  const Factors f{used_row, used_col, row_bound, col_bound, r.low_rank_mean, r.low_rank_row, row};
  const double mean = root_relative(f.mean_relative(0));
  Vector out(low.size());
  const Vector row_factor = root_factor(used_row.data, row_bound.data, floor);
  const Vector col_factor = root_factor(used_col.data, col_bound.data, floor);
  for (int64_t i = 0; i < m; ++i) out.segment(i * n, n) = (1 + mean) * row_factor[i] * col_factor - 1;
  return out;
}

}  // namespace

double bound_projection(const StageContext& c, StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const auto& o = c.problem.options;
  const Arithmetic& a = c.arithmetic;
  const Layout l = layout_of(c.problem);
  const Vector low_error = low_rank_error(c, l), &low = r.low_rank_gradient.data;
  b.low_rank_gradient = Tensor(r.low_rank_gradient.shape, low_error);
  const Vector root_error = bound_moments(c, low_error, b);

  // N = x / (root + eps): the denominator is no further off, relatively, than the root
  Vector numerator_error = low_error;
  const Vector* numerator = &low;
  if (c.momentum) {
    bound_momentum(c, Slot::low_rank_momentum, low, 1, low_error, b.slot[Slot::low_rank_momentum]);
    numerator = &c.momentum->values.data;
    numerator_error = numerator->abs() * c.momentum_error();
  }
  Vector normalised_error = (1 + gamma(a.low_rank_update)) * (1 + root_error) - 1;
  const Vector inverse = (*numerator != 0).select(r.normalised.data.abs() / numerator->abs(), 0.0);
  normalised_error =
      r.normalised.data.abs() * normalised_error + numerator_error * inverse * (1 + normalised_error) + 2 * kUnderflow;
  // where G_low is 0 in the reference but for what the subject's sum may leave
  if (!c.momentum) normalised_error += (low == 0).select(low_error / o.projection_eps, 0.0);

  // s = |N|/(|G_low| + 1e-8): norms move by at most the norms of the errors
  const bool whole = o.projection_scale_by == reference::ScaleType::tensor;
  const int64_t low_rows = l.right ? l.channels() : l.rank, low_cols = l.right ? l.rank : l.channels();
  auto norms = [&](const Vector& v) {
    Vector squares = per_channel(v, low_rows, low_cols, l.right, [](const auto& x) { return x.square(); });
    if (whole) squares = Vector::Constant(1, squares.sum());
    return Vector(squares.sqrt());
  };
  const Vector normalised_moved = norms(normalised_error), low_moved = norms(low_error), low_norm = norms(low);
  const double own = compose(gamma(a.channel_scale), 2 * double_sum(double(low.size())) + kScalar);
  const Vector& s = r.channel_scale.data;
  b.channel_scale.shape = r.channel_scale.shape;
  b.channel_scale.data =
      (normalised_moved + s * low_moved) / ((low_norm - low_moved).max(0.0) + 1e-8) * (1 + own) + s * own + kUnderflow;

  // sum u^2 = sum s^2 sum g^2
  const Vector squares = per_channel(r.gradient.data, l.m, l.n, l.right, [](const auto& g) { return g.square(); });
  const Vector& e = b.channel_scale.data;
  const double first = o.projection_scale_first ? o.projection_scale : 1;
  const double count = double(r.gradient.size());
  const Vector moved = 2 * s * e + e.square() + s.square() * (double_sum(count) + kScalar);
  const double sum = whole ? moved[0] * squares.sum() : (moved * squares).sum();
  return first * sum / count;
}

}  // namespace plumbline::harness
