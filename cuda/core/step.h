// The scalars of one step of one tensor: double algebra, each rounded once where it meets float32. begin_step needs the
// clock, finish_step the sums; with momentum of the update and a limiter the norm of M comes last, in finish_limit. All
// run wherever the step runs.
#pragma once
#include "cuda/core/average.h"
#include "cuda/core/bias.h"
#include "cuda/core/limiter.h"
#include "cuda/core/mutant.h"
#include "cuda/core/number.h"
#include "cuda/core/power.h"
#include "cuda/core/resolution.h"
#include "cuda/core/update.h"

namespace plumbline::core {

// Options of one tensor as the arithmetic reads them, with what its path leaves of them.
struct Hyper {
  double beta2_decay;       // w_t = t^beta2_decay, unless fixed_weight
  double beta2;             // w = 1 - beta2 when fixed_weight
  double eps2;              // floor of RMS(p)
  double clip;              // d; 0: off
  double weight_decay;      // lambda
  double beta1;             // of the bias correction
  double limiter_margin;    // when `limiter`
  double projection_scale;  // its root multiplies the update
  float eps1;
  float b1, c1;               // fl(beta1), fl(1 - beta1)
  float levels;               // H of the codes of a momentum that is divided; 0 without
  Weights<float> confidence;  // fl(1 - beta3), fl(beta3), fl(eps_came)
  float projection_eps;
  bool fixed_weight;
  bool relative_step;
  bool scale_parameter;
  bool carried;      // take sum p^2 from the previous step where there was one
  bool decay_by_lr;  // keep = 1 - lambda lr, else 1 - lambda alpha
  bool maximize;
  bool momentum;            // there is a first moment: of the gradient (projected: the low-rank one),
  bool momentum_of_update;  // or of the clipped update
  bool has_confidence;      // CAME
  bool correct_bias;
  bool limiter;
  bool scale_first;      // sum u^2 has projection_scale in it
  bool scale_by_tensor;  // one s for all channels
  bool projection_factored;
};

// For a carried sum: the next step has to form it.
constexpr double kUnknownSum = -1.0;

// A tensor's clock, in state: it moves only when a step is committed.
struct TensorClock {
  int64_t t;             // steps taken
  double parameter_sum;  // sum p^2 after step t, or kUnknownSum; used when `carried` and t > 0
  double previous_norm;  // limiter: norm of the last limited update; 0: none yet
  uint32_t writes;       // of each slot so far: what stochastic roundings count, imports included
  uint32_t unused;
};

// Scratch of one tensor's step; what is known afterwards is what a StepRecord shows.
struct StepScalars {
  Weights<float> weights;
  Weights<float> confidence;  // those of the confidence
  float multiplier;           // of the gradient
  float keep;                 // 1 - lambda k
  float full_step;            // `applied` rounded once: step of the full path, and of momentum of the update
  float inverse_clip;         // 1/clip, rounded once
  float resolution;           // b/H, rounded once: core/resolution.h; 0 without
  int32_t reads_parameter;    // sum p^2 has to be formed before the update
  int32_t skipped;            // the non-finite policy left this tensor as it was
  uint32_t writes;            // of each slot before this step
  int64_t step;               // t of this step
  int64_t nonfinite;          // gradient elements under the non-finite policy: counted before finish_step
  double lr, rho;
  double bias;           // sqrt(1 - W_t)/(1 - beta1^t); 1 where none is corrected
  double parameter_sum;  // sum p^2 before the step
  double parameter_rms;  // NaN where no option needs it
  double update_rms;     // before the clip; NaN where neither clip nor limiter needs it
  double clip;           // max(1, RMS(u)/d)
  double alpha;          // step size
  double previous_norm;  // from the clock
  double update_norm;    // after clip, momentum and confidence; NaN without a limiter
  double limiter;        // l >= 1: the norm's divisor
  double limited_norm;   // update_norm/l, for the clock
  double applied;        // alpha bias/(clip l), negative when maximizing: p <- p keep - applied u
  double channel_step;   // applied sqrt(projection_scale)
};

// w_t and 1 - w_t in double, then rounded once each.
PLUMBLINE_HD PowerResult decay_weight(const Hyper& h, int64_t t) {
  if (h.fixed_weight) return {1.0 - h.beta2, h.beta2};
  if (is_mutant(Mutant::schedule_ends) && t > 999) return decay_power(999.0, h.beta2_decay);
  if (is_mutant(Mutant::weight_ahead)) return decay_power(double(t + 1), h.beta2_decay);
  if (is_mutant(Mutant::weight_behind) && t > 1) return decay_power(double(t - 1), h.beta2_decay);
  return decay_power(double(t), h.beta2_decay);
}
template <class F>
PLUMBLINE_HD Weights<F> round_weights(PowerResult w, float eps1) {
  return {F(w.w), F(w.one_minus_w), F(eps1)};
}

// What the bias of both averages calls for; a schedule's weights start from w_1 = 1 and have none.
PLUMBLINE_HD double bias_correction(const Hyper& h, int64_t t) {
  if (!h.correct_bias || is_mutant(Mutant::bias_missing)) return 1.0;
  if (is_mutant(Mutant::bias_ends) && t > 100) return 1.0;
  const int64_t steps = is_mutant(Mutant::bias_ahead) ? t + 1 : t;
  const bool corrects_second = h.fixed_weight && !is_mutant(Mutant::bias_of_first_moment_only);
  const double second = corrects_second ? sqrt(one_minus_power(h.beta2, steps)) : 1.0;
  return second / one_minus_power(h.beta1, steps);
}

// The gradient's multiplier for a scaled loss; NaN, so that every element falls under the non-finite policy, where the
// scale or its inverse is not positive and finite.
PLUMBLINE_HD float multiplier_of_scale(float scale) {
  const float infinity = from_bits(0x7f800000u), inverse = 1.0f / scale;
  return scale > 0.0f && scale < infinity && inverse < infinity ? inverse : canonical_nan();
}

PLUMBLINE_HD StepScalars begin_step(const Hyper& h, const TensorClock& clock, double lr, float multiplier) {
  StepScalars s = {};
  s.step = is_mutant(Mutant::clock_in_float32) ? int64_t(float(clock.t) + 1.0f) : clock.t + 1;
  s.writes = clock.writes;
  s.multiplier = is_mutant(Mutant::gradient_scale_ignored) ? 1.0f : multiplier;
  s.weights = round_weights<float>(decay_weight(h, s.step), h.eps1);
  s.confidence = h.confidence;
  if (is_mutant(Mutant::confidence_weights_swapped))
    s.confidence = {h.confidence.old_weight, h.confidence.w, h.confidence.eps1};
  if (is_mutant(Mutant::confidence_eps_missing)) s.confidence.eps1 = 0.0f;
  if (clock.t == 0) {  // V_0 = 0, also where a storage has no code for it
    s.weights.old_weight = 0.0f;
    s.confidence.old_weight = 0.0f;
  }
  s.lr = lr;
  // rho_t = lr, or min(lr, 1/sqrt(t))
  const double relative = 1.0 / sqrt(double(is_mutant(Mutant::relative_step_ahead) ? s.step + 1 : s.step));
  s.rho = h.relative_step && (relative <= lr) != is_mutant(Mutant::relative_step_inverted) ? relative : lr;
  s.bias = perturbed(PerturbedStage::bias, bias_correction(h, s.step));
  s.resolution = resolution_unit(s.bias, h.levels);
  s.previous_norm = clock.previous_norm;
  const bool stored = h.carried && clock.t > 0 && clock.parameter_sum != kUnknownSum;
  s.reads_parameter = h.scale_parameter && !stored;
  s.parameter_sum = stored ? clock.parameter_sum : 0.0;
  return s;
}

// max(floor, x); NaN if x is.
PLUMBLINE_HD double floored(double x, double floor) { return x <= floor ? floor : x; }
PLUMBLINE_HD double root_mean(double sum, int64_t count) { return sqrt(sum / double(count)); }

// From the norm of the update that the limiter sees (any value without one) to the step of every path.
PLUMBLINE_HD void finish_limit(const Hyper& h, double norm, StepScalars& s) {
  s.update_norm = h.limiter ? canonical(perturbed(PerturbedStage::update_norm, norm)) : canonical_nan64();
  s.limiter = h.limiter ? canonical(limiter(s.update_norm, s.previous_norm, h.limiter_margin)) : 1.0;
  s.limiter = perturbed(PerturbedStage::limiter, s.limiter);
  s.limited_norm = h.limiter ? canonical(s.update_norm / s.limiter) : 0.0;
  if (is_mutant(Mutant::limiter_unlimited_norm)) s.limited_norm = s.update_norm;
  // with momentum of the update the clip is in what it averaged
  const bool clipped = h.momentum_of_update && !is_mutant(Mutant::clip_after_momentum);
  s.applied = s.alpha * s.bias / (clipped ? s.limiter : s.clip * s.limiter);
  if (h.maximize && !is_mutant(Mutant::maximize_ignored)) s.applied = -s.applied;
  s.full_step = float(s.applied);
  s.channel_step =
      s.applied * (is_mutant(Mutant::projection_scale_unrooted) ? h.projection_scale : sqrt(h.projection_scale));
}

// From s.nonfinite, s.parameter_sum and sum u^2 over `size` elements to what the update needs; with momentum of the
// update and a limiter all but the step, for which finish_limit follows with the norm of M or M/sqrt(S).
PLUMBLINE_HD void finish_step(const Hyper& h, int64_t size, double update_sum, bool skip_nonfinite, StepScalars& s) {
  const double none = canonical_nan64();
  s.skipped = skip_nonfinite && s.nonfinite > 0 && !is_mutant(Mutant::skip_ignored);
  s.parameter_rms = h.scale_parameter ? canonical(root_mean(s.parameter_sum, size)) : none;
  if (is_mutant(Mutant::parameter_norm_for_rms) && h.scale_parameter) s.parameter_rms = sqrt(s.parameter_sum);
  if (is_mutant(Mutant::rms_after_decay)) s.parameter_rms *= 1.0 - h.weight_decay * s.lr;
  s.parameter_rms = perturbed(PerturbedStage::parameter_rms, s.parameter_rms);
  // alpha_t = rho_t max(eps2, RMS(p))
  s.alpha = h.scale_parameter ? canonical(s.rho * floored(s.parameter_rms, h.eps2)) : s.rho;
  if (is_mutant(Mutant::eps2_added) && h.scale_parameter) s.alpha = s.rho * (h.eps2 + s.parameter_rms);
  if (is_mutant(Mutant::eps2_missing) && h.scale_parameter) s.alpha = s.rho * s.parameter_rms;
  s.alpha = perturbed(PerturbedStage::step_size, s.alpha);
  const bool limits_here = h.limiter && !h.momentum_of_update;
  s.update_rms = h.clip > 0.0 || limits_here ? canonical(root_mean(update_sum, size)) : none;
  if (is_mutant(Mutant::clip_of_norm) && h.clip > 0.0) s.update_rms = sqrt(update_sum);
  s.update_rms = perturbed(PerturbedStage::update_rms, s.update_rms);
  s.clip = h.clip > 0.0 ? canonical(floored(s.update_rms / h.clip, 1.0)) : 1.0;
  if (is_mutant(Mutant::clip_inverted) && h.clip > 0.0) s.clip = floored(h.clip / s.update_rms, 1.0);
  if (is_mutant(Mutant::clip_missing)) s.clip = 1.0;
  s.clip = perturbed(PerturbedStage::clip, s.clip);
  s.inverse_clip = canonical(float(1.0 / s.clip));
  const bool decay_by_lr = h.decay_by_lr != is_mutant(Mutant::decay_by_other_scale);
  s.keep = h.weight_decay > 0.0 ? canonical(float(1.0 - h.weight_decay * (decay_by_lr ? s.lr : s.alpha))) : 1.0f;
  if (is_mutant(Mutant::decay_missing)) s.keep = 1.0f;
  s.keep = perturbed(PerturbedStage::keep, s.keep);
  const double clip = is_mutant(Mutant::limiter_before_clip) ? 1.0 : s.clip;
  finish_limit(h, limits_here ? sqrt(update_sum) / clip : 0.0, s);
}
// Whether the norm that the limiter sees is still to come then.
PLUMBLINE_HD bool limits_later(const Hyper& h) { return h.limiter && h.momentum_of_update; }

// The sum p^2 that the next step starts from: state, so every NaN is the canonical one.
PLUMBLINE_HD void carry_norm(TensorClock& clock, double sum) {
  if (is_mutant(Mutant::carried_stale) && clock.t > 1) return;
  clock.parameter_sum = canonical(sum);
}
// The clock after the step; a carried sum p^2 apart.
PLUMBLINE_HD void commit_step(const Hyper& h, const StepScalars& s, TensorClock& clock) {
  clock.t = s.step;
  clock.writes = s.writes + 1u;
  if (h.limiter) clock.previous_norm = s.limited_norm;
}

}  // namespace plumbline::core
