#include "tests/cuda/straight_step.h"

#include <algorithm>

#include "cuda/core/codec.h"
#include "cuda/core/confidence.h"
#include "cuda/core/momentum.h"
#include "cuda/core/projection.h"
#include "cuda/core/resolution.h"
#include "cuda/core/uniform.h"
#include "tests/cuda/straight_line.h"

namespace plumbline::straight_line {
namespace {

double tree_squares(const std::vector<float>& x) {
  std::vector<double> squares;
  squares.reserve(x.size());
  for (float v : x) squares.push_back(double(v) * double(v));
  return tree(squares);
}
std::vector<float> part(const std::vector<float>& x, int64_t first, int64_t count) {
  return {x.begin() + first, x.begin() + first + count};
}
double mean_of(const std::vector<float>& x) {
  return core::mean_row(tree(std::vector<double>(x.begin(), x.end())), int(x.size()));
}
template <class T>
float rounded(float x) {
  T y;
  core::narrow(x, y);
  return core::widen(y);
}
template <class T>
float rounded(float x, uint32_t bits) {
  T y;
  core::narrow_stochastic(x, bits, y);
  return core::widen(y);
}

// One block: its values encoded, and decoded again.
void code_block(const SlotPlan& plan, const core::RoundingStream& stream, int64_t slice, int64_t row, int64_t first,
                int64_t n, const float* x, float* out, float* scales) {
  core::BlockRange range;
  for (int64_t i = 0; i < n; ++i) core::include(range, x[i]);
  const bool stochastic = plan.rounding == Rounding::stochastic;
  const float delta =
      plan.rounding == Rounding::dither ? core::draw_dither(stream, first / plan.block, row, slice) : 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float u = stochastic ? core::uniform_of(core::draw_bits(stream, first + i, row, slice)) : 0.0f;
    if (core::is_uniform(plan.storage)) {
      const core::UniformBlock b = core::uniform_block(plan.storage, plan.rounding, core::uniform_scale(range), delta);
      const float code = stochastic ? core::encode_uniform_stochastic(x[i], b, u) : core::encode_uniform(x[i], b);
      out[i] = core::decode_uniform(code, b);
      scales[i] = b.scale;
    } else {
      const core::BlockScale scale = core::block_scale(plan.storage, range);
      const uint32_t code = core::encode(plan.storage, plan.rounding, x[i],
                                         core::block_encoder(plan.storage, scale, plan.rounding, delta), u);
      out[i] = core::decode(plan.storage, code, core::block_decoder(plan.storage, scale, plan.rounding, delta));
    }
  }
}

}  // namespace

Slot::Slot(const SlotPlan& plan, int64_t slices)
    : plan_(plan), values_(size_t(slices * plan.matrix), 0.0f), scales_(values_.size(), 0.0f) {}

void Slot::write(const std::vector<float>& x, uint32_t writes) {
  const core::RoundingStream stream = {{plan_.seed, plan_.stream}, writes};
  for (int64_t at = 0; at < int64_t(x.size()); ++at) {
    const int64_t slice = at / plan_.matrix, row = at % plan_.matrix / plan_.row, first = at % plan_.row;
    if (plan_.storage == Storage::fp32) {
      values_[size_t(at)] = core::canonical(x[size_t(at)]);
    } else if (plan_.storage == Storage::bf16) {
      values_[size_t(at)] = plan_.rounding == Rounding::stochastic
                                ? rounded<core::bf16>(x[size_t(at)], core::draw_bits(stream, first, row, slice))
                                : rounded<core::bf16>(x[size_t(at)]);
    } else if (first % plan_.block == 0) {
      const int64_t n = std::min<int64_t>(plan_.block, plan_.row - first);
      code_block(plan_, stream, slice, row, first, n, &x[size_t(at)], &values_[size_t(at)], &scales_[size_t(at)]);
    }
  }
}

Step::Step(const TensorSpec& spec, const GroupOptions& options) : options_(options) {
  TensorSpec alone = spec;
  alone.group = 0;
  plan_ = make_plan(std::span(&alone, 1), std::span(&options, 1), true).tensors[0];
  for (int kind = 0; kind < kSlots; ++kind) {
    if (plan_.slot[kind].count > 0) slots_[kind] = Slot(plan_.slot[kind], plan_.slices);
  }
}

