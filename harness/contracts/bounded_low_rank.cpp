// Projections of the gradient, statistics in their space and what full-rank updates are made of them.
#include <utility>

#include "harness/contracts/bounded_transforms.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/projected_residual.h"
#include "reference/transforms/projected_scaling.h"
#include "reference/transforms/projected_update.h"

namespace plumbline::harness {
namespace {

using reference::Slot;

constexpr double kNormEps = 1e-8;  // added to norms of G_low

// G_low = G P^T (m x r) where P is on the right, else P^T G (r x n); N_low is what a chain makes of it.
class Space {
 public:
  explicit Space(const reference::LowRank& of)
      : right_(of.projection().right()),
        rows_(of.projection().rows()),
        cols_(of.projection().cols()),
        rank_(of.projection().options().rank),
        alpha_(of.projection().options().alpha),
        projection_(size_t(of.projection().matrix().size())),
        low_(size_t(of.gradient().size())),
        overwritten_by_(of.overwritten_by()) {
    const SlotNames names = {{Slot::momentum, Slot::low_rank_momentum},
                             {Slot::second_moment, Slot::low_rank_second_moment},
                             {Slot::row, Slot::low_rank_row},
                             {Slot::col, Slot::low_rank_col}};
    for (const auto& transform : of.chain()) chain_.push_back(make_bounded(*transform, names));
  }

  void run(const BoundedStep& step) {
    const PeerArithmetic& a = step.arithmetic;
    const BoundedVector& g = *step.gradient;
    for (int64_t i = 0; i < (right_ ? rows_ : rank_); ++i)
      for (int64_t j = 0; j < (right_ ? rank_ : cols_); ++j) {
        BoundedSum sum;
        for (int64_t k = 0; k < (right_ ? cols_ : rows_); ++k)
          sum.add(right_ ? a.values().product(g[size_t(i * cols_ + k)], projection_[size_t(j * cols_ + k)])
                         : a.values().product(projection_[size_t(k * rank_ + i)], g[size_t(k * cols_ + j)]));
        low_[size_t(right_ ? i * rank_ + j : i * cols_ + j)] = a.total(sum);
      }
    BoundedStep inner{step.t, a, step.types, step.parameter, &low_, &low_};
    for (size_t k = 0; k < chain_.size(); ++k) {
      chain_[k]->apply(inner);
      if (k + 1 != overwritten_by_) continue;
      BoundedVector left(low_.size());
      for (size_t i = 0; i < left.size(); ++i) left[i] = inner.element(i);
      low_ = std::move(left);
    }
    normalised_.resize(low_.size());
    for (size_t i = 0; i < low_.size(); ++i) normalised_[i] = inner.element(i);
  }

  // alpha L P, or alpha P L
  void back(const PeerArithmetic& a, const BoundedVector& low, BoundedVector& full) const {
    full.resize(size_t(rows_ * cols_));
    const Bounded alpha = a.at_use({alpha_});
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < cols_; ++j) {
        BoundedSum sum;
        for (int64_t k = 0; k < rank_; ++k)
          sum.add(right_ ? a.values().product(low[size_t(i * rank_ + k)], projection_[size_t(k * cols_ + j)])
                         : a.values().product(projection_[size_t(i * rank_ + k)], low[size_t(k * cols_ + j)]));
        full[size_t(i * cols_ + j)] = alpha_ == 1 ? a.total(sum) : a.values().product(a.total(sum), alpha);
      }
  }

  // s (.) x, s = |N_low|/(|G_low| + 1e-8) per channel or for the tensor
  void scale(const PeerArithmetic& a, reference::ScaleType type, const BoundedVector& x, BoundedVector& out) const {
    const bool whole = type == reference::ScaleType::tensor;
    const int64_t channels = whole ? 1 : right_ ? rows_ : cols_;
    BoundedVector s(static_cast<size_t>(channels));
    for (int64_t c = 0; c < channels; ++c)
      s[size_t(c)] = a.values().quotient(norm(a, normalised_, whole, c),
                                         a.values().sum(norm(a, low_, whole, c), a.at_use({kNormEps})));
    out.resize(x.size());
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < cols_; ++j)
        out[size_t(i * cols_ + j)] = a.values().product(x[size_t(i * cols_ + j)], s[size_t(whole    ? 0
                                                                                           : right_ ? i
                                                                                                    : j)]);
  }

