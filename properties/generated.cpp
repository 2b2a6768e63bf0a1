#include "properties/generated.h"

#include <algorithm>

#include "properties/census.h"
#include "properties/designed.h"
#include "properties/draw.h"
#include "properties/extended.h"

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::Feature;
using harness::Problem;
using harness::Regime;
using harness::Storage;

int64_t elements_of(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t e : shape) n *= e;
  return n;
}

// Hard edges: one row, one column, primes, block and tile sizes +- 1, batches, vectors.
std::vector<int64_t> draw_shape(Draw& d, int64_t largest) {
  auto extent = [&](int kind) -> int64_t {
    switch (kind) {
      case 0:
        return d.between(1, 8);
      case 1:
        return d.of<int64_t>({7, 13, 31, 37, 61, 127, 131});
      case 2:
        return d.of<int64_t>({15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129});
      default:
        return d.between(9, 200);
    }
  };
  const auto draw = [&]() -> std::vector<int64_t> {
    switch (d.below(14)) {
      case 12:  // packs of small matrices: how many a pack has, and their extents
        return {d.of<int64_t>({4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513}),
                d.between(1, 3), d.between(1, 3)};
      case 13:
        return {d.between(3, 9), d.of<int64_t>({1, 2, 8, 9, 16, 33, 63, 64, 65}),
                d.of<int64_t>({1, 3, 7, 8, 9, 16, 32, 63, 64, 65})};
      case 0:
        return {1, extent(d.below(4))};
      case 1:
        return {extent(d.below(4)), 1};
      case 2:
        return {extent(d.below(3))};
      case 3:
        return {d.of<int64_t>({1, 2, 63, 64, 65, 2047, 2048, 2049, 4096, 5000})};
      case 4:
        return {d.between(2, 6), extent(0), extent(d.below(3))};
      case 5:
        return {d.between(1, 3), d.between(1, 3), extent(0), extent(0)};
      case 6:
        return {d.of<int64_t>({1023, 1024, 1025, 1030, 2049}), extent(0)};
      case 7:
        return {extent(0), d.of<int64_t>({1023, 1025, 2049, 4097})};
      case 8:
        return {extent(3), extent(3)};
      default:
        return {extent(d.below(4)), extent(d.below(4))};
    }
  };
  return draw_until("shape of so few elements", draw, [&](const auto& shape) { return elements_of(shape) <= largest; });
}

// Regimes in which a storage keeps something to judge: a fixed floor of 2^-126 or an even grid from zero needs spread,
// or the lack of it, to use more than a code or two.
Regime draw_regime(Draw& d, Storage storage, DType gradient, bool many_rows) {
  if (gradient == DType::float16 && storage != Storage::linear_u8) {  // nothing that leaves 2^-24 .. 2^16
    if (storage == Storage::log_u8) return Regime::heavy_tail;
    return d.of({Regime::gaussian, Regime::heavy_tail, Regime::spike, Regime::growing, Regime::frozen, Regime::paused});
  }
  switch (storage) {
    case Storage::log_u8:
      return d.of({Regime::wide, Regime::wide, Regime::extreme});
    case Storage::linear_u8:
      return d.of({Regime::gaussian, Regime::growing, Regime::frozen, Regime::paused});
    case Storage::al8:
    case Storage::al16:
      return d.of({Regime::gaussian, Regime::wide, Regime::heavy_tail,
                   many_rows ? Regime::sparse_rows : Regime::gaussian, many_rows ? Regime::zero_rows : Regime::wide,
                   Regime::rank_one, Regime::spike, Regime::growing, Regime::frozen, Regime::extreme,
                   many_rows ? Regime::zero_cols : Regime::outlier, many_rows ? Regime::rare_rows : Regime::vanishing,
                   Regime::paused});
    default:
      break;
  }
  return d.of({Regime::gaussian, Regime::wide, Regime::heavy_tail, many_rows ? Regime::sparse_rows : Regime::gaussian,
               many_rows ? Regime::zero_rows : Regime::wide, Regime::rank_one, Regime::spike, Regime::growing,
               Regime::frozen, Regime::extreme, Regime::constant, Regime::subnormal,
               many_rows ? Regime::zero_cols : Regime::outlier, many_rows ? Regime::rare_rows : Regime::vanishing,
               Regime::paused, Regime::outlier, Regime::vanishing});
}

