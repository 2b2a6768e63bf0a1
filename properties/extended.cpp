#include "properties/extended.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::Feature;
using harness::Problem;
using harness::Regime;
using harness::Rounding;
using harness::Storage;
using reference::MomentumOf;
using reference::ScaleType;

// Neither a row nor a column, wide or tall.
std::vector<int64_t> draw_matrix(Draw& d, int64_t largest) {
  const int64_t shorter = d.between(2, int(std::clamp<int64_t>(largest / 8, 2, 40)));
  const int64_t longer = d.between(int(shorter), int(std::clamp<int64_t>(largest / shorter, shorter, 300)));
  return d.one_in(2) ? std::vector<int64_t>{shorter, longer} : std::vector<int64_t>{longer, shorter};
}
// Enough of both axes for the roundings of a few hundred values to differ.
void take_many_values(Problem& p, Draw& d, int64_t largest) {
  const int64_t cols = p.shape.back(), rows = p.shape.size() < 2 ? 1 : p.shape[p.shape.size() - 2];
  if (p.elements() >= 256 && cols > 1 && rows > 1) return;
  const int side = largest < 256 ? 8 : 16;
  p.shape = {d.between(side, largest < 1600 ? side : 40), d.between(side, largest < 1600 ? side : 40)};
}

void take_momentum(Problem& p, MomentumOf of, Draw& d) {
  p.options.beta1 = d.of({0.5, 0.9, 0.9, 0.99});
  p.options.momentum_of = of;
  p.options.projection_rank = 0;
  p.steps = std::max<int64_t>(p.steps, 2);
}

void take_confidence(Problem& p, Draw& d, int64_t largest) {
  take_momentum(p, MomentumOf::update, d);
  if (p.shape.size() < 2) p.shape = draw_matrix(d, largest);
  p.options.factored = true;
  p.options.beta3 = d.of({0.5, 0.9, 0.99, 0.999});
}

// Both orientations, ranks up to the shorter side.
void take_projection(Problem& p, Draw& d, int64_t largest) {
  auto& o = p.options;
  o.momentum_of = MomentumOf::gradient;
  o.beta3.reset();
  if (p.shape.size() < 2 || p.elements() < 4 * p.shape[0] || p.shape[0] < 2) p.shape = draw_matrix(d, largest);
  const int64_t m = p.shape[0], n = p.elements() / m;
  o.projection_rank = d.between(1, int(std::min<int64_t>({m, n, 12})));
  o.projection_refresh = d.of({200, 200, 1, 2});
  o.projection_seed = d.of({0, 1, 77});
  o.projection_factored = d.one_in(3);
  o.projection_scale_by = d.one_in(3) && std::min(m, n) >= 4 ? ScaleType::tensor : ScaleType::channel;
  p.steps = std::max<int64_t>(p.steps, 2);  // where the sums of the first cancel, the bound of a step exceeds it
}
// Of two rows an integer projection may leave nothing but zeros.
void take_many_rows(Problem& p, Draw& d, int64_t largest) {
  if (std::min(p.shape[0], p.elements() / p.shape[0]) < 4)
    p.shape = {d.between(4, 8), d.between(8, int(std::clamp<int64_t>(largest / 8, 8, 40)))};
}

// Roundings that have a bound of what they do to an update; the others are refused.
void keep_promises(Problem& p) {
  const auto& o = p.options;
  if (p.rounding == Rounding::dither) {
    if (p.storage == Storage::linear_u8 || p.storage == Storage::log_u8) p.rounding = Rounding::stochastic;
    const bool heavy = o.beta2 && *o.beta2 <= 0.95 && (!o.beta3 || *o.beta3 <= 0.95);
    if (p.storage == Storage::al8 && !heavy) p.storage = Storage::al16;
  }
  if (p.momentum_storage == Storage::bf16 && p.momentum_rounding == Rounding::dither)
    p.momentum_rounding = Rounding::stochastic;
  const bool coded = p.momentum_storage == Storage::uf8 || p.momentum_storage == Storage::uf4;
  if (o.beta1 && coded && (o.momentum_of == MomentumOf::gradient || o.beta3) &&
      (p.momentum_rounding == Rounding::dither || *o.beta1 > 0.5))
    p.momentum_rounding = Rounding::stochastic;
}

// Quantized, so that rounding has something to do.
void take_quantized(Problem& p) { p.min_quantized_size = 1; }

}  // namespace

