// What scales an update or the parameter, and the descent.
#include <algorithm>
#include <stdexcept>

#include "harness/contracts/bounded_transforms.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/caution.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/coupled_decay.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/first_again.h"
#include "reference/transforms/gradient_decay.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/nonfinite.h"
#include "reference/transforms/resolution.h"
#include "reference/transforms/scale.h"
#include "reference/transforms/square_sums.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::harness {
namespace {

using reference::Slot;

Bounded rms_of(const PeerArithmetic& a, const BoundedVector& x) {
  BoundedSum squares;
  for (const Bounded& element : x) squares.add(a.values().square(element));
  return a.values().root(a.mean(squares, int64_t(x.size())));
}

class Clip final : public BoundedTransform {
 public:
  explicit Clip(const reference::ClipByRms& of) : threshold_(of.threshold()), on_(of.on()), nan_(of.nan()) {}
  void apply(BoundedStep& step) override {
    const TypeRounding& r = step.arithmetic.values();
    const Bounded rms = on_ == reference::ClipOn::update ? step.update_rms() : step.rms_before_limiter;
    if (std::isnan(rms.value) && nan_ == reference::NanRatio::is_one) return;
    // RMS/d, or a product with 1/d
    const Bounded clip = at_least({1}, r.rounded(r.quotient(rms, step.arithmetic.at_use({threshold_}))));
    step.clip_acted |= clip.value > 1;
    step.scale = r.quotient(step.scale, clip);
  }

 private:
  double threshold_;
  reference::ClipOn on_;
  reference::NanRatio nan_;
};

class Size final : public BoundedTransform {
 public:
  explicit Size(const reference::StepSizeOptions& options) : options_(options) {}
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const TypeRounding& s = a.scalars();
    Bounded rho{options_.lr};
    if (options_.relative) {
      const Bounded t{double(step.t)}, inverse = s.quotient({1}, s.root(t));
      const Bounded cap = options_.warmup ? s.product({*options_.warmup}, t) : Bounded{options_.lr};
      rho = cap.value <= inverse.value ? cap : inverse;  // min(cap, 1/sqrt(t)) moves by no more than the larger error
      rho.error = std::fmax(cap.error, inverse.error);
    }
    Bounded alpha = a.at_use(rho);
    if (options_.scale_parameter) {
      const Bounded floor = a.at_use({options_.eps2}), rms = rms_of(a, step.parameter);
      const bool floored = std::isnan(rms.value) && options_.nan_is_floor;
      alpha = a.values().product(alpha, floored ? floor : at_least(floor, rms));
    }
    step.rho = rho;
    step.step_size = alpha;
    step.scale = a.values().product(step.scale, alpha);
  }

 private:
  reference::StepSizeOptions options_;
};

class Correction final : public BoundedTransform {
 public:
  explicit Correction(const reference::BiasCorrection& of) : beta1_(of.beta1()), beta2_(of.beta2()) {}
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const TypeRounding& s = a.scalars();
    Bounded factor = s.quotient({1}, rest(beta1_, step));
    if (beta2_) factor = s.product(factor, s.root(rest(*beta2_, step)));
    factor = a.at_use(factor);
    step.scale = a.values().product(step.scale, factor);
    step.step_size = a.values().product(step.step_size, factor);
  }

 private:
  // 1 - beta^t; the power by pow or as a running product
  static Bounded rest(double beta, const BoundedStep& step) {
    const auto t = double(step.t);
    const Bounded power = step.arithmetic.scalars().rounded({std::pow(beta, t)}, t == 1 ? 0 : t + 4);
    return step.arithmetic.scalars().difference({1}, power);
  }

  double beta1_;
  std::optional<double> beta2_;
};

class Decay final : public BoundedTransform {
 public:
  explicit Decay(const reference::WeightDecayOptions& options) : options_(options) {}
  void apply(BoundedStep& step) override {
    if (options_.weight_decay == 0) return;
    const PeerArithmetic& a = step.arithmetic;
    const TypeRounding& s = a.scalars();
    using reference::DecayScale;
    // A step size that depends on the parameter is a tensor's number, the others are scalars.
    const Bounded lambda{options_.weight_decay};
    const Bounded amount = options_.by == DecayScale::step_size
                               ? a.values().product(a.at_use(lambda), step.step_size)
                               : s.product(lambda, options_.by == DecayScale::lr ? Bounded{options_.lr} : step.rho);
    const Bounded keep = a.at_use({1 - amount.value, amount.error});
    step.decay_acted = keep.value != 1;
    for (Bounded& p : step.parameter) {
      const Bounded kept = a.values().product(p, keep);
      p = a.stored(kept, step.types.parameter);
    }
  }

 private:
  reference::WeightDecayOptions options_;
};

class WithGradient final : public BoundedTransform {
 public:
  explicit WithGradient(double weight_decay) : weight_decay_(weight_decay) {}
  // g <- g + lambda p
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const Bounded lambda = a.at_use({weight_decay_});
    gradient_.resize(step.gradient->size());
    for (size_t i = 0; i < gradient_.size(); ++i)
      gradient_[i] = a.values().sum((*step.gradient)[i], a.values().product(lambda, step.parameter[i]));
    step.decay_acted = weight_decay_ != 0;
    step.gradient = step.update = &gradient_;
  }

 private:
  double weight_decay_;
  BoundedVector gradient_;
};

