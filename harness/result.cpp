#include "harness/result.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace plumbline::harness {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "pass";
    case Verdict::marginal:
      return "marginal";
    case Verdict::vacuous:
      return "vacuous";
    case Verdict::skipped:
      return "skipped";
    case Verdict::fail:
      return "fail";
    case Verdict::error:
      return "error";
  }
  return "?";
}

const char* to_string(Quantity quantity) {
  switch (quantity) {
    case Quantity::clock:
      return "clock";
    case Quantity::nonfinite:
      return "nonfinite";
    case Quantity::parameter_rms:
      return "parameter_rms";
    case Quantity::row:
      return "row";
    case Quantity::col:
      return "col";
    case Quantity::second_moment:
      return "second_moment";
    case Quantity::update_rms:
      return "update_rms";
    case Quantity::clip:
      return "clip";
    case Quantity::step_size:
      return "step_size";
    case Quantity::keep:
      return "keep";
    case Quantity::row_scale:
      return "row_scale";
    case Quantity::row_code:
      return "row_code";
    case Quantity::row_stored:
      return "row_stored";
    case Quantity::col_scale:
      return "col_scale";
    case Quantity::col_code:
      return "col_code";
    case Quantity::col_stored:
      return "col_stored";
    case Quantity::second_moment_scale:
      return "second_moment_scale";
    case Quantity::second_moment_code:
      return "second_moment_code";
    case Quantity::second_moment_stored:
      return "second_moment_stored";
    case Quantity::low_rank_momentum:
      return "low_rank_momentum";
    case Quantity::low_rank_second_moment:
      return "low_rank_second_moment";
    case Quantity::low_rank_row:
      return "low_rank_row";
    case Quantity::low_rank_col:
      return "low_rank_col";
    case Quantity::momentum:
      return "momentum";
    case Quantity::confidence_row:
      return "confidence_row";
    case Quantity::confidence_col:
      return "confidence_col";
    case Quantity::previous_norm:
      return "previous_norm";
    case Quantity::parameter:
      return "parameter";
    case Quantity::twin_bits:
      return "twin_bits";
    case Quantity::row_drift:
      return "row_drift";
    case Quantity::col_drift:
      return "col_drift";
    case Quantity::second_moment_drift:
      return "second_moment_drift";
    case Quantity::low_rank_momentum_drift:
      return "low_rank_momentum_drift";
    case Quantity::low_rank_second_moment_drift:
      return "low_rank_second_moment_drift";
    case Quantity::low_rank_row_drift:
      return "low_rank_row_drift";
    case Quantity::low_rank_col_drift:
      return "low_rank_col_drift";
    case Quantity::momentum_drift:
      return "momentum_drift";
    case Quantity::confidence_row_drift:
      return "confidence_row_drift";
    case Quantity::confidence_col_drift:
      return "confidence_col_drift";
    case Quantity::previous_norm_drift:
      return "previous_norm_drift";
    case Quantity::parameter_drift:
      return "parameter_drift";
    case Quantity::weight_scale:
      return "weight_scale";
    case Quantity::weight_code:
      return "weight_code";
    case Quantity::activation_scale:
      return "activation_scale";
    case Quantity::activation_code:
      return "activation_code";
    case Quantity::accumulator:
      return "accumulator";
    case Quantity::output:
      return "output";
    case Quantity::quantization:
      return "quantization";
    case Quantity::quantization_likely:
      return "quantization_likely";
    case Quantity::input_gradient:
      return "input_gradient";
  }
  return "?";
}

const char* to_string(SizeClass size) {
  switch (size) {
    case SizeClass::small:
      return "small";
    case SizeClass::medium:
      return "medium";
    case SizeClass::large:
      return "large";
  }
  return "?";
}

SizeClass size_class(int64_t elements) {
  return elements <= 64 ? SizeClass::small : elements <= 1024 ? SizeClass::medium : SizeClass::large;
}

double loose_below(SizeClass size) {
  switch (size) {
    case SizeClass::small:
      return 0.2;
    case SizeClass::medium:
      return 0.05;
    case SizeClass::large:
      return 0.01;
  }
  return 0;
}

void RatioHistogram::merge(const RatioHistogram& other) {
  for (int bucket = 0; bucket < kBuckets; ++bucket) count[bucket] += other.count[bucket];
  largest = std::max(largest, other.largest);
}

uint64_t RatioHistogram::total() const { return std::accumulate(count.begin(), count.end(), uint64_t{0}); }

double RatioHistogram::upper_edge(int bucket) {
  if (bucket <= 0) return 0;
  if (bucket >= kBuckets - 1) return std::numeric_limits<double>::infinity();
  return std::exp2(-24 + bucket * 0.25);
}

double RatioHistogram::quantile(double q) const {
  const uint64_t all = total();
  if (all == 0) return 0;
  const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(q * static_cast<double>(all))));
  uint64_t seen = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    seen += count[bucket];
    if (seen >= wanted) return upper_edge(bucket);
  }
  return upper_edge(kBuckets - 1);
}

uint64_t RunSummary::cases() const { return std::accumulate(verdicts.begin(), verdicts.end(), uint64_t{0}); }

bool RunSummary::green() const {
  for (int v = 0; v < kVerdicts; ++v) {
    if (is_red(static_cast<Verdict>(v)) && verdicts[v] != 0) return false;
  }
  // A run that judged nothing has shown nothing.
  const uint64_t judged = verdicts[static_cast<int>(Verdict::pass)] + verdicts[static_cast<int>(Verdict::marginal)];
  return errors.empty() && judged > 0;
}

}  // namespace plumbline::harness