void extend(Problem& p, Draw& d, int64_t largest) {
  auto& o = p.options;
  switch (d.below(6)) {
    case 0:
      break;
    case 1:
      take_momentum(p, MomentumOf::gradient, d);
      break;
    case 2:
      take_momentum(p, MomentumOf::update, d);
      break;
    case 3:
      take_confidence(p, d, largest);
      break;
    case 4:
      take_projection(p, d, largest);
      break;
    default:
      take_momentum(p, MomentumOf::gradient, d);
      take_projection(p, d, largest);
      break;
  }
  if (d.one_in(3)) o.limiter_margin = d.of({0.0, 0.01, 0.1, 1.0});
  o.eps_came = d.of({1e-8, 1e-8, 1e-3});
  p.momentum_storage = d.of({Storage::fp32, Storage::bf16, Storage::uf8, Storage::uf4, Storage::uf4});
  p.momentum_block = d.of({0, 0, 64, 128, 256, 1024, 2048});
  p.momentum_rounding = d.of({Rounding::nearest, Rounding::nearest, Rounding::stochastic, Rounding::dither});
  p.rounding = d.of({Rounding::nearest, Rounding::nearest, Rounding::stochastic, Rounding::dither});
  p.parameter_rounding = d.of({Rounding::nearest, Rounding::stochastic});
  if (d.one_in(6)) p.gradient_scale = d.of({0.5, 4.0, double(1 / 3.0f), double(0.1f)});
}

void aim_extended(Problem& p, Feature feature, Draw& d, int64_t largest) {
  auto& o = p.options;
  p.focus = {feature};
  const bool projection = feature >= Feature::projection && feature <= Feature::projection_seed;
  if (projection) {
    take_projection(p, d, largest);
    if (feature != Feature::projection) {  // some act by little, or by a factor that the clip takes back
      p.parameter = DType::float32;
      o.projection_scale_by = ScaleType::channel;
      o.clip = 0;
    }
  }
  switch (feature) {
    case Feature::momentum:
      if (!o.beta1) take_momentum(p, d.of({MomentumOf::gradient, MomentumOf::update}), d);
      p.steps = std::max<int64_t>(p.steps, 2);
      if (p.data.regime == Regime::frozen) p.data.regime = Regime::gaussian;  // bias-corrected, M is g again
      if (p.elements() < 16) p.shape = {d.between(2, 8), 8};
      break;
    case Feature::momentum_of:
      take_momentum(p, MomentumOf::update, d);
      break;
    case Feature::confidence:
      take_confidence(p, d, largest);
      break;
    case Feature::eps_came:
      take_confidence(p, d, largest);
      o.eps_came = d.of({0.1, 0.5, 1.0});
      break;
    case Feature::bias:
      if (!o.beta1) take_momentum(p, MomentumOf::gradient, d);
      o.relative_step = false;
      break;
    case Feature::limiter:  // gradients that grow, or a momentum that starts from nothing
      o.limiter_margin = d.of({0.0, 0.01, 0.1});
      if (o.beta2_decay > -0.8) o.beta2_decay = -0.8;  // averages that follow at once let no norm grow
      p.parameter = DType::float32;
      if (p.elements() < 64) p.shape = {8, 8};  // of a few elements, a norm may happen to fall
      o.beta3.reset();                          // which keeps the norm about where it is
      o.clip = o.momentum_of == MomentumOf::update ? o.clip : 0;
      if (o.projection_rank > 0) {
        o.beta1 = 0.9;
        o.projection_refresh = 200;
        const int64_t rows = p.shape[0], most = std::min<int64_t>(rows, p.elements() / rows);
        o.projection_rank = std::max(o.projection_rank, std::min<int64_t>(most, 3));  // of one, a sum may cancel
      }
      p.data.regime = o.projection_rank > 0 ? Regime::frozen : Regime::growing;
      if (o.momentum_of == MomentumOf::update) o.beta1 = 0.9, p.data.regime = Regime::gaussian;
      // A code's random error over the root of V of that element alone: where g is small, of any size, and so the norm.
      if (o.momentum_of == MomentumOf::gradient) {
        p.momentum_rounding = Rounding::nearest;
        if (p.momentum_storage != Storage::fp32) p.momentum_storage = Storage::bf16;
      }
      p.data.exponent = -10;
      p.steps = std::max<int64_t>(p.steps, 3);
      break;
    case Feature::projection_refresh:
      o.projection_refresh = d.of({1, 2});
      p.steps = std::max<int64_t>(p.steps, 4);
      break;
    case Feature::projection_scale_by:
      take_many_rows(p, d, largest);
      o.projection_scale_by = ScaleType::tensor;
      break;
    case Feature::projection_scale:
      o.projection_scale = d.of({4.0, 0.25, 128.0});
      o.projection_scale_first = d.one_in(2);
      o.clip = 0;
      break;
    case Feature::projection_scale_first:  // s (.) g has about RMS sqrt(rank/n)
      o.projection_scale = d.of({4.0, 64.0});
      o.projection_scale_first = false;
      o.clip = 1e-3;
      o.limiter_margin.reset();  // which may take back what the clip left
      break;
    case Feature::projection_eps:
      o.projection_eps = d.of({0.01, 0.1, 1.0});
      break;
    case Feature::projection_factored:
      take_many_rows(p, d, largest);
      o.projection_factored = true;
      o.projection_rank = std::clamp<int64_t>(o.projection_rank, 2, 4);
      if (p.data.regime == Regime::rank_one) p.data.regime = Regime::gaussian;  // of which factors are exact
      break;
    case Feature::projection_seed:
      o.projection_seed = d.of<int64_t>({1, 12345, 0xffffffff});
      break;
    case Feature::rounding:
      take_quantized(p);
      p.storage = d.of({Storage::al8, Storage::log_u8, Storage::linear_u8, Storage::al16});
      p.rounding = d.one_in(2) ? Rounding::stochastic : Rounding::dither;
      if (p.storage == Storage::al8 && p.rounding == Rounding::dither) {  // only where new samples weigh enough
        o.beta2 = 0.9;
        o.beta2_decay = reference::PlumblineOptions{}.beta2_decay;
        if (o.beta3) o.beta3 = 0.9;
      }
      if (p.data.regime == Regime::constant) p.data.regime = Regime::gaussian;
      if (p.storage == Storage::log_u8) {  // of one octave it has two codes
        p.data.regime = Regime::wide;
        p.gradient = DType::float32;
      }
      if (p.storage == Storage::linear_u8 && p.data.regime == Regime::heavy_tail)
        p.data.regime = Regime::gaussian;  // all but the outliers are far below a code
      take_many_values(p, d, largest);
      p.steps = std::max<int64_t>(p.steps, 4);  // one offset a block, and few averages: one draw may move none
      break;
    case Feature::momentum_rounding:
      take_quantized(p);
      if (!o.beta1) take_momentum(p, d.of({MomentumOf::gradient, MomentumOf::update}), d);
      p.momentum_storage = d.of({Storage::bf16, Storage::uf8, Storage::uf4});
      p.momentum_rounding =
          p.momentum_storage == Storage::bf16 || d.one_in(2) ? Rounding::stochastic : Rounding::dither;
      if (p.momentum_rounding == Rounding::dither) take_momentum(p, MomentumOf::update, d);
      take_many_values(p, d, largest);
      break;
    case Feature::parameter_rounding:
      p.parameter = d.of({DType::bfloat16, DType::float16});
      p.parameter_rounding = Rounding::stochastic;
      take_many_values(p, d, largest);
      break;
    case Feature::gradient_scale:
      p.gradient_scale = d.of({0.5, 4.0, double(1 / 3.0f), double(0.1f)});
      break;
    default:
      break;
  }
}

