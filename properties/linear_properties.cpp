#include "properties/linear_properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <random>

#include "harness/error.h"
#include "harness/linear/data.h"
#include "harness/registry.h"
#include "harness/subject.h"

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::LayerRegime;
using harness::LinearInputs;
using harness::LinearObservation;
using harness::LinearProblem;
using harness::LinearSubject;
using harness::WeightSource;

using Bytes = std::vector<std::byte>;

// More than 16 tokens in float32 with a floating-point weight; odd extents, so that there are tails.
LinearProblem draw(uint64_t seed) {
  std::mt19937_64 engine(seed);
  const auto between = [&](int64_t low, int64_t high) { return low + int64_t(engine() % uint64_t(high - low + 1)); };
  LinearProblem p;
  p.seed = seed;
  p.tokens = between(17, 40);
  p.inputs = between(65, 200);
  p.outputs = between(2, 60);
  p.weight = WeightSource::f32;
  p.bias = false;
  return p;
}

std::vector<float> floats(const Bytes& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}
void put(Bytes& bytes, const std::vector<float>& values) { std::memcpy(bytes.data(), values.data(), bytes.size()); }

// Bits of one row of `width` bytes.
bool same_row(const Bytes& a, int64_t i, const Bytes& b, int64_t j, int64_t width) {
  return std::memcmp(a.data() + i * width, b.data() + j * width, size_t(width)) == 0;
}

std::string token_permutation(const LinearSubject& subject, uint64_t seed) {
  const LinearProblem p = draw(seed);
  LinearInputs in = make_inputs(p);
  const LinearObservation before = subject.run(p, in);
  const int64_t row = p.inputs * 4;
  Bytes reversed(in.x.size());
  for (int64_t t = 0; t < p.tokens; ++t)
    std::memcpy(reversed.data() + (p.tokens - 1 - t) * row, in.x.data() + t * row, size_t(row));
  in.x = reversed;
  const LinearObservation after = subject.run(p, in);
  for (int64_t t = 0; t < p.tokens; ++t)
    if (!same_row(before.output, t, after.output, p.tokens - 1 - t, p.outputs * 4))
      return fmt::format("token {} gives other bits in another place", t);
  return "";
}

std::string output_permutation(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.bias = true;
  LinearInputs in = make_inputs(p);
  const auto before = floats(subject.run(p, in).output);
  const auto w = floats(in.weight), b = floats(in.bias);
  auto w_reversed = w, b_reversed = b;
  for (int64_t o = 0; o < p.outputs; ++o) {
    std::copy_n(w.begin() + o * p.inputs, p.inputs, w_reversed.begin() + (p.outputs - 1 - o) * p.inputs);
    b_reversed[size_t(p.outputs - 1 - o)] = b[size_t(o)];
  }
  put(in.weight, w_reversed);
  put(in.bias, b_reversed);
  const auto after = floats(subject.run(p, in).output);
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t o = 0; o < p.outputs; ++o)
      if (before[size_t(t * p.outputs + o)] != after[size_t(t * p.outputs + p.outputs - 1 - o)])
        return fmt::format("output {} gives other bits in another place", o);
  return "";
}

std::string zero_token(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.bias = true;
  LinearInputs in = make_inputs(p);
  auto x = floats(in.x);
  const int64_t zero = p.tokens / 2;
  std::fill_n(x.begin() + zero * p.inputs, p.inputs, 0.0f);
  put(in.x, x);
  const LinearObservation out = subject.run(p, in);
  const auto y = floats(out.output), bias = floats(in.bias);
  for (int64_t o = 0; o < p.outputs; ++o)
    if (y[size_t(zero * p.outputs + o)] != bias[size_t(o)]) return fmt::format("output {} is not its bias", o);
  if (out.activation && out.activation->scales[size_t(zero)] != 1e-30f) return "the scale is not the floor";
  return "";
}

// One input a thousand times larger in every token: the codes of the others get coarse, those of one token stay its
// own.
std::string outlier_channel(const LinearSubject& subject, uint64_t seed) {
  const LinearProblem p = draw(seed);
  LinearInputs in = make_inputs(p);
  auto x = floats(in.x);
  const auto before = floats(subject.run(p, in).output);
  const int64_t loud = p.tokens / 3;
  for (int64_t k = int64_t(seed % 7); k < p.inputs; k += 16) x[size_t(loud * p.inputs + k)] *= 1000;
  put(in.x, x);
  const LinearObservation out = subject.run(p, in);
  const auto after = floats(out.output);
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t o = 0; o < p.outputs && t != loud; ++o)
      if (before[size_t(t * p.outputs + o)] != after[size_t(t * p.outputs + o)])
        return fmt::format("an outlier of token {} changed token {}", loud, t);
  return "";
}

