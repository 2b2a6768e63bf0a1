// Averages of squares, what is divided by their root, momentum and confidence.
#include <algorithm>

#include "harness/contracts/bounded_transforms.h"
#include "reference/transforms/combined_confidence.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_confidence.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/running_maximum.h"

namespace plumbline::harness {
namespace {

using reference::Slot;

// What x rsqrt(R/mean R) rsqrt(C) may lose beyond the 3 units of x/sqrt(R C/mean R): two such roots and a product.
double two_reciprocal_roots(const BoundedStep& step) { return 2 * step.arithmetic.reciprocal_root(); }

struct BoundedWeights {
  Bounded sample, old;
};

// w_t and 1 - w_t where they meet a tensor. The power takes four units and what the rounded exponent moves; a peer may
// hold only one of both (lerp), so 1 - w takes the rounding of w where that is larger.
BoundedWeights weights_at(const reference::DecaySchedule& schedule, const BoundedStep& step) {
  const auto [w, old] = schedule.at(step.t);
  const TypeRounding& scalars = step.arithmetic.scalars();
  Bounded sample{w}, rest{old};
  if (schedule.beta2 || (schedule.cap && old == *schedule.cap)) {
    if (old != 0 && w != 0) sample = scalars.rounded(sample);  // 1 - 0 and 1 - 1 are exact
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

// Weights of the step in which an average may begin, whose state is then zero.
BoundedWeights weights_at(const reference::DecaySchedule& schedule, const reference::AverageStart& start,
                          const BoundedStep& step) {
  if (start.at(step.t) && start.whole) return {{1}, {0}};
  return weights_at(schedule, step);
}
void restart(const reference::AverageStart& start, int64_t t, BoundedVector& average) {
  if (start.every > 0 && start.at(t)) average.assign(average.size(), {});
}
Bounded eps1_at(const reference::AverageStart& start, double eps1, const BoundedStep& step) {
  return step.arithmetic.at_use({start.without_eps1 && start.at(step.t) ? 0 : eps1});
}
// max(first average, floor)
Bounded raised(const reference::AverageStart& start, const BoundedStep& step, Bounded x) {
  if (!(start.floor > 0) || !start.at(step.t)) return x;
  return at_least(step.arithmetic.at_use({start.floor}), x);
}

// (1-w) old + w sample; or a lerp, which multiplies the rounded difference of both by the lesser weight
Bounded average(const BoundedStep& step, const BoundedWeights& w, Bounded old, Bounded sample, DType type) {
  // what is new alone, as it came
  if (w.sample.exactly(1) && w.old.exactly(0) && step.arithmetic.holds(type)) return sample;
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
    const reference::AverageStart& start = options_.start;
    const BoundedWeights w = weights_at(options_.schedule, start, step);
    const Bounded eps1 = eps1_at(start, options_.eps1, step);
    restart(start, step.t, row_);
    restart(start, step.t, col_);
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
        row = raised(start, step, average(step, w, row, a.mean(squares, n), row_type));
        of_rows.add(options_.floors_normalizer ? at_least(a.at_use({options_.factor_floor}), row) : row);
      }
      for (int64_t j = 0; j < n; ++j) {
        Bounded& col = col_[size_t(s * n + j)];
        col = raised(start, step, average(step, w, col, a.mean(columns_[size_t(j)], m), col_type));
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
    const reference::AverageStart& start = options_.start;
    const BoundedWeights w = weights_at(options_.schedule, start, step);
    const Bounded eps1 = eps1_at(start, options_.eps1, step);
    restart(start, step.t, moment_);
    const DType type = step.types.of(slot_);
    for (size_t i = 0; i < moment_.size(); ++i)
      moment_[i] =
          raised(start, step,
                 average(step, w, moment_[i], a.values().sum(a.values().square((*step.gradient)[i]), eps1), type));
    step.moment = {.full = &moment_};
  }

  BoundedVector* state(Slot slot) override { return slot == slot_ ? &moment_ : nullptr; }

 private:
  reference::FullMomentOptions options_;
  Slot slot_;
  BoundedVector moment_;
};

class Largest final : public BoundedTransform {
 public:
  explicit Largest(size_t size) : largest_(size) {}
  // V^ <- max(V^, V)
  void apply(BoundedStep& step) override {
    const BoundedVector& v = *step.moment.full;
    for (size_t i = 0; i < largest_.size(); ++i) largest_[i] = at_least(largest_[i], v[i]);
    step.moment.full = &largest_;
  }
  BoundedVector* state(Slot slot) override { return slot == Slot::largest_second_moment ? &largest_ : nullptr; }

 private:
  BoundedVector largest_;
};

class Division final : public BoundedTransform {
 public:
  explicit Division(const reference::PreconditionOptions& options) : options_(options) {}

  // u = x / (sqrt(max(V^, floor) + inside) + eps)
  void apply(BoundedStep& step) override {
    eps_ = eps_at(step);
    update_.resize(step.update->size());
    if (step.moment.full)
      for (size_t i = 0; i < update_.size(); ++i)
        update_[i] = divide(step, (*step.update)[i], (*step.moment.full)[i], step.arithmetic.reciprocal_root() - 1);
    else
      divide_factored(step);
    if (options_.overwrites && step.moment.full)
      for (size_t i = 0; i < update_.size(); ++i)
        (*step.moment.full)[i] = step.arithmetic.values().product(update_[i], step.scale);
    step.set_update(update_);
  }

 private:
  Bounded divide(const BoundedStep& step, Bounded x, Bounded v, double extra_roundings) const {
    const PeerArithmetic& a = step.arithmetic;
    if (options_.floor > 0) v = at_least(a.at_use({options_.floor}), v);
    if (options_.inside > 0) v = a.values().sum(v, a.at_use({options_.inside}));
    Bounded root = a.values().rounded(a.values().root(v), extra_roundings);
    if (options_.eps > 0) root = a.values().sum(root, eps_);
    return a.values().quotient(x, root);
  }

  // eps, or eps sqrt(1 - beta^t); the power by pow or as a running product
  Bounded eps_at(const BoundedStep& step) const {
    const PeerArithmetic& a = step.arithmetic;
    if (!options_.eps_beta) return a.at_use({options_.eps});
    const auto t = double(step.t);
    const Bounded power = a.scalars().rounded({std::pow(*options_.eps_beta, t)}, t == 1 ? 0 : t + 4);
    return a.at_use(a.scalars().product({options_.eps}, a.scalars().root(a.scalars().difference({1}, power))));
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
          update_[at] = divide(step, (*step.update)[at], r.product(row, cols_[size_t(j)]), two_reciprocal_roots(step));
        }
      }
    }
  }