void settle(Problem& p) {
  auto& o = p.options;
  if (o.projection_rank > 0) o.momentum_of = MomentumOf::gradient;
  if (!o.beta1 || o.momentum_of == MomentumOf::gradient) o.beta3.reset();
  if (!o.beta1) o.momentum_of = MomentumOf::gradient;
  keep_promises(p);
  // An even grid from zero keeps nothing of blocks that span many octaves, and a projection mixes what is small into
  // what is large.
  const bool even = o.beta1 || o.projection_rank > 0 || p.storage == Storage::linear_u8;
  const Regime r = p.data.regime;
  if (even && (r == Regime::wide || r == Regime::extreme || r == Regime::sparse_rows || r == Regime::zero_rows ||
               r == Regime::subnormal || r == Regime::constant ||
               (r == Regime::heavy_tail &&
                (p.momentum_storage == Storage::uf4 || o.projection_rank > 0 ||
                 (p.momentum_storage == Storage::uf8 && p.elements() < 1024)))))  // too few outliers for four codes
    p.data.regime = Regime::gaussian;
  // Where u is the sign of g, a momentum of it has two values.
  if (o.beta1 && o.momentum_of == MomentumOf::update) {
    const int64_t cols = p.shape.back(), rows = p.shape.size() < 2 ? cols : p.shape[p.shape.size() - 2];
    if (rows == 1 || cols == 1) p.momentum_storage = Storage::fp32;
    if (r == Regime::frozen || r == Regime::rank_one || r == Regime::constant) p.data.regime = Regime::gaussian;
  }
  if (p.storage == Storage::log_u8 && (even || o.limiter_margin)) p.storage = Storage::al8;
  if (o.projection_rank > 0) {
    p.data.exponent = std::max(p.data.exponent, -10);  // projection_eps is added to the root
    // Sums of the projection that cancel by chance do so at every step.
    const bool limited = !p.focus.empty() && p.focus.front() == Feature::limiter;
    if (p.data.regime == Regime::frozen && !limited) p.data.regime = Regime::gaussian;
    // Those of a few bits often cancel exactly, which leaves the rounding of scale * g alone.
    int exponent = 0;
    if (std::frexp(p.gradient_scale, &exponent) != 0.5) p.gradient = DType::float32;
  }
}

}  // namespace plumbline::properties
