#include "reference/dialects/describe.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <stdexcept>

#include "reference/dialects/dialect.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/caution.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/combined_confidence.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/coupled_decay.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/first_again.h"
#include "reference/transforms/full_confidence.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/gradient_decay.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/negate.h"
#include "reference/transforms/nonfinite.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/projected_residual.h"
#include "reference/transforms/projected_scaling.h"
#include "reference/transforms/projected_update.h"
#include "reference/transforms/resolution.h"
#include "reference/transforms/running_maximum.h"
#include "reference/transforms/scale.h"
#include "reference/transforms/square_sums.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

using option_text::concat;

// Powers of two below a thousandth as such.
std::string number(double x) {
  int exponent = 0;
  if (x > 0 && x < 1e-3 && std::frexp(x, &exponent) == 0.5) return "2^" + std::to_string(exponent - 1);
  return option_text::print(x);
}

std::string chain_of(std::span<const std::unique_ptr<Transform>> chain) {
  std::string out;
  for (const auto& transform : chain) {
    const std::string text = describe(*transform);
    if (!text.empty()) out += (out.empty() ? "" : " · ") + text;
  }
  return out;
}

std::string weight_of(const DecaySchedule& s) {
  std::string out = s.beta2 ? "w = 1 − " + number(*s.beta2) : "w = t^" + number(s.exponent);
  if (s.offset != 0) out += " from step " + std::to_string(s.offset + 1);
  if (s.cap) out += ", at least 1 − " + number(*s.cap);
  return out + (s.float32 ? " in float32" : "");
}

std::string start_of(const AverageStart& s) {
  std::string out;
  if (s.every > 0) out += ", anew every " + (s.every == 1 ? std::string("step") : std::to_string(s.every) + " steps");
  if (s.whole) out += ", the first whole";
  if (s.without_eps1) out += ", the first without eps1";
  if (s.floor > 0) out += ", the first ≥ " + number(s.floor);
  return out;
}

std::string eps_of(double eps1) { return eps1 > 0 ? ", eps1 " + number(eps1) : ""; }

