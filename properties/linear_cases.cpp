#include "properties/linear_cases.h"

#include <algorithm>
#include <initializer_list>
#include <random>

#include "harness/linear/data.h"
#include "harness/registry.h"

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::LayerMode;
using harness::LayerRegime;
using harness::LinearProblem;
using harness::WeightSource;
using reference::Fp8ScaleKind;

class Draw {
 public:
  Draw(uint64_t seed, int index) {
    std::seed_seq words{uint32_t(seed), uint32_t(seed >> 32), uint32_t(index), 0x8a8u};
    engine_.seed(words);
  }
  int64_t between(int64_t low, int64_t high) { return low + int64_t(engine_() % uint64_t(high - low + 1)); }
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T>
  T of(std::initializer_list<T> values) {
    return values.begin()[between(0, int64_t(values.size()) - 1)];
  }
  uint64_t seed() { return engine_() >> 32; }

 private:
  std::mt19937_64 engine_;
};

int64_t draw_extent(Draw& d, int64_t most) {
  if (d.one_in(3)) return d.between(1, most);
  return std::min(most, d.of<int64_t>({1,  2,   7,   15,  16,  17,  31,  32,  33,  48,  63,  64,  65,
                                       96, 127, 128, 129, 144, 192, 255, 256, 257, 320, 384, 512, 520}));
}

// A divisor of the inputs, so that there is more than one block where that is possible.
int64_t draw_block(Draw& d, int64_t inputs) {
  std::vector<int64_t> divisors;
  for (int64_t b = 1; b <= inputs; ++b)
    if (inputs % b == 0 && inputs / b <= 64) divisors.push_back(b);
  return divisors[size_t(d.between(0, std::max<int64_t>(0, int64_t(divisors.size()) - 2)))];
}

LinearProblem generate(uint64_t seed, int index, int64_t largest) {
  Draw d(seed, index);
  LinearProblem p;
  p.seed = d.seed();
  do {
    p.tokens = d.one_in(4) ? d.between(1, 16) : std::max<int64_t>(draw_extent(d, 300), d.one_in(8) ? 1 : 17);
    p.inputs = draw_extent(d, 600);
    p.outputs = draw_extent(d, 400);
  } while (p.tokens * p.inputs * p.outputs > largest);
  p.type = d.of({DType::float32, DType::float32, DType::bfloat16, DType::bfloat16, DType::float16});
  p.mode = d.one_in(5) ? LayerMode::fp8 : LayerMode::int8;
  p.weight = p.mode == LayerMode::fp8 || d.one_in(2)
                 ? WeightSource::fp8
                 : d.of({WeightSource::f32, WeightSource::bf16, WeightSource::f16, WeightSource::codes});
  p.bias = d.one_in(2);
  const bool half = p.type == DType::float16;
  p.exponent = int(half ? d.between(-2, 2) : d.between(-8, 8));
  p.regime = d.of({LayerRegime::gaussian, LayerRegime::gaussian, LayerRegime::heavy_tail, LayerRegime::outlier_channel,
                   LayerRegime::wide_tokens, LayerRegime::zero_tokens, LayerRegime::ties, LayerRegime::integers,
                   LayerRegime::tiny, LayerRegime::nonfinite});
  switch (p.regime) {
    case LayerRegime::integers:  // exact, and within float16
      p.mode = LayerMode::int8;
      p.weight = WeightSource::codes;
      p.exponent = 0;
      if (p.outputs == 1) p.inputs = std::max<int64_t>(p.inputs, 8);  // of one, each token is 127
      break;
    case LayerRegime::ties:
      if (p.mode == LayerMode::int8) p.weight = d.of({WeightSource::f32, WeightSource::bf16, WeightSource::f16});
      if (half) p.exponent = -4;  // 127 · 2^4 · 600 · 2^-5 stays within float16
      break;
    case LayerRegime::tiny:
      if (half) {
        p.regime = LayerRegime::gaussian;
        break;
      }
      p.exponent = -100;
      p.bias = false;  // would hide the rest
      break;
    default:
      break;
  }
  if (p.weight == WeightSource::fp8) {
    p.scales = d.of({Fp8ScaleKind::tensor, Fp8ScaleKind::channel, Fp8ScaleKind::block});
    if (p.scales == Fp8ScaleKind::block) p.block = draw_block(d, p.inputs);
  }
  return p;
}

std::vector<harness::PlannedCase> plan_generated(const harness::SuiteRequest& request) {
  const bool emulator = request.subject == "emulator";
  const int count = request.size == harness::SuiteSize::quick  ? (emulator ? 60 : 400)
                    : request.size == harness::SuiteSize::full ? (emulator ? 400 : 3000)
                                                               : 100'000;
  std::vector<harness::PlannedCase> cases;
  for (LinearProblem& p : generate_linear_problems(request.seed, count, emulator ? 1 << 19 : 1 << 21)) {
    const auto redraw = [p](int attempt) {  // over other data
      LinearProblem other = p;
      other.seed = std::mt19937_64(p.seed + (uint64_t(attempt) << 32))() >> 32;
      return other;
    };
    cases.push_back({std::move(p), "w8a8 generated", false, redraw});
  }
  return cases;
}

// Recorded layers in both modes; the emulator takes the small ones.
std::vector<harness::PlannedCase> plan_recorded(const harness::SuiteRequest& request) {
  std::vector<harness::PlannedCase> cases;
  for (const std::string& name : harness::recorded_layers()) {
    LinearProblem p = harness::recorded_problem(name);
    if (request.subject == "emulator" && p.tokens * p.inputs * p.outputs > 1 << 19) continue;
    for (const LayerMode mode : {LayerMode::int8, LayerMode::fp8}) {
      p.mode = mode;
      cases.push_back({p, "w8a8 recorded", false});
    }
  }
  return cases;
}

const harness::RegisterCaseSource kGenerated({"w8a8_generated", plan_generated, "w8a8"});
const harness::RegisterCaseSource kRecorded({"w8a8_recorded", plan_recorded, "w8a8"});

}  // namespace

std::vector<LinearProblem> generate_linear_problems(uint64_t seed, int count, int64_t largest) {
  std::vector<LinearProblem> problems;
  problems.reserve(size_t(count));
  for (int i = 0; i < count; ++i) problems.push_back(generate(seed, i, largest));
  return problems;
}

}  // namespace plumbline::properties