// Where the sign of u g is open, so is whether u counts.
class Cautious final : public BoundedTransform {
 public:
  void apply(BoundedStep& step) override {
    const TypeRounding& r = step.arithmetic.values();
    const BoundedVector& g = *step.gradient;
    double certain = 0, open = 0, agreeing = 0;
    update_.resize(step.update->size());
    for (size_t i = 0; i < update_.size(); ++i) {
      const Bounded u = (*step.update)[i];
      const double product = u.value * step.scale.value * g[i].value;
      const bool decided = std::fabs(u.value) > u.error && std::fabs(g[i].value) > g[i].error;
      update_[i] = product > 0 ? u : Bounded{0};
      agreeing += product > 0;
      if (decided) {
        certain += product > 0;
      } else if (!(u.exactly(0) || g[i].exactly(0))) {
        open += 1;
        update_[i].error = u.magnitude();
      }
    }
    const auto n = double(update_.size());
    const double floor = reference::Caution::kSmallestShare;
    const double share = std::max(agreeing / n, floor), low = std::max(certain / n, floor),
                 high = std::max((certain + open) / n, floor);
    step.set_update(update_);
    step.scale = r.quotient(step.scale, r.rounded({share, std::max(share - low, high - share)}, 2));
  }

 private:
  BoundedVector update_;
};

class WithUpdate final : public BoundedTransform {
 public:
  explicit WithUpdate(double weight_decay) : weight_decay_(weight_decay) {}
  // u <- u + lambda p
  void apply(BoundedStep& step) override {
    const PeerArithmetic& a = step.arithmetic;
    const Bounded lambda = a.at_use({weight_decay_});
    update_.resize(step.update->size());
    for (size_t i = 0; i < update_.size(); ++i)
      update_[i] = a.values().sum(step.element(i), a.values().product(lambda, step.parameter[i]));
    step.decay_acted = weight_decay_ != 0;
    step.set_update(update_);
    step.scale = {1};
  }

 private:
  double weight_decay_;
  BoundedVector update_;
};

class Descent final : public BoundedTransform {
 public:
  // p <- p - u
  void apply(BoundedStep& step) override {
    for (size_t i = 0; i < step.parameter.size(); ++i) {
      const Bounded u = step.element(i);
      Bounded& p = step.parameter[i];
      p = step.arithmetic.stored({p.value - u.value, p.error + u.error}, step.types.parameter);
    }
  }
};

class Growth final : public BoundedTransform {
 public:
  explicit Growth(const reference::LimiterOptions& options) : options_(options) {}
  void apply(BoundedStep& step) override {
    const TypeRounding& r = step.arithmetic.values();
    step.rms_before_limiter = step.update_rms();
    if (options_.zero_nonfinite && !std::isfinite(step.rms_before_limiter.value)) {
      nothing_.assign(step.update->size(), {});
      step.set_update(nothing_);
      step.scale = {1};
      step.rms_before_limiter = {};
    }
    const Bounded norm = r.product(r.root(step.square_sum()), {std::fabs(step.scale.value), step.scale.error});
    const Bounded limiter = bounded_limiter(step, options_.margin, options_.record_below, norm, previous_[0]);
    step.limiter_acted = limiter.value > 1;
    step.scale = r.quotient(step.scale, limiter);
  }
  BoundedVector* state(Slot slot) override { return slot == Slot::previous_norm ? &previous_ : nullptr; }

 private:
  reference::LimiterOptions options_;
  BoundedVector previous_{1}, nothing_;
};

class Factor final : public BoundedTransform {
 public:
  explicit Factor(double factor) : factor_(factor) {}
  void apply(BoundedStep& step) override {
    // a root of an option, in scalars
    const Bounded factor =
        factor_ == 1 ? Bounded{1} : step.arithmetic.at_use(step.arithmetic.scalars().rounded({factor_}));
    step.scale = step.arithmetic.values().product(step.scale, factor);
  }

 private:
  double factor_;
};

class Sign final : public BoundedTransform {
 public:
  void apply(BoundedStep& step) override {
    negated_.resize(step.gradient->size());
    for (size_t i = 0; i < negated_.size(); ++i) negated_[i] = {-(*step.gradient)[i].value, (*step.gradient)[i].error};
    step.gradient = step.update = &negated_;
  }

 private:
  BoundedVector negated_;
};

class Policy final : public BoundedTransform {
 public:
  explicit Policy(const reference::NonfinitePolicy& of) : policy_(of.policy()), limit_(of.limit()) {}
  void apply(BoundedStep& step) override {
    cleaned_ = *step.gradient;
    bool offended = false;
    for (Bounded& g : cleaned_)
      if (!(std::fabs(g.value) < limit_)) {
        offended = true;
        g = {};
      }
    if (!offended || policy_ == reference::Nonfinite::propagate) return;
    step.skipped = policy_ == reference::Nonfinite::skip;
    if (!step.skipped) step.gradient = step.update = &cleaned_;
  }

