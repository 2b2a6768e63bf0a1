// Averages of squares, what is divided by their root, momentum and confidence.

#include "harness/contracts/bounded_transforms.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"

namespace plumbline::harness {
namespace {

using reference::Slot;

// A reciprocal root within 2 ulp, the most that CUDA's tables admit for rsqrtf: 4 units.
constexpr double kReciprocalRoot = 4;
// What x rsqrt(R/mean R) rsqrt(C) may lose beyond the 3 units of x/sqrt(R C/mean R): two such roots and a product.
constexpr double kTwoReciprocalRoots = 2 * kReciprocalRoot;

struct BoundedWeights {
  Bounded sample, old;
};

// w_t and 1 - w_t where they meet a tensor. The power takes four units and what the rounded exponent moves; a peer may
// hold only one of both (lerp), so 1 - w takes the rounding of w where that is larger.
BoundedWeights weights_at(const reference::DecaySchedule& schedule, const BoundedStep& step) {
  const auto [w, old] = schedule.at(step.t);
  const TypeRounding& scalars = step.arithmetic.scalars();
  Bounded sample{w}, rest{old};
  if (schedule.beta2) {
    sample = scalars.rounded(sample);
  } else if (step.t - schedule.offset > 1) {
    double unit = scalars.unit();
    if (schedule.float32) unit = std::fmax(unit, 0x1p-23);  // the peer's power in float32 and the reference's
    const double logarithm = std::fabs(schedule.exponent * std::log(double(step.t - schedule.offset)));
    sample.error = unit * w * (4 + logarithm);
    rest.error = sample.error + unit * old;
    if (schedule.float32) sample.error += unit * old;  // w is taken back from 1 - w
  }
  const double unit = step.arithmetic.values().unit();
  if (old != 0) rest.error += unit * std::fmax(old, w);
  return {step.arithmetic.at_use(sample), rest};
}

// (1-w) old + w sample; or a lerp, which multiplies the rounded difference of both by the lesser weight
Bounded average(const BoundedStep& step, const BoundedWeights& w, Bounded old, Bounded sample, DType type) {
  const TypeRounding& r = step.arithmetic.values();
  const Bounded a = r.product(w.old, old), b = r.product(w.sample, sample);
  double error = a.error + b.error;
  if (!old.exactly(0) && !sample.exactly(0))
    error += r.unit() * std::fmin(w.old.value, w.sample.value) * (old.magnitude() + sample.magnitude());
  return step.arithmetic.stored({a.value + b.value, error}, type);
}

class Factored final : public BoundedTransform {
 public:
  Factored(const reference::FactoredMoment& of, Slot row, Slot col)
      : options_(of.options()),
        batch_(of.batch()),
        row_slot_(row),
        col_slot_(col),
        row_(size_t(batch_.slices() * batch_.rows)),
        col_(size_t(batch_.slices() * batch_.cols)),
        normalizer_(size_t(batch_.slices())) {}

  // R <- (1-w) R + w (mean_j g^2 + eps1), C likewise; eps1 may be in every term of the sums, as some peers have it
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const BoundedWeights w = weights_at(options_.schedule, step);
    const Bounded eps1 = a.at_use({options_.eps1});
    const int64_t m = batch_.rows, n = batch_.cols;
    const DType row_type = step.types.of(row_slot_), col_type = step.types.of(col_slot_);
    for (int64_t s = 0; s < batch_.slices(); ++s) {
      columns_.assign(size_t(n), {});
      BoundedSum of_rows;
      for (int64_t i = 0; i < m; ++i) {
        BoundedSum squares;
        for (int64_t j = 0; j < n; ++j) {
          const auto at = size_t(batch_.first[size_t(s)] + i * batch_.row_stride + j * batch_.col_stride);
          const Bounded term = a.values().sum(a.values().square((*step.gradient)[at]), eps1);
          squares.add(term);
          columns_[size_t(j)].add(term);
        }
        Bounded& row = row_[size_t(s * m + i)];
        row = average(step, w, row, a.mean(squares, n), row_type);
        of_rows.add(row);
      }
      for (int64_t j = 0; j < n; ++j) {
        Bounded& col = col_[size_t(s * n + j)];
        col = average(step, w, col, a.mean(columns_[size_t(j)], m), col_type);
      }
      const Bounded normalizer =
          options_.normalizer == reference::Normalizer::mean ? a.mean(of_rows, m) : a.total(of_rows);
      normalizer_[size_t(s)] = at_least(a.at_use({options_.normalizer_floor}), normalizer);
    }
    step.moment = {nullptr, &row_, &col_, &normalizer_, options_.factor_floor, &batch_};
  }

  BoundedVector* state(Slot slot) override { return slot == row_slot_ ? &row_ : slot == col_slot_ ? &col_ : nullptr; }

 private:
  reference::FactoredMomentOptions options_;
  reference::MatrixBatch batch_;
  Slot row_slot_, col_slot_;
  BoundedVector row_, col_, normalizer_;
  std::vector<BoundedSum> columns_;
};

class Full final : public BoundedTransform {
 public:
  Full(const reference::FullMomentOptions& options, size_t size, Slot slot)
      : options_(options), slot_(slot), moment_(size) {}

  // V <- (1-w) V + w (g^2 + eps1)
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const BoundedWeights w = weights_at(options_.schedule, step);
    const Bounded eps1 = a.at_use({options_.eps1});
    const DType type = step.types.of(slot_);
    for (size_t i = 0; i < moment_.size(); ++i)
      moment_[i] = average(step, w, moment_[i], a.values().sum(a.values().square((*step.gradient)[i]), eps1), type);
    step.moment = {.full = &moment_};
  }