  reference::PreconditionOptions options_;
  Bounded eps_{};
  BoundedVector update_, cols_;
};

class BoundedMomentum final : public BoundedTransform {
 public:
  BoundedMomentum(const reference::Momentum& of, Slot slot)
      : beta1_(of.beta1()),
        start_(of.options().start),
        unit_(of.options().unit),
        slot_(slot),
        momentum_(size_t(of.momentum().size())) {}

  // M <- beta1 M + (1 - beta1) x
  void apply(BoundedStep& step) override {
    const BoundedWeights w = weights_at(reference::DecaySchedule::fixed(beta1_), step);
    const DType type = step.types.of(slot_);
    restart(start_, step.t, momentum_);
    for (size_t i = 0; i < momentum_.size(); ++i) {
      Bounded x = step.element(i);
      x.error += unit_ * x.magnitude();
      momentum_[i] = average(step, w, momentum_[i], x, type);
      momentum_[i].error += unit_ * momentum_[i].magnitude();
    }
    step.set_update(momentum_);
    step.scale = {1};
  }

  // The same, and x - M beside it. M holds x and its own past: x - M = beta1 (x - M_old), so that of both errors the
  // part that M shares with x falls out, and what rounding made of M remains.
  void apply_and_subtract(BoundedStep& step, BoundedVector& residual) {
    const BoundedWeights w = weights_at(reference::DecaySchedule::fixed(beta1_), step);
    const DType type = step.types.of(slot_);
    const TypeRounding& r = step.arithmetic.values();
    residual.resize(momentum_.size());
    restart(start_, step.t, momentum_);
    for (size_t i = 0; i < momentum_.size(); ++i) {
      const Bounded x = step.element(i), old = momentum_[i];
      Bounded& now = momentum_[i];
      now = average(step, w, old, {x.value, x.error + unit_ * x.magnitude()}, type);
      now.error += unit_ * now.magnitude();
      const double value = x.value - now.value, shared = w.sample.value * x.error, past = w.old.value * old.error;
      const bool bounded = now.error < TypeRounding::kAnything;
      const double made = bounded ? std::fmax(0, now.error - shared - past) : TypeRounding::kAnything;
      residual[i] = r.rounded({value, (1 - w.sample.value) * x.error + past + made});
    }
    step.set_update(momentum_);
    step.scale = {1};
  }

  BoundedVector* state(Slot slot) override { return slot == slot_ ? &momentum_ : nullptr; }