std::string words(const FactoredMoment& t) {
  const FactoredMomentOptions& o = t.options();
  const std::string name = o.normalizer == Normalizer::mean ? "mean R" : "Σ R";
  std::string out = "R, C: " + weight_of(o.schedule) + eps_of(o.eps1) + start_of(o.start);
  if (o.normalizer == Normalizer::sum) out += ", V̂ = RC/Σ R";
  if (o.normalizer_floor > 0) out += concat({", ", name, " ≥ ", number(o.normalizer_floor)});
  if (o.factor_floor > 0) out += ", R, C ≥ " + number(o.factor_floor);
  return out;
}
std::string words(const FullMoment& t) {
  const FullMomentOptions& o = t.options();
  return "V: " + weight_of(o.schedule) + eps_of(o.eps1) + start_of(o.start);
}
std::string words(const Precondition& t) {
  const PreconditionOptions& o = t.options();
  std::string root = o.floor > 0 ? concat({"max(V̂, ", number(o.floor), ")"}) : "V̂";
  if (o.inside > 0) root = concat({"(", root, " + ", number(o.inside), ")"});
  root = "√" + root;
  if (o.eps > 0) {
    const std::string eps = number(o.eps) + (o.eps_beta ? concat({"·√(1 − ", number(*o.eps_beta), "^t)"}) : "");
    root = concat({"(", root, " + ", eps, ")"});
  }
  return "u = x/" + root + (o.overwrites ? ", left in V" : "");
}
std::string words(const Momentum& t) {
  std::string out = "M: " + number(t.beta1()) + start_of(t.options().start);
  return t.options().unit > 0 ? out + ", kept to " + number(t.options().unit) : out;
}
std::string words(const ClipByRms& t) {
  return concat({"clip to ", number(t.threshold()), t.on() == ClipOn::before_limiter ? " by the norm before" : "",
                 t.nan() == NanRatio::is_one ? ", NaN is 1" : ""});
}
std::string words(const Limiter& t) {
  const LimiterOptions& o = t.options();
  std::string out = "limiter γ = " + number(o.margin);
  if (std::isinf(o.record_below)) return out + ", which only records";
  if (o.record_below > 0) out += concat({", below ", number(o.record_below), " only records"});
  return out + (o.zero_nonfinite ? ", NaN is no update" : "");
}
std::string words(const StepSize& t) {
  const StepSizeOptions& o = t.options();
  std::string rho = number(o.lr);
  if (o.relative) rho = concat({"min(", o.warmup ? number(*o.warmup) + "·t" : rho, ", 1/√t)"});
  if (!o.scale_parameter) return "α = " + rho;
  return concat({"α = ", rho, "·max(", number(o.eps2), ", RMS p)", o.nan_is_floor ? ", NaN is the floor" : ""});
}
std::string words(const WeightDecay& t) {
  const WeightDecayOptions& o = t.options();
  if (o.weight_decay == 0) return "";
  const std::string by = o.by == DecayScale::lr ? number(o.lr) : o.by == DecayScale::rho ? "ρ" : "α";
  return concat({"p(1 − ", number(o.weight_decay), "·", by, ")"});
}
std::string words(const BiasCorrection& t) {
  const std::string below = concat({"/(1 − ", number(t.beta1()), "^t)"});
  return t.beta2() ? concat({"× √(1 − ", number(*t.beta2()), "^t)", below}) : "× 1" + below;
}
std::string confidence_words(double beta1, double beta3, double eps, double normalizer_floor, double floor,
                             std::string_view rest) {
  std::string out = concat({"confidence: M ", number(beta1), ", S ", number(beta3), eps_of(eps)});
  if (normalizer_floor > 0) out += ", mean S ≥ " + number(normalizer_floor);
  if (floor > 0) out += ", S ≥ " + number(floor);
  return out + std::string(rest);
}
std::string words(const Confidence& t) {
  const FactoredMomentOptions& o = t.instability().options();
  return confidence_words(t.momentum().beta1(), *o.schedule.beta2, o.eps1, o.normalizer_floor, o.factor_floor,
                          t.overwrites() ? ", left in M" : "");
}
std::string words(const FullConfidence& t) {
  const FullMomentOptions& o = t.instability().options();
  return confidence_words(t.momentum().beta1(), *o.schedule.beta2, o.eps1, 0, t.division().options().floor,
                          t.overwrites() ? ", not factored, left in M" : ", not factored");
}
std::string words(const CombinedConfidence& t) {
  const CombinedConfidenceOptions& o = t.options();
  return confidence_words(o.beta1, o.beta3, 0, o.normalizer_floor, o.floor, ", of M of g, times R and C");
}
std::string low_rank_words(const LowRank& low) {
  return concat({"[", chain_of(low.chain()), low.overwritten_by() > 0 ? ", left in G_low" : "", "]"});
}
std::string words(const ProjectedScaling& t) {
  return concat({"G_low ", low_rank_words(t.low_rank()), " · u = s ⊙ g per ",
                 t.type() == ScaleType::tensor ? "tensor" : "channel"});
}
std::string words(const ProjectedResidual& t) {
  return concat({"G_low ", low_rank_words(t.low_rank()), " · u = back(N) + limited ((g − back(G_low)) ⊙ s)"});
}
std::string words(const ProjectedUpdate& t) {
  return concat({"G_low ", low_rank_words(t.low_rank()), " · u = back(N), times ",
                 number(t.low_rank().projection().options().alpha)});
}
std::string words(const NonfinitePolicy& t) {
  return t.policy() == Nonfinite::zero ? "NaN is 0" : t.policy() == Nonfinite::skip ? "NaN skips" : "";
}

template <class T>
bool words_of(const Transform& transform, std::string& out) {
  const auto* typed = dynamic_cast<const T*>(&transform);
  if (typed) out = words(*typed);
  return typed != nullptr;
}
template <class... T>
bool any_words_of(const Transform& transform, std::string& out) {
  return (words_of<T>(transform, out) || ...);
}

}  // namespace

std::string describe(const Transform& transform) {
  std::string out;
  if (any_words_of<FactoredMoment, FullMoment, Precondition, Momentum, ClipByRms, Limiter, StepSize, WeightDecay,
                   BiasCorrection, Confidence, FullConfidence, CombinedConfidence, ProjectedScaling, ProjectedResidual,
                   ProjectedUpdate, NonfinitePolicy>(transform, out))
    return out;
  if (dynamic_cast<const Negate*>(&transform)) return "−g";
  if (dynamic_cast<const Descend*>(&transform)) return "p − u";
  if (dynamic_cast<const SquareSums*>(&transform)) return "";
  if (dynamic_cast<const Resolution*>(&transform)) return "V̂ ≥ what the codes of M resolve";
  if (dynamic_cast<const Caution*>(&transform)) return "u where u g > 0";
  if (dynamic_cast<const RunningMaximum*>(&transform)) return "V̂ = largest V";
  if (const auto* t = dynamic_cast<const Scale*>(&transform)) return t->factor() == 1 ? "" : "× " + number(t->factor());
  if (const auto* t = dynamic_cast<const CoupledDecay*>(&transform)) return "u + " + number(t->weight_decay()) + " p";
  if (const auto* t = dynamic_cast<const GradientDecay*>(&transform)) return "g + " + number(t->weight_decay()) + " p";
  if (const auto* t = dynamic_cast<const FirstAgain*>(&transform))
    return concat({"every step the first: ", chain_of(t->chain())});
  throw std::logic_error("a transform without words");
}

std::string describe(const Optimizer& optimizer) { return chain_of(optimizer.chain()); }

}  // namespace plumbline::reference
