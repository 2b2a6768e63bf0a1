#include "harness/linear/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "harness/checksum.h"
#include "harness/error.h"
#include "harness/judge.h"
#include "harness/linear/contract.h"
#include "harness/stopwatch.h"
#include "harness/subject.h"

namespace plumbline::harness {
namespace {

using reference::Matrix;
using reference::QuantizedRows;

// Words that differ between two observations. A part that only one of them shows counts too.
uint64_t differing_words(const LinearObservation& a, const LinearObservation& b, size_t value_bytes) {
  uint64_t differing = 0;
  const auto bytes = [&](const void* x, size_t x_bytes, const void* y, size_t y_bytes, size_t width) {
    if (x_bytes != y_bytes) {
      differing += std::max(x_bytes, y_bytes) / width;
      return;
    }
    const auto *p = static_cast<const std::byte*>(x), *q = static_cast<const std::byte*>(y);
    if (x_bytes == 0 || std::memcmp(p, q, x_bytes) == 0) return;
    for (size_t i = 0; i < x_bytes; i += width) differing += std::memcmp(p + i, q + i, width) != 0;
  };
  const auto vector = [&](const auto& x, const auto& y, size_t width) {
    bytes(x.data(), x.size() * sizeof(x[0]), y.data(), y.size() * sizeof(y[0]), width);
  };
  const auto rows = [&](const std::optional<CodedRows>& x, const std::optional<CodedRows>& y) {
    differing += x.has_value() != y.has_value();
    if (!x || !y) return;
    vector(x->codes, y->codes, 1);
    vector(x->scales, y->scales, sizeof(float));
  };
  vector(a.output, b.output, value_bytes);
  vector(a.input_gradient, b.input_gradient, value_bytes);
  rows(a.weight, b.weight);
  rows(a.activation, b.activation);
  differing += a.accumulators.has_value() != b.accumulators.has_value();
  if (a.accumulators && b.accumulators) vector(*a.accumulators, *b.accumulators, sizeof(int32_t));
  return differing;
}

QuantizedRows as_rows(const CodedRows& shown, int64_t rows, int64_t columns, const char* what) {
  if (int64_t(shown.codes.size()) != rows * columns || int64_t(shown.scales.size()) != rows)
    throw std::runtime_error(fmt::format("{}: {} codes and {} scales: expected {} and {}", what, shown.codes.size(),
                                         shown.scales.size(), rows * columns, rows));
  return {rows, columns, shown.codes, {shown.scales.begin(), shown.scales.end()}};
}

// The rows as float32 values of the source: what the subject quantizes.
Matrix realized(const LinearProblem& p, const Matrix& weight) {
  if (p.weight != WeightSource::fp8) return weight;
  return weight.unaryExpr([](double w) { return double(float(w)); });  // fl(E4M3 s)
}

class LinearRun {
 public:
  LinearRun(const LinearProblem& problem, const LinearSubject& subject, const LinearSubject* twin)
      : problem_(problem), subject_(subject), twin_(twin) {}

  void run() {
    inputs_ = make_inputs(problem_);
    values_ = load_values(problem_, inputs_);
    times_.generate += watch_.lap();
    observed_ = subject_.run(problem_, inputs_);
    times_.subject += watch_.lap();
    const auto expected_bytes = [&](int64_t count) { return size_t(count) * size_of(problem_.type); };
    if (observed_.output.size() != expected_bytes(problem_.tokens * problem_.outputs) ||
        observed_.input_gradient.size() != expected_bytes(problem_.tokens * problem_.inputs))
      throw std::runtime_error("the outputs have another size than the layer's");
    if (problem_.mode == LayerMode::int8) judge_weight();
    if (problem_.quantizes_activations()) judge_activation();
    judge_output();
    judge_gradient();
    if (twin_ != nullptr) {
      const LinearObservation other = twin_->run(problem_, inputs_);
      judge(Quantity::twin_bits).element(1, 0, double(differing_words(observed_, other, size_of(problem_.type))), 0, 0);
    }
    times_.compare += watch_.lap();
  }

  void finish(CaseResult& out) const {
    Checksum bits;
    bits.add(observed_.output);
    bits.add(observed_.input_gradient);
    out.bits = bits.value();
    const QuantityJudge *first = nullptr, *unlikely = nullptr;
    for (const auto& [quantity, judge] : judges_) {
      out.quantities.push_back(judge.result());
      if (!judge.broken()) continue;
      const QuantityJudge*& which = is_probabilistic(quantity) ? unlikely : first;
      if (which == nullptr) which = &judge;
    }
    if (first != nullptr) {
      out.verdict = Verdict::fail;
      out.first_broken = first->result().quantity;
      out.first_broken_step = 1;
      out.reason = describe(*first, "broken");
    } else if (!vacuous_.empty()) {
      out.verdict = Verdict::vacuous;
      out.reason = vacuous_;
    } else if (unlikely != nullptr) {
      out.verdict = Verdict::marginal;
      out.reason = describe(*unlikely, "beyond six standard deviations");
    }
    out.times = times_;
    describe_options(out);
  }

