// Where there is no gradient nothing moves, whatever lies beside it and however it is stored.
#include <algorithm>
#include <cmath>
#include <string>

#include "harness/contracts/bounds.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Observation;
using harness::Problem;
using harness::Rounding;
using harness::Storage;

constexpr int64_t kForgotten = 400;  // steps: a code k of momentum lives that long with probability k beta1^400
constexpr int64_t kAfter = 3;        // steps that are watched from there on

bool coded(const Problem& p) {
  const Storage s = p.keeping(reference::Slot::momentum).storage;
  return p.options.beta1 && (s == Storage::uf8 || s == Storage::uf4);
}

// What a momentum of the update that is dithered may be read as where there never was a gradient. A store reads M up to
// half a step q of its block away, and the next step carries that on: a_t = beta1 a_{t-1} + q_t/2, of which the step
// uses a_t. Before the first it is half a step of the least scale.
class Residue {
 public:
  explicit Residue(const Problem& p)
      : acts_(coded(p) && p.momentum_rounding == Rounding::dither),
        beta1_(p.options.beta1.value_or(0)),
        half_step_(p.momentum_storage == Storage::uf8 ? 1.0 / 251 : 1.0 / 11),
        read_(0x1p-100 * half_step_) {}

  // After a step. Roundings of position and offset, 4 u (D + 1) with D = beta1 a/q, and of what is decoded and carried
  // on add less than 2^-20 of a_t.
  double after(const Observation& seen) {
    if (!acts_) return 0;
    double largest = 0;
    for (const harness::SlotState& slot : seen.state)
      if (slot.slot == reference::Slot::momentum)
        for (const float s : slot.scales) largest = std::max(largest, double(s));
    return read_ = (beta1_ * read_ + largest * half_step_) * (1 + 0x1p-20);
  }

 private:
  bool acts_;
  double beta1_, half_step_, read_;
};

// Which elements have no gradient: one, a column, a row, a run of 64.
struct Dead {
  int kind;
  int64_t place, cols, count;
  bool operator()(int64_t i) const {
    switch (kind) {
      case 0:
        return i == place;
      case 1:
        return i % cols == place % cols;
      case 2:
        return i / cols == place / cols;
      default:
        return i / 64 == place / 64;
    }
  }
};

Problem draw(bool died) {
  return *problems(
      [died](Problem& p) {
        if (p.data.regime == harness::Regime::subnormal || p.data.regime == harness::Regime::nonfinite)
          p.data.regime = harness::Regime::gaussian;
        p.options.nonfinite = reference::Nonfinite::zero;
        p.options.weight_decay = 0.25;
        p.options.lr = 1e-2;
        p.parameter_rounding = Rounding::nearest;
        p.min_quantized_size = 0;
        // s = |N|/|G_low| of a sum that cancels beside a momentum that does not: of any size
        if (p.options.projection_rank > 0 && p.options.clip == 0) p.options.clip = 1;
        if (!died) return;
        // Codes that are let go of: of what is divided, so that every rounding lets go; gradients that go on as they
        // are.
        p.options.projection_rank = 0;
        p.options.momentum_of = reference::MomentumOf::gradient;
        p.options.beta3.reset();
        p.options.beta1 = std::min(p.options.beta1.value_or(0.9), 0.9);
        if (p.momentum_storage != Storage::uf4) p.momentum_storage = Storage::uf8;
        p.momentum_rounding = Rounding::stochastic;
        p.data.regime = harness::Regime::gaussian;
        p.shape.back() = std::max<int64_t>(p.shape.back(), 2);
        p.steps = 1;
      },
      died ? 256 : 1024);
}

// p' = rnd(p keep), but for what a dithered momentum may be read as.
void expect_decay(const Problem& p, const Observation& seen, const std::vector<double>& before,
                  const std::vector<double>& after, const Dead& dead, double residue) {
  const double reach = residue > 0 ? seen.step_size.value_or(HUGE_VAL) * seen.bias.value_or(1) * residue : 0;
  for (int64_t i = 0; i < dead.count; ++i) {
    if (!dead(i)) continue;
    const double kept = harness::round_to(p.parameter, double(float(before[size_t(i)]) * seen.keep.value_or(1)));
    if (reach > 0) {
      const double ulps = 2 * harness::unit_roundoff(p.parameter) * (std::fabs(kept) + reach);
      RC_ASSERT(std::fabs(after[size_t(i)] - kept) <= reach * (1 + 0x1p-20) + ulps + 0x1p-24);
    } else {
      RC_ASSERT(after[size_t(i)] == kept);
    }
  }
}

const RegisterProperty kZeroGradient(
    {"zero_gradient",
     "elements, columns, rows and blocks without a gradient only decay: from the start, or 400 steps on",
     "a zero that is read as a residue, a code that outlives its gradient, a neighbour's scale or gradient",
     [](const harness::Subject& subject) {
       const bool died = *anywhere(0, 3) == 0;
       const Problem problem = draw(died);
       Inputs inputs = inputs_of(problem);
       const int64_t n = problem.elements();
       const int64_t cols = problem.shape.back();
       Dead dead{*anywhere(0, 4), *anywhere<int64_t>(0, n), cols, n};
       if (died) {  // beside a live element in every block, of 64 columns or more
         dead.kind %= 2;
         dead.place = dead.place / cols * cols + dead.place % cols % 64;
       }
       std::vector<double> before(inputs.parameter.values.data.begin(), inputs.parameter.values.data.end());
       const auto silence = [&](harness::Realized& g) {
         change_values(g, problem.gradient, [&](double x, int64_t i) { return dead(i) ? 0.0 : x; });
       };
       if (!died) {
         for (harness::Realized& g : inputs.gradients) silence(g);
         Residue residue(problem);
         for (const Observation& seen : drive(subject, problem, inputs)) {
           const auto after = parameter_of(problem, seen);
           expect_decay(problem, seen, before, after, dead, residue.after(seen));
           before = after;
         }
         std::string stored = "never had one";
         if (coded(problem))
           stored += std::string(", ") + harness::to_string(problem.momentum_storage) + " " +
                     harness::to_string(problem.momentum_rounding);
         RC_TAG(stored);
         return;
       }
       const auto session = subject.start(problem, inputs.parameter.bytes);
       Observation seen;
       harness::Realized silent = inputs.gradients[0];
       silence(silent);
       session->step(inputs.gradients[0].bytes, seen);
       for (int64_t t = 1; t <= kForgotten + kAfter; ++t) {
         if (t == kForgotten) before = parameter_of(problem, seen);
         session->step(silent.bytes, seen);
         if (t < kForgotten) continue;
         const auto after = parameter_of(problem, seen);
         expect_decay(problem, seen, before, after, dead, 0);  // drawn with stochastic rounding
         before = after;
       }
       RC_TAG("let go of");
     },
     90, false, "let go of"});

}  // namespace
}  // namespace plumbline::properties