  BoundedVector* state(Slot slot) override { return slot == slot_ ? &moment_ : nullptr; }

 private:
  reference::FullMomentOptions options_;
  Slot slot_;
  BoundedVector moment_;
};

class Division final : public BoundedTransform {
 public:
  explicit Division(const reference::PreconditionOptions& options) : options_(options) {}

  // u = x / (sqrt(max(V^, floor)) + eps)
  void apply(BoundedStep& step) override {
    update_.resize(step.update->size());
    if (step.moment.full)
      for (size_t i = 0; i < update_.size(); ++i)
        update_[i] = divide(step, (*step.update)[i], (*step.moment.full)[i], kReciprocalRoot - 1);
    else
      divide_factored(step);
    step.set_update(update_);
  }

 private:
  Bounded divide(const BoundedStep& step, Bounded x, Bounded v, double extra_roundings) const {
    const PeerArithmetic& a = step.arithmetic;
    if (options_.floor > 0) v = at_least(a.at_use({options_.floor}), v);
    Bounded root = a.values().rounded(a.values().root(v), extra_roundings);
    if (options_.eps > 0) root = a.values().sum(root, a.at_use({options_.eps}));
    return a.values().quotient(x, root);
  }

  void divide_factored(BoundedStep& step) {
    const BoundedMoment& v = step.moment;
    const TypeRounding& r = step.arithmetic.values();
    const int64_t m = v.batch->rows, n = v.batch->cols;
    const Bounded floor = step.arithmetic.at_use({v.factor_floor});
    cols_.resize(size_t(n));
    for (int64_t s = 0; s < v.batch->slices(); ++s) {
      for (int64_t j = 0; j < n; ++j) cols_[size_t(j)] = at_least(floor, (*v.col)[size_t(s * n + j)]);
      for (int64_t i = 0; i < m; ++i) {
        const Bounded row = r.quotient(at_least(floor, (*v.row)[size_t(s * m + i)]), (*v.normalizer)[size_t(s)]);
        for (int64_t j = 0; j < n; ++j) {
          const auto at = size_t(v.batch->first[size_t(s)] + i * v.batch->row_stride + j * v.batch->col_stride);
          update_[at] = divide(step, (*step.update)[at], r.product(row, cols_[size_t(j)]), kTwoReciprocalRoots);
        }
      }
    }
  }

  reference::PreconditionOptions options_;
  BoundedVector update_, cols_;
};

class BoundedMomentum final : public BoundedTransform {
 public:
  BoundedMomentum(const reference::Momentum& of, Slot slot)
      : beta1_(of.beta1()), slot_(slot), momentum_(size_t(of.momentum().size())) {}

  // M <- beta1 M + (1 - beta1) x
  void apply(BoundedStep& step) override {
    const BoundedWeights w = weights_at(reference::DecaySchedule::fixed(beta1_), step);
    const DType type = step.types.of(slot_);
    for (size_t i = 0; i < momentum_.size(); ++i) momentum_[i] = average(step, w, momentum_[i], step.element(i), type);
    step.set_update(momentum_);
    step.scale = {1};
  }

  BoundedVector* state(Slot slot) override { return slot == slot_ ? &momentum_ : nullptr; }

 private:
  double beta1_;
  Slot slot_;
  BoundedVector momentum_;
};

class BoundedConfidence final : public BoundedTransform {
 public:
  explicit BoundedConfidence(const reference::Confidence& of)
      : momentum_(of.momentum(), Slot::momentum),
        instability_(of.instability(), Slot::confidence_row, Slot::confidence_col),
        division_(of.division().options()) {}

  void apply(BoundedStep& step) override {
    residual_.resize(step.update->size());
    for (size_t i = 0; i < residual_.size(); ++i) residual_[i] = step.element(i);
    momentum_.apply(step);
    for (size_t i = 0; i < residual_.size(); ++i)
      residual_[i] = step.arithmetic.values().difference(residual_[i], (*step.update)[i]);
    BoundedStep inner = step;
    inner.gradient = &residual_;
    instability_.apply(inner);
    division_.apply(inner);
    step.set_update(*inner.update);
  }

  BoundedVector* state(Slot slot) override {
    if (BoundedVector* found = instability_.state(slot)) return found;
    return momentum_.state(slot);
  }

 private:
  BoundedMomentum momentum_;
  Factored instability_;
  Division division_;
  BoundedVector residual_;
};

Slot named(const SlotNames& slots, Slot slot) {
  const auto at = slots.find(slot);
  return at == slots.end() ? slot : at->second;
}

}  // namespace

std::unique_ptr<BoundedTransform> make_bounded_statistics(const reference::Transform& transform,
                                                          const SlotNames& slots) {
  if (const auto* t = dynamic_cast<const reference::FactoredMoment*>(&transform))
    return std::make_unique<Factored>(*t, named(slots, Slot::row), named(slots, Slot::col));
  if (const auto* t = dynamic_cast<const reference::FullMoment*>(&transform))
    return std::make_unique<Full>(t->options(), size_t(t->moment().size()), named(slots, Slot::second_moment));
  if (const auto* t = dynamic_cast<const reference::Precondition*>(&transform))
    return std::make_unique<Division>(t->options());
  if (const auto* t = dynamic_cast<const reference::Momentum*>(&transform))
    return std::make_unique<BoundedMomentum>(*t, named(slots, Slot::momentum));
  if (const auto* t = dynamic_cast<const reference::Confidence*>(&transform))
    return std::make_unique<BoundedConfidence>(*t);
  return nullptr;
}

}  // namespace plumbline::harness