 private:
  QuantityJudge& judge(Quantity q) { return judges_.try_emplace(q, q).first->second; }

  static std::string describe(const QuantityJudge& judge, const char* how) {
    const QuantityResult& r = judge.result();
    return fmt::format("{} {}: {} elements; worst element {}: got {:.9g}, expected {} (error/bound {:.3g})",
                       to_string(r.quantity), how, r.outside, r.worst.index, r.worst.got,
                       admitted(r.worst.expected, r.worst.bound), r.worst.ratio);
  }

  // Scales within a rounding, then codes given the subject's scales, exactly: a float32 quotient is one number.
  void judge_rows(const QuantizedRows& shown, const Matrix& exact, Quantity scale, Quantity code) {
    const double floor = double(float(reference::kInt8ScaleFloor));
    for (int64_t i = 0; i < exact.rows(); ++i) {
      const double s = reference::int8_scale({exact.data() + i * exact.cols(), size_t(exact.cols())});
      const double expected = s < floor ? floor : s;
      judge(scale).element(1, i, shown.scales[size_t(i)], expected, expected == floor ? 0 : 0x1p-24 * expected);
      for (int64_t k = 0; k < exact.cols(); ++k)
        judge(code).element(1, i * exact.cols() + k, shown.codes[size_t(i * exact.cols() + k)],
                            reference::int8_code(exact(i, k), shown.scales[size_t(i)]), 0);
    }
  }

  void judge_weight() {
    if (!observed_.weight) throw std::runtime_error("the subject shows no int8 weight");
    weight_ = as_rows(*observed_.weight, problem_.outputs, problem_.inputs, "weight");
    if (problem_.weight == WeightSource::codes) {  // taken as they are
      for (size_t i = 0; i < weight_.codes.size(); ++i)
        judge(Quantity::weight_code).element(1, int64_t(i), weight_.codes[i], double(int8_t(inputs_.weight[i])), 0);
      for (size_t i = 0; i < weight_.scales.size(); ++i)
        judge(Quantity::weight_scale).element(1, int64_t(i), weight_.scales[i], inputs_.scales[i], 0);
    } else {
      judge_rows(weight_, realized(problem_, values_.weight), Quantity::weight_scale, Quantity::weight_code);
    }
    dequantized_ = reference::dequantize_rows(weight_);
    times_.compare += watch_.lap();
  }

  void judge_activation() {
    if (!observed_.activation) throw std::runtime_error("the subject shows no int8 activations");
    activation_ = as_rows(*observed_.activation, problem_.tokens, problem_.inputs, "activations");
    judge_rows(activation_, values_.x, Quantity::activation_scale, Quantity::activation_code);
    if (observed_.accumulators) {
      const std::vector<int64_t> sums = reference::integer_product(activation_, weight_);
      if (observed_.accumulators->size() != sums.size())
        throw std::runtime_error(
            fmt::format("{} accumulators: expected {}", observed_.accumulators->size(), sums.size()));
      for (size_t i = 0; i < sums.size(); ++i)
        judge(Quantity::accumulator).element(1, int64_t(i), (*observed_.accumulators)[i], double(sums[i]), 0);
    }
    note_codes();
    times_.compare += watch_.lap();
  }

  // Fewer codes than the data have values for: nothing was quantized.
  void note_codes() {
    const std::set<int8_t> used(activation_.codes.begin(), activation_.codes.end());
    // of one input, every code is that of the largest
    const size_t wanted = problem_.inputs == 1 ? 1 : activation_.codes.size() >= 64 ? 4 : 2;
    if (used.size() < wanted && vacuous_.empty())
      vacuous_ = fmt::format("{} activations used only {} codes", activation_.codes.size(), used.size());
  }

  void judge_output() {
    const LinearArithmetic arithmetic = subject_.arithmetic(problem_);
    const bool exact = problem_.regime == LayerRegime::integers && problem_.layer.empty();
    const Matrix& weight = problem_.mode == LayerMode::int8 ? dequantized_ : values_.weight;
    const LinearBound y = problem_.quantizes_activations()
                              ? product_bound(problem_, activation_, weight_, values_.bias)
                              : sum_bound(values_.x, weight, true, values_.bias,
                                          problem_.small_batch() ? arithmetic.dot : arithmetic.forward, exact);
    times_.contract += watch_.lap();
    compare(y, observed_.output, Quantity::output);
    note_signal(y);
    times_.compare += watch_.lap();
    const bool quantized = problem_.quantizes_activations() || problem_.weight != WeightSource::codes;
    if (problem_.mode == LayerMode::int8 && quantized && values_.x.allFinite()) {
      const LinearBound error =
          quantization_bound(problem_, values_, problem_.quantizes_activations() ? &activation_ : nullptr, weight_, y);
      times_.contract += watch_.lap();
      compare(error, observed_.output, Quantity::quantization);
      judge(Quantity::quantization_likely)
          .stored(1, problem_.type, observed_.output, {error.expected.data(), size_t(error.expected.size())},
                  {error.likely.data(), size_t(error.likely.size())});
    }
  }