std::string power_of_two_scaling(const LinearSubject& subject, uint64_t seed) {
  const LinearProblem p = draw(seed);
  LinearInputs in = make_inputs(p);
  const LinearObservation before = subject.run(p, in);
  const int k = int(seed % 41) - 20;
  auto x = floats(in.x);
  for (float& v : x) v = std::ldexp(v, k);
  put(in.x, x);
  const LinearObservation after = subject.run(p, in);
  if (before.activation && before.activation->codes != after.activation->codes) return "codes changed";
  const auto y = floats(before.output), scaled = floats(after.output);
  for (size_t i = 0; i < y.size(); ++i)
    if (scaled[i] != std::ldexp(y[i], k)) return fmt::format("output {} is not 2^{} times itself", i, k);
  return "";
}

std::string sign_symmetry(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.regime = seed % 2 == 0 ? LayerRegime::ties : LayerRegime::gaussian;
  LinearInputs in = make_inputs(p);
  const LinearObservation before = subject.run(p, in);
  auto x = floats(in.x);
  for (float& v : x) v = -v;
  put(in.x, x);
  const LinearObservation after = subject.run(p, in);
  for (size_t i = 0; before.activation && i < before.activation->codes.size(); ++i)
    if (before.activation->codes[i] != -after.activation->codes[i])
      return fmt::format("code {} has no opposite", before.activation->codes[i]);
  const auto y = floats(before.output), opposite = floats(after.output);
  for (size_t i = 0; i < y.size(); ++i)
    if (y[i] != -opposite[i]) return fmt::format("output {} has no opposite", i);
  return "";
}

std::string ties_to_even(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.regime = LayerRegime::ties;
  const LinearInputs in = make_inputs(p);
  const LinearObservation out = subject.run(p, in);
  const auto x = floats(in.x);  // scales are 1
  for (size_t i = 0; out.activation && i < x.size(); ++i)
    if (std::fabs(x[i]) != 127 && out.activation->codes[i] % 2 != 0)
      return fmt::format("{} became {}", x[i], out.activation->codes[i]);
  return "";
}

// Integers and scales on which no operation rounds: the output is the integer sum, scaled.
std::string exact_integers(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.regime = LayerRegime::integers;
  p.weight = WeightSource::codes;
  const LinearInputs in = make_inputs(p);
  const auto x = floats(in.x), y = floats(subject.run(p, in).output);
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t o = 0; o < p.outputs; ++o) {
      int64_t sum = 0;
      for (int64_t k = 0; k < p.inputs; ++k)
        sum += int64_t(x[size_t(t * p.inputs + k)]) * int8_t(in.weight[size_t(o * p.inputs + k)]);
      if (double(y[size_t(t * p.outputs + o)]) != std::ldexp(double(sum), -10))
        return fmt::format("output {} of token {} is not {} / 1024", o, t, sum);
    }
  return "";
}

// Σ_o acc(t, o) = Σ_k q_x(t, k) Σ_o q_w(o, k), in int64.
std::string checksum(const LinearSubject& subject, uint64_t seed) {
  const LinearProblem p = draw(seed);
  const LinearObservation out = subject.run(p, make_inputs(p));
  if (!out.accumulators || !out.weight || !out.activation) return "codes or accumulators are not shown";
  std::vector<int64_t> column(static_cast<size_t>(p.inputs));
  for (int64_t o = 0; o < p.outputs; ++o)
    for (int64_t k = 0; k < p.inputs; ++k) column[size_t(k)] += out.weight->codes[size_t(o * p.inputs + k)];
  for (int64_t t = 0; t < p.tokens; ++t) {
    int64_t left = 0, right = 0;
    for (int64_t o = 0; o < p.outputs; ++o) left += (*out.accumulators)[size_t(t * p.outputs + o)];
    for (int64_t k = 0; k < p.inputs; ++k)
      right += int64_t(out.activation->codes[size_t(t * p.inputs + k)]) * column[size_t(k)];
    if (left != right) return fmt::format("token {}: accumulators sum to {}, codes to {}", t, left, right);
  }
  return "";
}

// Converting an FP8 weight gives the codes of the same values as floats.
std::string fp8_conversion(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.inputs = (p.inputs + 4) / 5 * 5;
  p.weight = WeightSource::fp8;
  p.scales = reference::Fp8ScaleKind::block;
  p.block = p.inputs / 5;
  LinearInputs in = make_inputs(p);
  for (size_t i = 0; i < in.weight.size(); i += 3) in.weight[i] &= std::byte{0x87};  // subnormals
  for (int64_t o = 0; o < p.outputs; ++o)  // in a row of nothing but small ones
    for (int64_t k = 0; o % 2 == 0 && k < p.inputs; ++k) in.weight[size_t(o * p.inputs + k)] &= std::byte{0x9f};
  const LinearObservation converted = subject.run(p, in);
  const reference::Matrix values = load_values(p, in).weight;
  LinearProblem q = p;
  q.weight = WeightSource::f32;
  q.scales = {};
  q.block = 0;
  LinearInputs as_floats = in;
  as_floats.scales.clear();
  as_floats.weight.resize(size_t(values.size()) * 4);
  store(DType::float32, {values.data(), size_t(values.size())}, as_floats.weight.data());
  const LinearObservation direct = subject.run(q, as_floats);
  if (!converted.weight || !direct.weight) return "the weight's codes are not shown";
  if (converted.weight->scales != direct.weight->scales) return "scales of the channels differ";
  return converted.weight->codes == direct.weight->codes ? "" : "codes differ";
}