  const BoundedVector& gradient() const { return low_; }
  const BoundedVector& normalised() const { return normalised_; }
  BoundedVector* state(Slot slot) {
    if (slot == Slot::projection) return &projection_;
    for (const auto& transform : chain_)
      if (BoundedVector* found = transform->state(slot)) return found;
    return nullptr;
  }

 private:
  Bounded norm(const PeerArithmetic& a, const BoundedVector& low, bool whole, int64_t channel) const {
    BoundedSum squares;
    if (whole)
      for (const Bounded& x : low) squares.add(a.values().square(x));
    else
      for (int64_t k = 0; k < rank_; ++k)
        squares.add(a.values().square(low[size_t(right_ ? channel * rank_ + k : k * cols_ + channel)]));
    return a.values().root(a.total(squares));
  }

  bool right_;
  int64_t rows_, cols_, rank_;
  double alpha_;
  BoundedVector projection_, low_, normalised_;
  size_t overwritten_by_;
  std::vector<std::unique_ptr<BoundedTransform>> chain_;
};

class Scaling final : public BoundedTransform {
 public:
  explicit Scaling(const reference::ProjectedScaling& of) : space_(of.low_rank()), type_(of.type()) {}
  // u = s (.) G
  void apply(BoundedStep& step) override {
    space_.run(step);
    space_.scale(step.arithmetic, type_, *step.gradient, update_);
    step.set_update(update_);
  }
  BoundedVector* state(Slot slot) override { return space_.state(slot); }

 private:
  Space space_;
  reference::ScaleType type_;
  BoundedVector update_;
};

class Residual final : public BoundedTransform {
 public:
  explicit Residual(const reference::ProjectedResidual& of) : space_(of.low_rank()), options_(of.limiter().options()) {}
  // u = back(N_low) + limit((G - back(G_low)) (.) s)
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const TypeRounding& r = a.values();
    space_.run(step);
    space_.back(a, space_.gradient(), rest_);
    for (size_t i = 0; i < rest_.size(); ++i) rest_[i] = r.difference((*step.gradient)[i], rest_[i]);
    space_.scale(a, reference::ScaleType::channel, rest_, residual_);

    BoundedSum squares;
    for (const Bounded& x : residual_) squares.add(r.square(x));
    const Bounded limiter =
        bounded_limiter(step, options_.margin, options_.record_below, r.root(a.total(squares)), previous_[0]);
    step.limiter_acted = limiter.value > 1;

    space_.back(a, space_.normalised(), update_);
    for (size_t i = 0; i < update_.size(); ++i) update_[i] = r.sum(update_[i], r.quotient(residual_[i], limiter));
    step.set_update(update_);
  }
  BoundedVector* state(Slot slot) override { return slot == Slot::previous_norm ? &previous_ : space_.state(slot); }

 private:
  Space space_;
  reference::LimiterOptions options_;
  BoundedVector previous_{1}, rest_, residual_, update_;
};

class Returned final : public BoundedTransform {
 public:
  explicit Returned(const reference::ProjectedUpdate& of) : space_(of.low_rank()) {}
  // u = back(N_low)
  void apply(BoundedStep& step) override {
    space_.run(step);
    space_.back(step.arithmetic, space_.normalised(), update_);
    step.set_update(update_);
  }
  BoundedVector* state(Slot slot) override { return space_.state(slot); }

 private:
  Space space_;
  BoundedVector update_;
};

}  // namespace

std::unique_ptr<BoundedTransform> make_bounded_low_rank(const reference::Transform& transform) {
  if (const auto* t = dynamic_cast<const reference::ProjectedScaling*>(&transform))
    return std::make_unique<Scaling>(*t);
  if (const auto* t = dynamic_cast<const reference::ProjectedResidual*>(&transform))
    return std::make_unique<Residual>(*t);
  if (const auto* t = dynamic_cast<const reference::ProjectedUpdate*>(&transform))
    return std::make_unique<Returned>(*t);
  return nullptr;
}

}  // namespace plumbline::harness