  void judge_gradient() {
    const Matrix& weight = problem_.mode == LayerMode::int8 ? dequantized_ : values_.weight;
    const bool exact = problem_.regime == LayerRegime::integers && problem_.layer.empty();
    const LinearBound g =
        sum_bound(values_.grad_output, weight, false, {}, subject_.arithmetic(problem_).backward, exact);
    times_.contract += watch_.lap();
    compare(g, observed_.input_gradient, Quantity::input_gradient);
    times_.compare += watch_.lap();
  }

  void compare(const LinearBound& b, const std::vector<std::byte>& got, Quantity quantity) {
    const auto n = size_t(b.expected.size());
    if (b.bound.isFinite().all())
      return judge(quantity).stored(1, problem_.type, got, {b.expected.data(), n}, {b.bound.data(), n});
    // Where parts of a sum may be infinities of both signs, NaN is of the kind that is to come.
    std::vector<double> values(n);
    load(problem_.type, got.data(), values);
    Matrix expected = b.expected;
    for (size_t i = 0; i < n; ++i)
      if (!std::isfinite(b.bound.data()[i]) && std::isnan(values[i])) expected.data()[i] = values[i];
    judge(quantity).stored(1, problem_.type, got, {expected.data(), n}, {b.bound.data(), n});
  }

  // Could a layer that returns its bias, or one value, have passed?
  void note_signal(const LinearBound& y) {
    if (!vacuous_.empty()) return;
    bool bias_noticed = false, varied = y.expected.size() == 1;
    double signal = 0, bound = 0;
    for (int64_t t = 0; t < y.expected.rows(); ++t)
      for (int64_t o = 0; o < y.expected.cols(); ++o) {
        const double b = values_.bias.size() > 0 ? values_.bias[o] : 0, v = y.expected(t, o) - b;
        if (!std::isfinite(y.expected(t, o))) continue;
        const Interval in = rounding_interval(problem_.type, round_to(problem_.type, b));
        bias_noticed |= std::max(in.low - y.expected(t, o), y.expected(t, o) - in.high) > y.bound(t, o);
        varied |= y.expected(t, o) != y.expected(0, 0);
        signal += v * v;
        bound += y.bound(t, o) * y.bound(t, o);
      }
    if (!bias_noticed)
      vacuous_ = "a layer that returns its bias would pass";
    else if (!varied)
      vacuous_ = "the output is constant";
    else if (!(bound < signal))
      vacuous_ = "the bound exceeds the output";
  }

  void describe_options(CaseResult& out) const {
    const auto use = [&](std::string value, bool acted = true) { out.options.push_back({std::move(value), acted}); };
    use(fmt::format("mode={}", to_string(problem_.mode)));
    use(fmt::format("type={}", to_string(problem_.type)));
    use(fmt::format("weight={}", to_string(problem_.weight)));
    if (problem_.weight == WeightSource::fp8)
      use(fmt::format("scales={}", to_string(problem_.scales)), problem_.block < problem_.inputs);
    use(problem_.small_batch() ? "batch=small" : "batch=large");
    use(problem_.bias ? "bias=true" : "bias=false");
    use(fmt::format("layer_data={}", problem_.layer.empty() ? to_string(problem_.regime) : "recorded"));
  }

  const LinearProblem& problem_;
  const LinearSubject& subject_;
  const LinearSubject* twin_;
  LinearInputs inputs_;
  LinearValues values_;
  LinearObservation observed_;
  QuantizedRows weight_, activation_;
  Matrix dequantized_;
  std::map<Quantity, QuantityJudge> judges_;
  std::string vacuous_;
  CaseTimes times_;
  Stopwatch watch_;
};

}  // namespace

CaseResult run_case(const LinearProblem& problem, const Subject& subject, const CaseOptions& options) {
  CaseResult result;
  result.line = to_string(problem);
  result.suite = options.suite;
  result.subject = subject.name();
  result.elements = problem.tokens * problem.outputs;
  result.steps = 1;
  validate(problem);
  const LinearSubject* layer = subject.linear();
  if (layer == nullptr) {
    result.verdict = Verdict::skipped;
    result.reason = fmt::format("subject {} has no linear layer", subject.name());
    return result;
  }
  if (const std::string why = layer->cannot_run(problem); !why.empty()) {
    result.verdict = Verdict::skipped;
    result.reason = why;
    return result;
  }
  try {
    LinearRun run(problem, *layer, options.twin != nullptr ? options.twin->linear() : nullptr);
    run.run();
    run.finish(result);
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& e) {
    result.verdict = Verdict::error;
    result.reason = e.what();
  }
  return result;
}

}  // namespace plumbline::harness
