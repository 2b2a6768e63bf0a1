#include "properties/designed.h"

#include <algorithm>

#include "harness/data.h"
#include "properties/covering.h"

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::Problem;
using harness::Regime;
using harness::Rounding;
using harness::Storage;
using F = Factor;

// Enough elements for the codes and roundings of each to differ, block and tile sizes and their neighbours among them.
// Averages over a row may lie within an octave, of which a fixed floor has two codes: of fewer than 64 values two do,
// of fewer than 16 one does.
enum class Averages : uint8_t { differ, narrow, alike };
std::vector<int64_t> draw_shape(int shape, Averages averages, Draw& d, int64_t largest) {
  if (averages == Averages::alike && shape == 3) return {d.between(10, 15), d.between(10, 15)};
  if (averages == Averages::alike && shape == 4) return {2, d.between(5, 7), d.between(5, 7)};
  const bool narrow = averages != Averages::differ;
  const bool wide = largest >= 8192;
  const int64_t line = wide ? d.of<int64_t>({300, 1023, 1024, 1025, 2047, 2048, 2049, d.between(300, 2500)})
                            : d.of<int64_t>({256, 257, 300, 512});
  const auto side = [&] {
    return narrow ? d.between(16, 63) : d.of<int64_t>({16, 17, 31, 32, 33, 48, 63, 64, 65, d.between(16, 70)});
  };
  switch (shape) {
    case 0:
      return {line};
    case 1:
      return {1, line};
    case 2:
      return {line, 1};
    case 3: {
      const int64_t rows = wide ? side() : d.between(16, 20);
      return {rows, wide && !narrow && rows <= 33 && d.one_in(4) ? d.of<int64_t>({127, 129})
                    : wide                                       ? side()
                                                                 : d.between(16, 24)};
    }
    default: {
      // Batches of two or three matrices, and those of more that devices step whole: up to 512 elements, 64 rows and
      // columns, some of them past that.
      const int64_t slices = d.between(2, wide ? 5 : 3);
      return {slices, d.between(8, 12), wide && !narrow ? side() : d.between(9, 13)};
    }
  }
}

// Of a fixed floor, whose codes are half an octave apart. The factors make the means of u^2 1 for every row, and those
// of (u - M)^2 one value where M is a part of u: after the first step, or for good.
Averages averages_of(const Classes& c) {
  if (static_cast<Storage>(at(c, F::storage)) != Storage::log_u8 || at(c, F::moment) != 0) return Averages::differ;
  return at(c, F::momentum) == 3 ? Averages::alike : Averages::narrow;
}

bool starts_with_zeros(const Problem& p) {
  harness::Realized gradient;
  harness::DataSource(p).gradient(1, gradient);
  return (gradient.values.data == 0).all();
}

// Only where new samples weigh enough.
bool dithers_al8(const Problem& p) { return p.storage == Storage::al8 && p.rounding == Rounding::dither; }

void take_momentum(Problem& p, const Classes& c, Draw& d) {
  auto& o = p.options;
  o.beta1 = d.of({0.5, 0.9});
  if (at(c, F::momentum) >= 2) o.momentum_of = reference::MomentumOf::update;
  // A row of one element is its own factor: (u - M)^2 is one value in the first step, and has to be forgotten.
  if (at(c, F::momentum) == 3) o.beta3 = p.storage == Storage::log_u8 ? 0.5 : d.of({0.9, 0.99});
  if (at(c, F::momentum) == 3 && dithers_al8(p)) o.beta3 = 0.9;
  const int storage = at(c, F::momentum_storage);
  p.momentum_storage = storage == 0 ? Storage::fp32 : static_cast<Storage>(int(Storage::bf16) + storage - 1);
  if (at(c, F::momentum_rounding) < 3) p.momentum_rounding = static_cast<Rounding>(at(c, F::momentum_rounding));
  const bool coded = p.momentum_storage == Storage::uf8 || p.momentum_storage == Storage::uf4;
  if (coded && p.momentum_rounding == Rounding::nearest && at(c, F::momentum) != 2) o.beta1 = 0.5;  // above, it sticks
  if (at(c, F::momentum_block) == 1) p.momentum_block = d.of({64, 128, 256, 1024});
  p.steps = std::max<int64_t>(p.steps, 2);
}

void take_projection(Problem& p, const Classes& c, Draw& d) {
  auto& o = p.options;
  const int64_t m = p.shape[0], n = p.elements() / m, most = std::min({m, n, int64_t{8}});
  o.projection_rank = d.between(int(std::min<int64_t>(most, 3)), int(most));
  o.projection_refresh = d.of({200, 200, 2});
  o.projection_seed = d.of({0, 1, 77});
  o.projection_scale_by = at(c, F::moment) == 2 ? reference::ScaleType::channel : reference::ScaleType::tensor;
  o.projection_factored = at(c, F::low_rank) == 1;
}