 private:
  reference::Nonfinite policy_;
  double limit_;
  BoundedVector cleaned_;
};

// Every step is the first.
class First final : public BoundedTransform {
 public:
  explicit First(const reference::FirstAgain& of) {
    for (const auto& transform : of.chain()) chain_.push_back(make_bounded(*transform));
  }
  void apply(BoundedStep& step) override {
    BoundedStep first = step;
    first.t = 1;
    for (const auto& transform : chain_) {
      transform->apply(first);
      if (first.skipped) break;
    }
    step.skipped = first.skipped;
    step.clip_acted |= first.clip_acted;
    step.limiter_acted |= first.limiter_acted;
    step.decay_acted |= first.decay_acted;
  }
  BoundedVector* state(Slot slot) override {
    for (const auto& transform : chain_)
      if (BoundedVector* found = transform->state(slot)) return found;
    return nullptr;
  }

 private:
  std::vector<std::unique_ptr<BoundedTransform>> chain_;
};

// Sums that another transform takes on the way.
class Nothing final : public BoundedTransform {
 public:
  void apply(BoundedStep&) override {}
};

}  // namespace

Bounded BoundedStep::square_sum() const {
  BoundedSum squares;
  for (const Bounded& x : *update) squares.add(arithmetic.values().square(x));
  return arithmetic.total(squares);
}

Bounded BoundedStep::update_rms() const {
  return arithmetic.values().product(rms_of(arithmetic, *update), {std::fabs(scale.value), scale.error});
}

Bounded bounded_limiter(const BoundedStep& step, double margin, double record_below, Bounded norm, Bounded& previous) {
  const PeerArithmetic& a = step.arithmetic;
  const TypeRounding& r = a.values();
  Bounded limiter{1};
  const bool below = previous.value < record_below;
  const double distance = std::fabs(previous.value - record_below);
  if (step.t > 1 && record_below > 0 && !(previous.error < distance)) {
    limiter = {below ? 1 : norm.value / (previous.value + 1e-8) / (1 + margin), TypeRounding::kAnything};
  } else if (step.t > 1 && !below) {
    const Bounded growth = r.quotient(norm, r.sum(previous, a.at_use({1e-8})));
    limiter = at_least({1}, r.quotient(growth, a.at_use(a.scalars().rounded({1 + margin}))));
  }
  const Bounded limited = r.quotient(norm, limiter);
  previous = a.stored(limited, step.types.of(reference::Slot::previous_norm));
  return limiter;
}

std::unique_ptr<BoundedTransform> make_bounded_scaling(const reference::Transform& transform) {
  if (const auto* t = dynamic_cast<const reference::ClipByRms*>(&transform)) return std::make_unique<Clip>(*t);
  if (const auto* t = dynamic_cast<const reference::StepSize*>(&transform)) return std::make_unique<Size>(t->options());
  if (const auto* t = dynamic_cast<const reference::BiasCorrection*>(&transform))
    return std::make_unique<Correction>(*t);
  if (const auto* t = dynamic_cast<const reference::WeightDecay*>(&transform))
    return std::make_unique<Decay>(t->options());
  if (const auto* t = dynamic_cast<const reference::CoupledDecay*>(&transform))
    return std::make_unique<WithUpdate>(t->weight_decay());
  if (const auto* t = dynamic_cast<const reference::GradientDecay*>(&transform))
    return std::make_unique<WithGradient>(t->weight_decay());
  if (dynamic_cast<const reference::Caution*>(&transform)) return std::make_unique<Cautious>();
  if (dynamic_cast<const reference::Descend*>(&transform)) return std::make_unique<Descent>();
  if (const auto* t = dynamic_cast<const reference::Limiter*>(&transform))
    return std::make_unique<Growth>(t->options());
  if (const auto* t = dynamic_cast<const reference::Scale*>(&transform)) return std::make_unique<Factor>(t->factor());
  if (dynamic_cast<const reference::Negate*>(&transform)) return std::make_unique<Sign>();
  if (const auto* t = dynamic_cast<const reference::NonfinitePolicy*>(&transform)) return std::make_unique<Policy>(*t);
  if (const auto* t = dynamic_cast<const reference::FirstAgain*>(&transform)) return std::make_unique<First>(*t);
  // a peer's momentum is recorded as values: it has no steps
  if (dynamic_cast<const reference::SquareSums*>(&transform) || dynamic_cast<const reference::Resolution*>(&transform))
    return std::make_unique<Nothing>();
  return nullptr;
}

std::unique_ptr<BoundedTransform> make_bounded(const reference::Transform& transform, const SlotNames& slots) {
  if (auto made = make_bounded_statistics(transform, slots)) return made;
  if (auto made = make_bounded_scaling(transform)) return made;
  if (auto made = make_bounded_low_rank(transform)) return made;
  throw std::logic_error("a transform without an error bound");
}

}  // namespace plumbline::harness
