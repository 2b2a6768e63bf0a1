#include "reference/transforms/low_rank.h"

#include <utility>

namespace plumbline::reference {
namespace {

constexpr double kEps = 1e-8;  // added to norms of G_low

}  // namespace

LowRank::LowRank(Projection projection, std::vector<std::unique_ptr<Transform>> chain, size_t overwritten_by)
    : projection_(std::move(projection)),
      chain_(std::move(chain)),
      overwritten_by_(overwritten_by),
      gradient_(projection_.low_shape()),
      normalised_(projection_.low_shape()) {}

void LowRank::run(Step& step) {
  projection_.refresh(step.t, *step.gradient);
  projection_.project(*step.gradient, gradient_);
  Step low(step.t, step.parameter, gradient_, step.record ? &record_ : nullptr);
  if (step.record) copy_to(step.record->low_rank_gradient, gradient_);
  for (size_t k = 0; k < chain_.size(); ++k) {
    chain_[k]->apply(low);
    if (k + 1 == overwritten_by_) gradient_.data = low.scale * low.update().data;
  }
  normalised_.data = low.scale * low.update().data;
  if (!step.record) return;
  StepRecord& record = *step.record;
  record.weight = record_.weight;
  record.old_weight = record_.old_weight;
  copy_to(record.normalised, normalised_);
  std::swap(record.low_rank_momentum, record_.momentum);
  std::swap(record.low_rank_second_moment, record_.second_moment);
  std::swap(record.low_rank_row, record_.row);
  std::swap(record.low_rank_col, record_.col);
  std::swap(record.low_rank_mean, record_.row_mean);
  std::swap(record.low_rank_row_resolution, record_.row_resolution);
  std::swap(record.low_rank_col_resolution, record_.col_resolution);
  std::swap(record.low_rank_second_moment_resolution, record_.second_moment_resolution);
}

void LowRank::channel_scale(ScaleType type, Tensor& scale) const {
  const auto norm = [](const Vector& v) { return std::sqrt(v.square().sum()); };
  if (type == ScaleType::tensor) {
    shape_like(scale, {1}, 1);
    scale.data[0] = norm(normalised_.data) / (norm(gradient_.data) + kEps);
    return;
  }
  const ConstMatrixMap n = normalised_.matrix(0), g = gradient_.matrix(0);
  if (projection_.right()) {
    shape_like(scale, {n.rows()}, n.rows());
    scale.data = n.square().rowwise().sum().sqrt() / (g.square().rowwise().sum().sqrt() + kEps);
  } else {
    shape_like(scale, {n.cols()}, n.cols());
    scale.data = (n.square().colwise().sum().sqrt() / (g.square().colwise().sum().sqrt() + kEps)).transpose().eval();
  }
}

void LowRank::scale_channels(const Tensor& scale, const Tensor& x, Tensor& out) const {
  shape_like(out, x.shape, x.size());
  const int64_t channels = scale.size(), along = x.size() / channels;
  if (projection_.right()) {
    MatrixMap(out.data.data(), channels, along) = ConstMatrixMap(x.data.data(), channels, along).colwise() * scale.data;
  } else {
    MatrixMap(out.data.data(), along, channels) =
        ConstMatrixMap(x.data.data(), along, channels).rowwise() * scale.data.transpose();
  }
}

Tensor* LowRank::state(Slot slot) {
  Slot inner;
  switch (slot) {
    case Slot::projection:
      return &projection_.matrix();
    case Slot::low_rank_momentum:
      inner = Slot::momentum;
      break;
    case Slot::low_rank_second_moment:
      inner = Slot::second_moment;
      break;
    case Slot::low_rank_row:
      inner = Slot::row;
      break;
    case Slot::low_rank_col:
      inner = Slot::col;
      break;
    case Slot::confidence_row:
    case Slot::confidence_col:
      inner = slot;
      break;
    default:
      return nullptr;
  }
  for (const auto& transform : chain_)
    if (Tensor* found = transform->state(inner)) return found;
  return nullptr;
}

}  // namespace plumbline::reference