void take_data(Problem& p, const Classes& c, Draw& d) {
  auto& o = p.options;
  p.data.regime = static_cast<Regime>(at(c, F::data));
  p.data.exponent = d.between(-8, -3);
  switch (p.data.regime) {
    case Regime::heavy_tail:   // on an even grid, outliers alone have codes
    case Regime::sparse_rows:  // one row in ten has more than the code of zero
      p.steps += 2;
      break;
    case Regime::vanishing:  // from below 1e-12 on, where nothing adds an eps of its own
      if (p.gradient != DType::float16 && at(c, F::moment) < 2) p.data.exponent = d.of({p.data.exponent, -44});
      [[fallthrough]];
    case Regime::paused:     // steps without a gradient, then one with
    case Regime::rare_rows:  // and rows
    case Regime::outlier:    // on an even grid, outliers alone have codes
      p.steps = std::max<int64_t>(p.steps, 4);
      break;
    case Regime::spike:
    case Regime::growing:
      p.steps = std::max<int64_t>(p.steps, 3);
      break;
    case Regime::nonfinite:
      p.steps = std::max<int64_t>(p.steps, 3);
      o.nonfinite = static_cast<reference::Nonfinite>(at(c, F::nonfinite));
      break;
    case Regime::subnormal:
      if (p.gradient == DType::float16) break;  // whose subnormals are numbers like others in float32
      o.eps1 = 0x1p-100;                        // u is about g/sqrt(eps1): only tiny parameters move
      o.beta2_decay = -0.8;
      o.lr = 1;
      p.data.parameter_exponent = -75;
      break;
    default:
      break;
  }
}

}  // namespace

Problem problem_of(const Classes& c, Draw& d, int64_t largest) {
  Problem p;
  auto& o = p.options;
  p.seed = d.seed();
  p.shape = draw_shape(at(c, F::shape), averages_of(c), d, largest);
  if (at(c, F::moment) >= 2 && p.shape.size() > 2)  // a projection of few rows leaves scales as far apart as they were
    p.shape = {d.between(16, 20), 2, d.between(9, 12)};
  p.min_quantized_size = 1;
  p.steps = d.between(2, 3);
  p.storage = static_cast<Storage>(at(c, F::storage));
  if (at(c, F::rounding) < 3) p.rounding = static_cast<Rounding>(at(c, F::rounding));
  if (at(c, F::block) == 1) p.block = d.of({64, 128, 256, 512, 1024});
  constexpr DType kTypes[] = {DType::float32, DType::bfloat16, DType::float16};
  p.parameter = kTypes[at(c, F::param)];
  p.gradient = kTypes[at(c, F::grad)];
  if (at(c, F::parameter_rounding) == 1) p.parameter_rounding = Rounding::stochastic;
  if (at(c, F::gradient_scale) == 1) p.gradient_scale = d.of({0.5, 4.0, double(1 / 3.0f), double(0.1f)});

  o.lr = d.of({1e-2, 3e-2, 1e-1});
  o.factored = at(c, F::moment) != 1;
  o.clip = at(c, F::clip) == 1 ? d.of({0.25, 0.5}) : 0;
  if (at(c, F::limiter) == 1) o.limiter_margin = d.of({0.0, 0.01}), p.steps = std::max<int64_t>(p.steps, 3);
  o.scale_parameter = at(c, F::scale_parameter) == 1;
  if (!o.scale_parameter) p.data.parameter_exponent = -7;  // so that a step of lr shows in 16 bits
  p.carried_norm = at(c, F::parameter_norm) == 1;
  if (at(c, F::relative_step) == 1) o.relative_step = true, o.lr = d.of({0.8, 3.0});
  if (at(c, F::beta2) == 1)
    o.beta2 = dithers_al8(p) ? 0.9 : d.of({0.9, 0.99});
  else
    o.beta2_decay = dithers_al8(p) ? -0.125 : d.of({-0.8, -0.5});
  if (at(c, F::weight_decay) > 0) {
    o.weight_decay_by = at(c, F::weight_decay) == 1 ? reference::DecayScale::step_size : reference::DecayScale::lr;
    o.weight_decay = d.of({0.1, 0.25});
  }
  o.maximize = at(c, F::maximize) == 1;
  if (at(c, F::momentum) > 0) take_momentum(p, c, d);
  if (at(c, F::moment) >= 2) take_projection(p, c, d);
  take_data(p, c, d);
  // A row or column of one element is its own factor: u is a sign until a second gradient that is not zero comes.
  if (at(c, F::momentum) == 3 && at(c, F::shape) < 3 && p.data.regime == Regime::sparse_rows) p.steps += 3;
  if (p.data.regime == Regime::zero_rows || p.data.regime == Regime::zero_cols)  // an only line may be one of them
    p = draw_until(
        "gradient with a line that is not zero",
        [&] {
          p.seed = d.seed();
          return p;
        },
        [](const Problem& drawn) { return !starts_with_zeros(drawn); });
  return p;
}

std::vector<harness::PlannedCase> designed_cases(int strength, uint64_t seed, int64_t largest) {
  std::vector<harness::PlannedCase> out;
  for (const Classes& row : covering_design(strength, seed)) {
    const auto draw = [row, largest, index = int(out.size()),
                       stream = seed ^ 0xc0fe00 ^ uint64_t(strength) << 32](int attempt) {
      Draw d(stream ^ uint64_t(attempt) << 48, index);
      return problem_of(row, d, largest);
    };
    out.push_back({draw(0), "designed", false, draw});
  }
  return out;
}

std::vector<Problem> designed_problems(int strength, uint64_t seed, int64_t largest) {
  std::vector<Problem> out;
  for (harness::PlannedCase& c : designed_cases(strength, seed, largest)) out.push_back(std::move(c.optimizer()));
  return out;
}

}  // namespace plumbline::properties