 private:
  double beta1_;
  reference::AverageStart start_;
  double unit_;
  Slot slot_;
  BoundedVector momentum_;
};

class BoundedConfidence final : public BoundedTransform {
 public:
  explicit BoundedConfidence(const reference::Confidence& of, Slot momentum)
      : momentum_(of.momentum(), momentum),
        momentum_slot_(momentum),
        instability_(of.instability(), Slot::confidence_row, Slot::confidence_col),
        division_(of.division().options()),
        overwrites_(of.overwrites()) {}

  void apply(BoundedStep& step) override {
    momentum_.apply_and_subtract(step, residual_);
    BoundedStep inner = step;
    inner.gradient = &residual_;
    instability_.apply(inner);
    division_.apply(inner);
    if (overwrites_) *momentum_.state(momentum_slot_) = *inner.update;
    step.set_update(*inner.update);
  }

  BoundedVector* state(Slot slot) override {
    if (BoundedVector* found = instability_.state(slot)) return found;
    return momentum_.state(slot);
  }

 private:
  BoundedMomentum momentum_;
  Slot momentum_slot_;
  Factored instability_;
  Division division_;
  bool overwrites_;
  BoundedVector residual_;
};

// u - M where M <- beta1 M + (1 - beta1) u: that is beta1 (u - M_old), however many roundings M then took.
void residual_of(const BoundedStep& step, double beta1, const BoundedVector& momentum_before,
                 const BoundedVector& momentum, BoundedVector& u) {
  const TypeRounding& r = step.arithmetic.values();
  for (size_t i = 0; i < u.size(); ++i) {
    const Bounded old = momentum_before[i];
    const double value = beta1 * (u[i].value - old.value);
    // M as computed from an exact u and an exact M_old: three roundings of its terms, one of its sum or its storage
    const double terms = std::fabs(u[i].value) + u[i].error + std::fabs(old.value) + old.error;
    const double rounding = 4 * r.unit() * terms + half_ulp(step.types.of(Slot::momentum), momentum[i].magnitude());
    u[i] = r.rounded({value, beta1 * (u[i].error + old.error) + rounding});
  }
}

class BoundedFullConfidence final : public BoundedTransform {
 public:
  explicit BoundedFullConfidence(const reference::FullConfidence& of, Slot momentum)
      : momentum_(of.momentum(), momentum),
        momentum_slot_(momentum),
        beta1_(of.momentum().beta1()),
        instability_(of.instability().options(), size_t(of.instability().moment().size()), Slot::confidence_row),
        division_(of.division().options()),
        overwrites_(of.overwrites()) {}

  void apply(BoundedStep& step) override {
    residual_.resize(step.update->size());
    for (size_t i = 0; i < residual_.size(); ++i) residual_[i] = step.element(i);
    const BoundedVector before = *momentum_.state(momentum_slot_);
    momentum_.apply(step);
    residual_of(step, beta1_, before, *step.update, residual_);
    BoundedStep inner = step;
    inner.gradient = &residual_;
    instability_.apply(inner);
    division_.apply(inner);
    if (overwrites_) *momentum_.state(momentum_slot_) = *inner.update;
    step.set_update(*inner.update);
  }

  BoundedVector* state(Slot slot) override {
    if (BoundedVector* found = instability_.state(slot)) return found;
    return momentum_.state(slot);
  }

 private:
  BoundedMomentum momentum_;
  Slot momentum_slot_;
  double beta1_;
  Full instability_;
  Division division_;
  bool overwrites_;
  BoundedVector residual_;
};

// Averages of e^2, e = (g - M)/sqrt(V^), which a peer may expand into those of g^2, g M and M^2 over V^
class BoundedCombined final : public BoundedTransform {
 public:
  explicit BoundedCombined(const reference::CombinedConfidence& of)
      : options_(of.options()),
        batch_(of.batch()),
        momentum_(of.momentum(), Slot::momentum),
        row_(size_t(batch_.slices() * batch_.rows)),
        col_(size_t(batch_.slices() * batch_.cols)) {}

  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const TypeRounding& r = a.values();
    const BoundedVector& g = *step.gradient;
    const BoundedMoment v = step.moment;
    const BoundedVector before = *momentum_.state(Slot::momentum);
    momentum_.apply(step);
    const BoundedVector& momentum = *step.update;
    const int64_t m = batch_.rows, n = batch_.cols;
    const BoundedWeights w = weights_at(reference::DecaySchedule::fixed(options_.beta3), step);
    const Bounded floor = a.at_use({v.factor_floor});