// Sets what the feature needs to act beyond every bound.
void aim(Problem& p, Feature feature, Draw& d, int64_t largest) {
  auto& o = p.options;
  p.focus = {feature};
  switch (feature) {
    case Feature::clip:
      o.clip = d.of({0.25, 0.5});
      if (p.data.regime == Regime::sparse_rows || p.data.regime == Regime::rare_rows)
        p.data.regime = Regime::gaussian;  // few rows, small RMS(u)
      break;
    case Feature::eps1:
      // Not far below the gradient, and it levels what a fixed grid would tell apart.
      if (p.data.regime == Regime::wide || p.elements() < 16) p.data.regime = Regime::gaussian;
      if (p.storage == Storage::log_u8) p.storage = Storage::al8;
      o.eps1 = d.of({0x1p-14, 0x1p-10, 1e-4});
      p.data.exponent = -6;
      break;
    case Feature::eps2:
      o.scale_parameter = true;
      p.data.parameter_exponent = -14;
      o.eps2 = d.of({1e-3, 1e-2});
      break;
    case Feature::weight_decay:
      o.weight_decay_by = d.of({reference::DecayScale::step_size, reference::DecayScale::lr});
      o.lr = 1e-2;
      o.scale_parameter = true;
      o.weight_decay = o.weight_decay_by == reference::DecayScale::lr ? 10 : 20;
      break;
    case Feature::relative_step:
      o.relative_step = true;
      o.weight_decay = 0;
      o.lr = d.of({0.9, 3.0});
      p.steps = std::max<int64_t>(p.steps, 4);  // the root of t falls below 0.9, and further below
      break;
    case Feature::scale_parameter:
      o.scale_parameter = true;
      break;
    case Feature::maximize:
      o.maximize = true;
      break;
    case Feature::beta2:
      o.beta2 = d.of({0.9, 0.99, 0.999});
      o.beta2_decay = reference::PlumblineOptions{}.beta2_decay;
      p.steps = std::max<int64_t>(p.steps, 3);  // the first has no old average to weigh
      break;
    case Feature::nonfinite:
      p.data.regime = Regime::nonfinite;
      if (p.storage == Storage::log_u8) p.storage = Storage::al8;  // one scale of data: one code of a fixed grid
      o.nonfinite = d.of({reference::Nonfinite::zero, reference::Nonfinite::skip, reference::Nonfinite::propagate});
      p.steps = std::max<int64_t>(p.steps, 3);
      break;
    default:
      aim_extended(p, feature, d, largest);
      break;
  }
}

// `attempt`: another draw in place of the same one.
Problem generate(uint64_t seed, int index, int64_t largest, int attempt = 0) {
  Draw d(seed ^ uint64_t(attempt) << 48, index);
  Problem p;
  p.seed = d.seed();
  p.shape = draw_shape(d, largest);
  p.parameter = d.of({DType::float32, DType::float32, DType::bfloat16, DType::float16});
  p.gradient = d.of({DType::float32, DType::float32, DType::bfloat16, DType::float16});
  p.storage = d.of({Storage::fp32, Storage::al8, Storage::al8, Storage::log_u8, Storage::linear_u8, Storage::al16});
  p.block = d.of({2048, 2048, 64, 128, 256, 512, 1024});
  p.min_quantized_size = d.one_in(8) ? 4096 : 1;
  p.steps = d.one_in(16) ? 12 : d.between(1, 4);
  p.carried_norm = d.one_in(4);
  if (p.elements() < 8)
    p.steps = std::max<int64_t>(p.steps, 2);  // from nothing but zeros, one step may lead to one value

  auto& o = p.options;
  o.factored = !d.one_in(4);
  o.lr = d.of({3e-3, 1e-2, 1e-1});
  o.clip = d.of({0.0, 0.5, 1.0, 1.0});
  o.scale_parameter = !d.one_in(3);
  o.beta2_decay = d.of({-0.8, -0.8, -0.5, -1.0});
  if (o.beta2_decay == -1.0) o.eps1 = 1e-25;  // the library wants eps1 w_t >= 2^-126 at every step up to 2^31
  if (d.one_in(6)) o.weight_decay = d.of({0.1, 1.0});
  if (d.one_in(8)) o.maximize = true;
  if (!o.scale_parameter) p.data.parameter_exponent = -7;  // so that a step of lr shows in 16 bits

  const int64_t rows = p.elements() / p.shape.back();
  p.data.exponent = d.between(-10, -3);
  // Beside rows of zeros the others need to differ: means over few columns do.
  const bool many_rows =
      p.shape.size() >= 2 && rows >= 16 && (p.effective_storage() == Storage::fp32 || p.shape.back() <= 16);
  p.data.regime = draw_regime(d, p.effective_storage(), p.gradient, many_rows);
  if ((p.data.regime == Regime::extreme || p.data.regime == Regime::subnormal) && p.elements() < 16)
    p.data.regime = Regime::gaussian;  // may be nothing but zeros
  if (p.data.regime == Regime::frozen && p.elements() < 8)
    p.data.regime = Regime::gaussian;  // from nothing but zeros, every step may lead to one value
  if (p.data.regime == Regime::spike) p.steps = std::max<int64_t>(p.steps, 2);
  if (p.data.regime == Regime::paused || p.data.regime == Regime::rare_rows || p.data.regime == Regime::vanishing)
    p.steps = std::max<int64_t>(p.steps, 4);  // steps or rows without a gradient, then with one
  if (p.data.regime == Regime::vanishing && p.gradient != DType::float16 && d.one_in(2))
    p.data.exponent = -44;                                                            // below 1e-12 from the start
  if (p.data.regime == Regime::sparse_rows) p.steps = std::max<int64_t>(p.steps, 4);  // one row of ten in each
  if (p.data.regime == Regime::subnormal) {  // u is about g/sqrt(eps1): only tiny parameters move
    o.eps1 = 0x1p-100;
    o.beta2_decay = -0.8;
    o.scale_parameter = false;
    o.lr = 1;
    o.weight_decay = 0;
    p.parameter = DType::float32;
    p.gradient = DType::float32;
    p.data.parameter_exponent = -75;
    return p;
  }
  const bool extended = d.one_in(2);  // not every other one: a shard takes every n-th
  if (extended) extend(p, d, largest);
  if (extended || !d.one_in(3)) {
    auto feature =
        static_cast<Feature>(extended ? d.between(kPlainFeatures, harness::kFeatures - 1) : d.below(kPlainFeatures));
    if (feature == Feature::weight_decay && p.elements() < 8) feature = Feature::maximize;  // may all be 0
    aim(p, feature, d, largest);
  }
  // In a 16-bit type a few elements may all round to where they were.
  if (p.elements() < 256) p.parameter = DType::float32;
  if (extended) settle(p);
  if (d.one_in(6)) p.place = d.of({1, 2, 7});  // options and random numbers of the first tensor are not its own
  return p;
}

