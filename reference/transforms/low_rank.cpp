#include "reference/transforms/low_rank.h"

#include <utility>

namespace plumbline::reference {
namespace {

constexpr double kEps = 1e-8;  // added to norms of G_low

}  // namespace

LowRank::LowRank(Projection projection, std::vector<std::unique_ptr<Transform>> chain)
    : projection_(std::move(projection)),
      chain_(std::move(chain)),
      gradient_(projection_.low_shape()),
      normalised_(projection_.low_shape()) {}

void LowRank::run(Step& step) {
  projection_.refresh(step.t, *step.gradient);
  projection_.project(*step.gradient, gradient_);
  Step low(step.t, step.parameter, gradient_, nullptr);
  for (const auto& transform : chain_) transform->apply(low);
  normalised_.data = low.scale * low.update().data;
}

void LowRank::scale_channels(ScaleType type, const Tensor& x, Tensor& out) const {
  shape_like(out, x.shape, x.size());
  const auto norm = [](const Vector& v) { return std::sqrt(v.square().sum()); };
  if (type == ScaleType::tensor) {
    out.data = x.data * (norm(normalised_.data) / (norm(gradient_.data) + kEps));
    return;
  }
  const ConstMatrixMap n = normalised_.matrix(0), g = gradient_.matrix(0);
  if (projection_.right()) {
    const Vector s = n.square().rowwise().sum().sqrt() / (g.square().rowwise().sum().sqrt() + kEps);
    MatrixMap(out.data.data(), s.size(), x.size() / s.size()) =
        ConstMatrixMap(x.data.data(), s.size(), x.size() / s.size()).colwise() * s;
  } else {
    const Eigen::Array<double, 1, Eigen::Dynamic> s =
        n.square().colwise().sum().sqrt() / (g.square().colwise().sum().sqrt() + kEps);
    MatrixMap(out.data.data(), x.size() / s.size(), s.size()) =
        ConstMatrixMap(x.data.data(), x.size() / s.size(), s.size()).rowwise() * s;
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
    default:
      return nullptr;
  }
  for (const auto& transform : chain_)
    if (Tensor* found = transform->state(inner)) return found;
  return nullptr;
}

}  // namespace plumbline::reference