    squares_.assign(row_.size(), {});
    columns_.assign(col_.size(), {});
    for (int64_t s = 0; s < batch_.slices(); ++s)
      for (int64_t i = 0; i < m; ++i) {
        const Bounded row = r.quotient(at_least(floor, (*v.row)[size_t(s * m + i)]), (*v.normalizer)[size_t(s)]);
        for (int64_t j = 0; j < n; ++j) {
          const size_t at = element(s, i, j);
          const Bounded x = g[at], y = momentum[at];
          const double difference = options_.beta1 * (x.value - before[at].value);
          const double off = options_.beta1 * (x.error + before[at].error) + y.error;
          const double size = x.magnitude() + y.magnitude();
          // of g^2 - 2 g M + M^2, each averaged by itself: roundings are relative to (|g| + |M|)^2
          const double roundings = 4 + two_reciprocal_roots(step) + double(std::max(m, n));
          Bounded e2{difference * difference,
                     off * (2 * std::fabs(difference) + off) + r.rounded({size * size}, roundings).error};
          e2 = r.quotient(e2, r.product(row, at_least(floor, (*v.col)[size_t(s * n + j)])));
          squares_[size_t(s * m + i)].add(e2);
          columns_[size_t(s * n + j)].add(e2);
        }
      }
    for (size_t i = 0; i < row_.size(); ++i)
      row_[i] = average(step, w, row_[i], a.mean(squares_[i], n), step.types.of(Slot::confidence_row));
    for (size_t j = 0; j < col_.size(); ++j)
      col_[j] = average(step, w, col_[j], a.mean(columns_[j], m), step.types.of(Slot::confidence_col));
    divide(step, momentum);
  }

  BoundedVector* state(Slot slot) override {
    if (slot == Slot::confidence_row) return &row_;
    if (slot == Slot::confidence_col) return &col_;
    return momentum_.state(slot);
  }

 private:
  size_t element(int64_t s, int64_t i, int64_t j) const {
    return size_t(batch_.first[size_t(s)] + i * batch_.row_stride + j * batch_.col_stride);
  }

  // u = M sqrt(mean A/(A_i B_j))
  void divide(BoundedStep& step, const BoundedVector& momentum) {
    const PeerArithmetic& a = step.arithmetic;
    const TypeRounding& r = a.values();
    const int64_t m = batch_.rows, n = batch_.cols;
    const Bounded floor = a.at_use({options_.floor});
    update_.resize(momentum.size());
    for (int64_t s = 0; s < batch_.slices(); ++s) {
      const auto product = [&](const BoundedVector& moment, const BoundedVector& confidence, int64_t at) {
        return at_least(floor, r.product(moment[size_t(at)], confidence[size_t(at)]));
      };
      BoundedSum of_rows;
      for (int64_t i = 0; i < m; ++i) of_rows.add(product(*step.moment.row, row_, s * m + i));
      const Bounded normalizer = at_least(a.at_use({options_.normalizer_floor}), a.mean(of_rows, m));
      for (int64_t i = 0; i < m; ++i) {
        const Bounded row = r.quotient(product(*step.moment.row, row_, s * m + i), normalizer);
        for (int64_t j = 0; j < n; ++j) {
          const Bounded v = r.product(row, product(*step.moment.col, col_, s * n + j));
          update_[element(s, i, j)] =
              r.quotient(momentum[element(s, i, j)], r.rounded(r.root(v), two_reciprocal_roots(step)));
        }
      }
    }
    step.set_update(update_);
  }

  reference::CombinedConfidenceOptions options_;
  reference::MatrixBatch batch_;
  BoundedMomentum momentum_;
  BoundedVector row_, col_, update_;
  std::vector<BoundedSum> squares_, columns_;
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
  if (const auto* t = dynamic_cast<const reference::RunningMaximum*>(&transform))
    return std::make_unique<Largest>(size_t(t->largest().size()));
  if (const auto* t = dynamic_cast<const reference::Precondition*>(&transform))
    return std::make_unique<Division>(t->options());
  if (const auto* t = dynamic_cast<const reference::Momentum*>(&transform))
    return std::make_unique<BoundedMomentum>(*t, named(slots, Slot::momentum));
  if (const auto* t = dynamic_cast<const reference::Confidence*>(&transform))
    return std::make_unique<BoundedConfidence>(*t, named(slots, Slot::momentum));
  if (const auto* t = dynamic_cast<const reference::FullConfidence*>(&transform))
    return std::make_unique<BoundedFullConfidence>(*t, named(slots, Slot::momentum));
  if (const auto* t = dynamic_cast<const reference::CombinedConfidence*>(&transform))
    return std::make_unique<BoundedCombined>(*t);
  return nullptr;
}

}  // namespace plumbline::harness
