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
  static constexpr std::array<const char*, kQuantities> names = {"clock",
                                                                 "nonfinite",
                                                                 "parameter_rms",
                                                                 "row",
                                                                 "col",
                                                                 "second_moment",
                                                                 "low_rank_gradient",
                                                                 "low_rank_second_moment",
                                                                 "low_rank_row",
                                                                 "low_rank_col",
                                                                 "momentum",
                                                                 "momentum_scale",
                                                                 "momentum_code",
                                                                 "momentum_stored",
                                                                 "low_rank_momentum",
                                                                 "low_rank_momentum_scale",
                                                                 "low_rank_momentum_code",
                                                                 "low_rank_momentum_stored",
                                                                 "channel_scale",
                                                                 "update_rms",
                                                                 "clip",
                                                                 "confidence_row",
                                                                 "confidence_col",
                                                                 "update_norm",
                                                                 "limiter",
                                                                 "bias",
                                                                 "step_size",
                                                                 "keep",
                                                                 "row_scale",
                                                                 "row_code",
                                                                 "row_stored",
                                                                 "col_scale",
                                                                 "col_code",
                                                                 "col_stored",
                                                                 "second_moment_scale",
                                                                 "second_moment_code",
                                                                 "second_moment_stored",
                                                                 "confidence_row_scale",
                                                                 "confidence_row_code",
                                                                 "confidence_row_stored",
                                                                 "confidence_col_scale",
                                                                 "confidence_col_code",
                                                                 "confidence_col_stored",
                                                                 "low_rank_second_moment_scale",
                                                                 "low_rank_second_moment_code",
                                                                 "low_rank_second_moment_stored",
                                                                 "low_rank_row_scale",
                                                                 "low_rank_row_code",
                                                                 "low_rank_row_stored",
                                                                 "low_rank_col_scale",
                                                                 "low_rank_col_code",
                                                                 "low_rank_col_stored",
                                                                 "update_stored",
                                                                 "previous_norm",
                                                                 "parameter",
                                                                 "twin_bits",
                                                                 "row_drift",
                                                                 "col_drift",
                                                                 "second_moment_drift",
                                                                 "momentum_drift",
                                                                 "confidence_row_drift",
                                                                 "confidence_col_drift",
                                                                 "low_rank_momentum_drift",
                                                                 "low_rank_second_moment_drift",
                                                                 "low_rank_row_drift",
                                                                 "low_rank_col_drift",
                                                                 "previous_norm_drift",
                                                                 "parameter_drift",
                                                                 "weight_scale",
                                                                 "weight_code",
                                                                 "activation_scale",
                                                                 "activation_code",
                                                                 "accumulator",
                                                                 "output",
                                                                 "quantization",
                                                                 "quantization_likely",
                                                                 "input_gradient"};
  return static_cast<int>(quantity) < kQuantities ? names[static_cast<size_t>(quantity)] : "?";
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
  return errors.empty() && judged > 0 && (stopped.empty() || part_accepted);
}

}  // namespace plumbline::harness