double Step::parameter_sum(const std::vector<float>& p) const {
  std::vector<double> slices;
  for (int64_t k = 0; k < plan_.slices; ++k) {
    if (plan_.path == Path::full) {
      slices.push_back(tree_squares(part(p, k * plan_.slice, plan_.slice)));
      continue;
    }
    std::vector<double> rows;
    for (int64_t i = 0; i < plan_.rows; ++i)
      rows.push_back(tree_squares(part(p, k * plan_.slice + i * plan_.cols, plan_.cols)));
    slices.push_back(tree(rows));
  }
  return tree(slices);
}

// Sum of M^2 in the order of the path.
double Step::norm_of_momentum(const std::vector<float>& m) const { return core::sqrt(parameter_sum(m)); }

std::vector<float> Step::average(SlotKind kind, const std::vector<float>& x, std::vector<float>& record) {
  Slot& slot = slots_[int(kind)];
  record.resize(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    record[i] = core::canonical(core::momentum(slot.values()[i], x[i], plan_.hyper.b1, plan_.hyper.c1));
  slot.write(record, s_.writes);
  return slot.values();
}

// (b q)^2 of every value of a momentum; empty where it has no steps or nothing divides it.
std::vector<float> Step::resolution(SlotKind kind) const {
  std::vector<float> squares;
  if (!(plan_.hyper.levels > 0.0f)) return squares;
  const auto unit = float(s_.bias / double(plan_.hyper.levels));
  for (const float scale : slots_[int(kind)].scales()) squares.push_back((scale * unit) * (scale * unit));
  return squares;
}

void Step::store(std::vector<float>& p) const {
  const core::RoundingStream stream = {{plan_.seed, plan_.stream}, uint32_t(s_.step - 1)};
  const int64_t length = plan_.path == Path::full ? plan_.slice : plan_.cols;
  for (int64_t at = 0; at < plan_.size; ++at) {
    float& x = p[size_t(at)];
    if (plan_.parameter == Type::float32) {
      x = core::canonical(x);
      continue;
    }
    const bool bfloat = plan_.parameter == Type::bfloat16;
    if (plan_.parameter_rounding == Rounding::nearest) {
      x = bfloat ? rounded<core::bf16>(x) : rounded<core::f16>(x);
    } else {
      const int64_t slice = at / plan_.slice, i = at % plan_.slice;
      const uint32_t bits = core::draw_bits(stream, i % length, i / length, slice);
      x = bfloat ? rounded<core::bf16>(x, bits) : rounded<core::f16>(x, bits);
    }
  }
}

void Step::step(std::vector<float> g, std::vector<float>& p, float multiplier) {
  s_ = core::begin_step(plan_.hyper, clock_, options_.lr, multiplier);
  for (float& x : g) {
    x = x * multiplier;
    if (!core::is_nonfinite(x)) continue;
    ++s_.nonfinite;
    if (plan_.nonfinite == Nonfinite::zero) x = 0.0f;
  }
  if (plan_.nonfinite == Nonfinite::skip && s_.nonfinite > 0) return;
  if (plan_.hyper.scale_parameter) s_.parameter_sum = parameter_sum(p);
  if (plan_.path == Path::factored) step_factored(g, p);
  if (plan_.path == Path::full) step_full(g, p);
  if (plan_.path == Path::projected) step_projected(g, p);
  store(p);
  core::commit_step(plan_.hyper, s_, clock_);
}

void Step::step_factored(const std::vector<float>& g, std::vector<float>& p) {
  const core::Hyper& h = plan_.hyper;
  const int m = plan_.rows, n = plan_.cols;
  const int64_t slices = plan_.slices;
  std::vector<float> x = g;
  if (h.momentum && !h.momentum_of_update) x = average(SlotKind::momentum, g, momentum);
  // The averages of `squares`, weighted sums of those of y.
  struct Factored {
    std::vector<float> row, col, row_used, col_used;
    std::vector<double> mean, norm;  // per slice
  };
  const auto factored = [&](SlotKind row_slot, SlotKind col_slot, const std::vector<float>& squares,
                            const std::vector<float>& y, const core::Weights<float>& weights,
                            const std::vector<float>& steps) {
    Factored f;
    for (int64_t k = 0; k < slices; ++k) {
      Averages<float> a;
      a.row = part(slots_[int(row_slot)].values(), k * m, m);
      a.col = part(slots_[int(col_slot)].values(), k * n, n);
      std::vector<float> weighted;
      weighted.reserve(size_t(plan_.slice));
      for (float v : part(y, k * plan_.slice, plan_.slice)) weighted.push_back(core::square(v));
      update_averages(part(squares, k * plan_.slice, plan_.slice), weighted, m, n, weights, a,
                      steps.empty() ? steps : part(steps, k * plan_.slice, plan_.slice));
      std::vector<double> terms;
      terms.reserve(size_t(n));
      for (int j = 0; j < n; ++j) terms.push_back(core::norm_term(a.weighted[size_t(j)], a.col_used[size_t(j)]));
      f.mean.push_back(mean_of(a.row));
      f.norm.push_back(core::slice_update_sum(f.mean.back(), tree(terms)));
      f.row.insert(f.row.end(), a.row.begin(), a.row.end());
      f.col.insert(f.col.end(), a.col.begin(), a.col.end());
      f.row_used.insert(f.row_used.end(), a.row_used.begin(), a.row_used.end());
      f.col_used.insert(f.col_used.end(), a.col_used.begin(), a.col_used.end());
    }
    return f;
  };
  std::vector<float> squares;
  squares.reserve(g.size());
  for (float v : g) squares.push_back(core::square(v));
  const bool of_gradient = h.momentum && !h.momentum_of_update;
  Factored f = factored(SlotKind::row, SlotKind::col, squares, x, s_.weights,
                        of_gradient ? resolution(SlotKind::momentum) : std::vector<float>());
  row = f.row;
  col = f.col;
  core::finish_step(h, plan_.size, tree(f.norm), false, s_);
  const auto row_of = [&](int64_t at) { return at / n; };
  const auto col_of = [&](int64_t at) { return at / plan_.slice * n + at % n; };
  if (h.momentum_of_update) {
    std::vector<float> u(g.size());
    for (int64_t at = 0; at < plan_.size; ++at) {
      const auto k = float(core::clipped_coefficient(f.mean[size_t(at / plan_.slice)], s_.clip));
      u[size_t(at)] = core::clipped_update(g[size_t(at)], core::row_scale(k, f.row[size_t(row_of(at))]),
                                           core::col_scale(f.col[size_t(col_of(at))]));
    }
    x = average(SlotKind::momentum, u, momentum);
    double norm = norm_of_momentum(x);
    if (h.has_confidence) {
      for (size_t i = 0; i < x.size(); ++i) squares[i] = core::residual_square(u[i], x[i]);
      f = factored(SlotKind::confidence_row, SlotKind::confidence_col, squares, x, s_.confidence,
                   resolution(SlotKind::momentum));
      confidence_row = f.row;
      confidence_col = f.col;
      norm = core::sqrt(tree(f.norm));
    }
    if (h.limiter) core::finish_limit(h, norm, s_);
  }
  for (int64_t at = 0; at < plan_.size; ++at) {
    float& y = p[size_t(at)];
    if (h.momentum_of_update && !h.has_confidence) {
      y = core::apply_full(y, x[size_t(at)], s_.full_step, s_.keep);
    } else {
      const auto k = float(core::step_coefficient(s_.applied, f.mean[size_t(at / plan_.slice)]));
      y = core::apply(y, x[size_t(at)], core::row_scale(k, f.row_used[size_t(row_of(at))]),
                      core::col_scale(f.col_used[size_t(col_of(at))]), s_.keep);
    }
  }
  slots_[int(SlotKind::row)].write(row, s_.writes);
  slots_[int(SlotKind::col)].write(col, s_.writes);
  if (!h.has_confidence) return;
  slots_[int(SlotKind::confidence_row)].write(confidence_row, s_.writes);
  slots_[int(SlotKind::confidence_col)].write(confidence_col, s_.writes);
}

void Step::step_full(const std::vector<float>& g, std::vector<float>& p) {
  const core::Hyper& h = plan_.hyper;
  std::vector<float> x = g, u(g.size());
  if (h.momentum && !h.momentum_of_update) x = average(SlotKind::momentum, g, momentum);
  second_moment = slots_[int(SlotKind::second_moment)].values();
  const std::vector<float> steps = h.momentum_of_update ? std::vector<float>() : resolution(SlotKind::momentum);
  for (size_t i = 0; i < g.size(); ++i) {
    second_moment[i] = core::full_average(second_moment[i], g[i], s_.weights);
    u[i] = core::full_update(x[i], steps.empty() ? second_moment[i] : std::max(second_moment[i], steps[i]));
  }
  std::vector<double> sums;
  for (int64_t k = 0; k < plan_.slices; ++k) sums.push_back(tree_squares(part(u, k * plan_.slice, plan_.slice)));
  core::finish_step(h, plan_.size, tree(sums), false, s_);
  if (h.momentum_of_update) {
    for (float& v : u) v = core::clipped_full_update(v, s_.inverse_clip);
    u = average(SlotKind::momentum, u, momentum);
    if (h.limiter) core::finish_limit(h, norm_of_momentum(u), s_);
  }
  for (size_t i = 0; i < g.size(); ++i) p[i] = core::apply_full(p[i], u[i], s_.full_step, s_.keep);
  slots_[int(SlotKind::second_moment)].write(second_moment, s_.writes);
}

void Step::project(const std::vector<float>& g) {
  const int64_t n = plan_.cols;
  low_rank_gradient.assign(size_t(plan_.low_rows) * size_t(plan_.low_cols), 0.0f);
  for (int64_t c = 0; c < plan_.channels; ++c) {
    const auto element = [&](int64_t j) { return plan_.reduces_columns ? g[size_t(c * n + j)] : g[size_t(j * n + c)]; };
    uint32_t largest = 0;
    for (int64_t j = 0; j < plan_.reduced; ++j) largest = std::max(largest, core::magnitude_bits(element(j)));
    const core::ChannelGrid grid = core::channel_grid(largest);
    for (int k = 0; k < plan_.rank; ++k) {
      int64_t sum = 0;
      double nonfinite = 0;
      for (int64_t j = 0; j < plan_.reduced; ++j) {
        const core::PhiloxWords words = core::projection_words(plan_.projection_seed, plan_.index,
                                                               core::refresh_index(s_.step, plan_.refresh), j / 4, k);
        const int entry = core::projection_entry(core::word_of(words, int(j % 4)));
        sum += int64_t(core::grid_point(element(j), grid)) * entry;
        nonfinite = core::add_nonfinite(nonfinite, element(j), entry);
      }
      low_rank_gradient[size_t(plan_.reduces_columns ? c * plan_.rank + k : k * n + c)] =
          largest < core::kInfinityBits
              ? core::low_rank_gradient(sum, core::grid_step(largest, core::projection_unit(plan_.rank)))
              : core::canonical(float(nonfinite));
    }
  }
}

void Step::normalize(std::vector<float>& normalized) {
  const core::Hyper& h = plan_.hyper;
  std::vector<float> x = low_rank_gradient;
  if (h.momentum) x = average(SlotKind::low_rank_momentum, low_rank_gradient, low_rank_momentum);
  normalized.resize(x.size());
  const int64_t rows = plan_.low_rows, cols = plan_.low_cols;
  const std::vector<float> steps = resolution(SlotKind::low_rank_momentum);
  if (!h.projection_factored) {
    low_rank_second_moment = slots_[int(SlotKind::low_rank_second_moment)].values();
    for (size_t i = 0; i < x.size(); ++i) {
      float& v = low_rank_second_moment[i];
      v = core::canonical(core::full_average(v, low_rank_gradient[i], s_.weights));
      normalized[i] = core::low_rank_update(x[i], steps.empty() ? v : std::max(v, steps[i]), h.projection_eps);
    }
    slots_[int(SlotKind::low_rank_second_moment)].write(low_rank_second_moment, s_.writes);
    return;
  }
  low_rank_row = slots_[int(SlotKind::low_rank_row)].values();
  low_rank_col = slots_[int(SlotKind::low_rank_col)].values();
  const auto height = static_cast<size_t>(rows), width = static_cast<size_t>(cols);
  std::vector<std::vector<float>> by_row(height, std::vector<float>(width)), by_col(width, std::vector<float>(height));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j)
      by_row[size_t(i)][size_t(j)] = by_col[size_t(j)][size_t(i)] =
          core::square(low_rank_gradient[size_t(i * cols + j)]);
  }
  for (int64_t i = 0; i < rows; ++i)
    low_rank_row[size_t(i)] = core::average(low_rank_row[size_t(i)], tree(by_row[size_t(i)]), float(cols), s_.weights);
  for (int64_t j = 0; j < cols; ++j)
    low_rank_col[size_t(j)] = core::average(low_rank_col[size_t(j)], tree(by_col[size_t(j)]), float(rows), s_.weights);
  const auto inverse = float(core::inverse_root_mean(mean_of(low_rank_row)));
  std::vector<float> row_used = low_rank_row, col_used = low_rank_col;
  if (!steps.empty()) {
    for (int64_t at = 0; at < rows * cols; ++at)
      by_row[size_t(at / cols)][size_t(at % cols)] = by_col[size_t(at % cols)][size_t(at / cols)] = steps[size_t(at)];
    for (int64_t i = 0; i < rows; ++i)
      row_used[size_t(i)] = std::max(row_used[size_t(i)], tree(by_row[size_t(i)]) / float(cols));
    for (int64_t j = 0; j < cols; ++j)
      col_used[size_t(j)] = std::max(col_used[size_t(j)], tree(by_col[size_t(j)]) / float(rows));
  }
  for (int64_t at = 0; at < rows * cols; ++at)
    normalized[size_t(at)] = core::low_rank_factored_update(x[size_t(at)], row_used[size_t(at / cols)],
                                                            col_used[size_t(at % cols)], inverse, h.projection_eps);
  slots_[int(SlotKind::low_rank_row)].write(low_rank_row, s_.writes);
  slots_[int(SlotKind::low_rank_col)].write(low_rank_col, s_.writes);
}