std::string nonfinite_token(const LinearSubject& subject, uint64_t seed) {
  const LinearProblem p = draw(seed);
  LinearInputs in = make_inputs(p);
  const auto before = floats(subject.run(p, in).output);
  constexpr float kOdd[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  auto x = floats(in.x);
  const int64_t odd = p.tokens / 4;
  x[size_t(odd * p.inputs + int64_t(seed % uint64_t(p.inputs)))] = kOdd[seed % 2];
  put(in.x, x);
  const auto after = floats(subject.run(p, in).output);
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t o = 0; o < p.outputs; ++o) {
      const auto i = size_t(t * p.outputs + o);
      if (t == odd ? !std::isnan(after[i]) : after[i] != before[i])
        return fmt::format("output {} of token {} is {}", o, t, after[i]);
    }
  return "";
}

// Up to 16 tokens, a token's bits do not depend on how many there are.
std::string small_batch(const LinearSubject& subject, uint64_t seed) {
  LinearProblem p = draw(seed);
  p.tokens = 16;
  LinearInputs in = make_inputs(p);
  const LinearObservation all = subject.run(p, in);
  const int64_t t = int64_t(seed % 16);
  LinearProblem one = p;
  one.tokens = 1;
  LinearInputs alone = in;
  alone.x.assign(in.x.begin() + t * p.inputs * 4, in.x.begin() + (t + 1) * p.inputs * 4);
  alone.grad_output.resize(size_t(p.outputs) * 4);
  return same_row(all.output, t, subject.run(one, alone).output, 0, p.outputs * 4)
             ? ""
             : fmt::format("token {} of 16 has other bits than alone", t);
}

// A part of `plumbline verify`: every property on problems from the suite's seed on.
harness::Section study(const harness::SuiteRequest& request, const harness::Subject& subject) {
  using harness::SuiteSize;
  const LinearSubject* layer = subject.linear();
  if (layer == nullptr) return describe_linear_properties({});
  const uint64_t tries = request.subject == "emulator"      ? 1
                         : request.size == SuiteSize::quick ? 5
                         : request.size == SuiteSize::full  ? 50
                                                            : 500;
  return describe_linear_properties(check_linear_properties(*layer, request.seed, tries));
}

const harness::RegisterSuiteStudy kStudy({"w8a8_properties", "w8a8", study});

}  // namespace

std::vector<LinearPropertyResult> check_linear_properties(const LinearSubject& subject, uint64_t seed, uint64_t tries) {
  std::vector<LinearPropertyResult> results;
  for (const LinearProperty& property : linear_properties()) {
    LinearPropertyResult& r = results.emplace_back(LinearPropertyResult{&property, 0, {}});
    for (; r.held < tries && r.violation.empty(); r.held += r.violation.empty()) {
      try {
        r.violation = property.violation(subject, seed + r.held);
      } catch (const harness::InputError&) {
        throw;
      } catch (const std::exception& e) {  // as a case: an error is red
        r.violation = e.what();
      }
    }
  }
  return results;
}

harness::Section describe_linear_properties(const std::vector<LinearPropertyResult>& results) {
  harness::Section section;
  section.id = "w8a8-properties";
  section.title = "Properties of the W8A8 linear layer";
  section.text = results.empty() ? "The subject has no such layer." : "Each holds whatever the data.";
  harness::Table table{"Outcome of every property", {"property", "catches", "held for", "what was violated"}, {}};
  for (const LinearPropertyResult& r : results) {
    section.green = section.green && r.violation.empty();
    table.rows.push_back(
        {std::string(r.property->name), std::string(r.property->catches), int64_t(r.held), r.violation});
  }
  if (!results.empty()) section.tables.push_back(std::move(table));
  return section;
}

const std::vector<LinearProperty>& linear_properties() {
  static const std::vector<LinearProperty> all = {
      {"token_permutation", "what depends on a token's place", token_permutation},
      {"output_permutation", "a neighbour's scale or bias", output_permutation},
      {"zero_token", "a scale that is not the token's own, a bias lost", zero_token},
      {"outlier_channel", "a scale shared by tokens", outlier_channel},
      {"power_of_two_scaling", "absolute tolerances inside the layer", power_of_two_scaling},
      {"sign_symmetry", "codes of -128, rounding with a direction", sign_symmetry},
      {"ties_to_even", "rounding half up or away", ties_to_even},
      {"exact_integers", "wrong indices, lost tails, races", exact_integers},
      {"checksum", "a product that lost or doubled something", checksum},
      {"fp8_conversion", "E4M3 decoded wrongly, a neighbouring block's scale", fp8_conversion},
      {"nonfinite_token", "NaN hidden, or spread over tokens", nonfinite_token},
      {"small_batch", "the threshold of 16 tokens", small_batch},
  };
  return all;
}

}  // namespace plumbline::properties