// What few draws meet and kernels of its own take: a full second moment in blocks of a tile, without momentum. Of two
// tiles, so that every warp has elements.
Problem whole_tiles(uint64_t seed) {
  Problem p;
  p.seed = seed;
  p.shape = {4096};
  p.storage = Storage::al8;
  p.block = 2048;
  p.min_quantized_size = 1;
  p.steps = 2;
  p.data.exponent = -5;
  return p;
}

// And rows whose sums are put together from several panels.
Problem several_panels(uint64_t seed) {
  Problem p;
  p.seed = seed;
  p.shape = {3, 1100};
  p.options.beta1 = 0.9;
  p.options.momentum_of = reference::MomentumOf::update;
  p.options.beta3 = 0.99;
  p.momentum_storage = Storage::uf4;
  p.min_quantized_size = 1;
  p.steps = 2;
  p.data.exponent = -5;
  return p;
}

// Confidence of few elements, which few draws meet too: enough of it that its bounds are approached.
Problem small_confidence(uint64_t seed, int index) {
  constexpr int64_t kLargest = 64;
  Problem p = generate(seed, -1 - index, kLargest);
  Draw d(seed, -1 - index);
  p.shape = {d.between(2, 8), d.between(2, 8)};
  if (d.one_in(2)) {  // one row or column, whose confidence has few codes
    p.shape = d.one_in(2) ? std::vector<int64_t>{1, d.between(2, 64)} : std::vector<int64_t>{d.between(2, 64), 1};
    p.storage = Storage::fp32;
  }
  aim_extended(p, Feature::confidence, d, kLargest);
  settle(p);
  p.steps = d.between(2, 12);
  return p;
}

harness::CasePlan plan(const harness::SuiteRequest& request) {
  const bool emulator = request.subject == "emulator";
  const size_t count = request.size == harness::SuiteSize::quick  ? (emulator ? 300 : 1200)
                       : request.size == harness::SuiteSize::full ? (emulator ? 2000 : 6000)
                                                                  : 1'000'000;
  // A night's million are small: what size brings is for the full suite.
  const int64_t largest = emulator || request.size == harness::SuiteSize::nightly ? 4096 : 1 << 16;
  std::vector<harness::PlannedCase> designed = {{whole_tiles(request.seed), "designed", false},
                                                {several_panels(request.seed), "designed", false}};
  for (harness::PlannedCase& c : designed_cases(strength_of(request.size), request.seed, largest))
    designed.push_back(std::move(c));
  const int confident = request.size == harness::SuiteSize::full && !emulator ? 600 : 0;
  for (int i = 0; i < confident; ++i) {
    harness::PlannedCase& added = designed.emplace_back();
    added.problem = small_confidence(request.seed, i);
    added.suite = "designed";
  }
  harness::CasePlan all(std::move(designed));
  const size_t left = count - std::min(count, all.size());
  all.append({left, [seed = request.seed, largest](size_t i) { return generated_case(seed, int(i), largest); }});
  return all;
}

const harness::RegisterCaseSource kRegistration({"generated", plan});

}  // namespace

harness::PlannedCase generated_case(uint64_t seed, int index, int64_t largest) {
  const auto draw = [=](int attempt) { return generate(seed, index, largest, attempt); };
  return {draw(0), "generated", false, draw};
}

std::vector<Problem> generate_problems(uint64_t seed, int count, int64_t largest) {
  std::vector<Problem> problems;
  problems.reserve(size_t(count));
  for (int i = 0; i < count; ++i) problems.push_back(generate(seed, i, largest));
  return problems;
}

}  // namespace plumbline::properties