void Step::step_projected(const std::vector<float>& g, std::vector<float>& p) {
  const core::Hyper& h = plan_.hyper;
  const int64_t n = plan_.cols, channels = plan_.channels;
  project(g);
  std::vector<float> normalized;
  normalize(normalized);
  std::vector<double> normalized_sums, low_sums, sums;
  for (int64_t c = 0; c < channels; ++c) {
    std::vector<float> nk, gk, column;
    for (int64_t k = 0; k < plan_.rank; ++k) {
      const int64_t at = plan_.reduces_columns ? c * plan_.rank + k : k * n + c;
      nk.push_back(normalized[size_t(at)]);
      gk.push_back(low_rank_gradient[size_t(at)]);
    }
    normalized_sums.push_back(tree_squares(nk));
    low_sums.push_back(tree_squares(gk));
    if (plan_.reduces_columns) {
      sums.push_back(tree_squares(part(g, c * n, n)));
      continue;
    }
    std::vector<double> strips(size_t(plan_.strips), 0.0);
    for (int64_t i = 0; i < plan_.rows; ++i) {
      double& strip = strips[size_t(i / plan_.strip_rows)];
      strip = strip + core::norm_square(g[size_t(i * n + c)]);
    }
    sums.push_back(tree(strips));
  }
  channel_scale.clear();
  if (h.scale_by_tensor) {
    channel_scale.push_back(float(core::channel_scale(tree(normalized_sums), tree(low_sums))));
  } else {
    for (int64_t c = 0; c < channels; ++c)
      channel_scale.push_back(float(core::channel_scale(normalized_sums[size_t(c)], low_sums[size_t(c)])));
  }
  const auto scale_of = [&](int64_t c) { return channel_scale[h.scale_by_tensor ? 0 : size_t(c)]; };
  std::vector<double> update;
  for (int64_t c = 0; c < channels; ++c) update.push_back(core::channel_update_sum(scale_of(c), sums[size_t(c)]));
  const double update_sum = tree(update);
  core::finish_step(h, plan_.size, h.scale_first ? update_sum * h.projection_scale : update_sum, false, s_);
  for (int64_t at = 0; at < plan_.size; ++at) {
    const int64_t c = plan_.reduces_columns ? at / n : at % n;
    const auto e = float(core::channel_step(s_.channel_step, scale_of(c)));
    p[size_t(at)] = core::apply_channel(p[size_t(at)], g[size_t(at)], e, s_.keep);
  }
}

}  // namespace plumbline::straight_line
