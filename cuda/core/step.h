// The scalars of one step of one tensor: double algebra, each rounded once where it meets float32. begin_step needs the
// clock, finish_step the sums; both run wherever the step runs.
#pragma once
#include "cuda/core/average.h"
#include "cuda/core/number.h"
#include "cuda/core/power.h"
#include "cuda/core/update.h"

namespace plumbline::core {

// Options of one tensor as the arithmetic reads them.
struct Hyper {
  double beta2_decay;   // w_t = t^beta2_decay, unless fixed_weight
  double beta2;         // w = 1 - beta2 when fixed_weight
  double eps2;          // floor of RMS(p)
  double clip;          // d; 0: off
  double weight_decay;  // lambda
  float eps1;
  bool fixed_weight;
  bool relative_step;
  bool scale_parameter;
  bool carried;      // take sum p^2 from the previous step where there was one
  bool decay_by_lr;  // keep = 1 - lambda lr, else 1 - lambda alpha
  bool maximize;
};

// A tensor's clock, in state: it moves only when a step is committed.
struct TensorClock {
  int64_t t;             // steps taken
  double parameter_sum;  // sum p^2 after step t; used when `carried` and t > 0
};

// Scratch of one tensor's step; what is known afterwards is what a StepRecord shows.
struct StepScalars {
  Weights<float> weights;
  float keep;               // 1 - lambda k
  float full_step;          // step of the full path, rounded once; negative when maximizing
  int32_t reads_parameter;  // sum p^2 has to be formed before the update
  int32_t skipped;          // the non-finite policy left this tensor as it was
  int64_t step;             // t of this step
  int64_t nonfinite;        // gradient elements under the non-finite policy: counted before finish_step
  double lr, rho;
  double parameter_sum;  // sum p^2 before the step
  double parameter_rms;  // NaN where no option needs it
  double update_rms;     // NaN with the clip off
  double clip;           // max(1, RMS(u)/d)
  double alpha;          // step size
  double applied;        // alpha/clip, negative when maximizing: p <- p keep - applied u
};

// w_t and 1 - w_t in double, then rounded once each.
PLUMBLINE_HD PowerResult decay_weight(const Hyper& h, int64_t t) {
  if (h.fixed_weight) return {1.0 - h.beta2, h.beta2};
  return decay_power(double(t), h.beta2_decay);
}
template <class F>
PLUMBLINE_HD Weights<F> round_weights(PowerResult w, float eps1) {
  return {F(w.w), F(w.one_minus_w), F(eps1)};
}

PLUMBLINE_HD StepScalars begin_step(const Hyper& h, const TensorClock& clock, double lr) {
  StepScalars s = {};
  s.step = clock.t + 1;
  s.weights = round_weights<float>(decay_weight(h, s.step), h.eps1);
  if (clock.t == 0) s.weights.old_weight = 0.0f;  // V_0 = 0, also where a storage has no code for it
  s.lr = lr;
  // rho_t = lr, or min(lr, 1/sqrt(t))
  const double relative = 1.0 / sqrt(double(s.step));
  s.rho = h.relative_step && relative <= lr ? relative : lr;
  const bool stored = h.carried && clock.t > 0;
  s.reads_parameter = h.scale_parameter && !stored;
  s.parameter_sum = stored ? clock.parameter_sum : 0.0;
  return s;
}

// max(floor, x); NaN if x is.
PLUMBLINE_HD double floored(double x, double floor) { return x <= floor ? floor : x; }
PLUMBLINE_HD double root_mean(double sum, int64_t count) { return sqrt(sum / double(count)); }

// From s.nonfinite, s.parameter_sum and sum u^2 over `size` elements to everything that the update needs.
PLUMBLINE_HD void finish_step(const Hyper& h, int64_t size, double update_sum, bool skip_nonfinite, StepScalars& s) {
  const double none = canonical_nan64();
  s.skipped = skip_nonfinite && s.nonfinite > 0;
  s.parameter_rms = h.scale_parameter ? canonical(root_mean(s.parameter_sum, size)) : none;
  // alpha_t = rho_t max(eps2, RMS(p))
  s.alpha = h.scale_parameter ? canonical(s.rho * floored(s.parameter_rms, h.eps2)) : s.rho;
  s.update_rms = h.clip > 0.0 ? canonical(root_mean(update_sum, size)) : none;
  s.clip = h.clip > 0.0 ? canonical(floored(s.update_rms / h.clip, 1.0)) : 1.0;
  s.applied = s.alpha / s.clip;
  if (h.maximize) s.applied = -s.applied;
  s.full_step = float(s.applied);
  s.keep = h.weight_decay > 0.0 ? canonical(float(1.0 - h.weight_decay * (h.decay_by_lr ? s.lr : s.alpha))) : 1.0f;
}

}  // namespace plumbline::core
