// What judging one case yields, and who may listen to it.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/evidence.h"
#include "harness/section.h"

namespace plumbline::harness {

enum class Verdict : uint8_t { pass, marginal, vacuous, skipped, fail, error };
inline constexpr int kVerdicts = 6;
const char* to_string(Verdict verdict);
// marginal and skipped are listed, not red.
inline bool is_red(Verdict v) { return v == Verdict::vacuous || v == Verdict::fail || v == Verdict::error; }

// Named quantities in the order of the computation: the first one outside its bound names the broken stage.
enum class Quantity : uint8_t {
  clock,                   // steps taken (exact)
  nonfinite,               // how many gradient elements fell under the non-finite policy (exact)
  parameter_rms,           // RMS(p) before the step
  row,                     // R, as the step used it
  col,                     // C
  second_moment,           // V of the full path
  low_rank_gradient,       // G_low
  low_rank_second_moment,  // its V
  low_rank_row,            // its R
  low_rank_col,            // its C
  momentum,                // M before storage
  momentum_scale,          // block scales of M, which every later stage reads as it is stored
  momentum_code,           // codes given those scales
  momentum_stored,         // decoded values
  low_rank_momentum,
  low_rank_momentum_scale,
  low_rank_momentum_code,
  low_rank_momentum_stored,
  channel_scale,   // s of the projected path
  update_rms,      // RMS(u) before the clip
  clip,            // max(1, RMS(u)/d)
  confidence_row,  // averages of (u - M)^2, as the step used them
  confidence_col,
  update_norm,  // nu, before the limiter
  limiter,      // l
  bias,         // of the bias correction
  step_size,    // alpha
  keep,         // 1 - weight_decay * k
  row_scale,    // averages as they are stored: block scales, codes given those scales, decoded values
  row_code,
  row_stored,
  col_scale,
  col_code,
  col_stored,
  second_moment_scale,
  second_moment_code,
  second_moment_stored,
  confidence_row_scale,
  confidence_row_code,
  confidence_row_stored,
  confidence_col_scale,
  confidence_col_code,
  confidence_col_stored,
  low_rank_second_moment_scale,
  low_rank_second_moment_code,
  low_rank_second_moment_stored,
  low_rank_row_scale,
  low_rank_row_code,
  low_rank_row_stored,
  low_rank_col_scale,
  low_rank_col_code,
  low_rank_col_stored,
  update_stored,  // u from stored state against u from the values before coding
  previous_norm,  // what the limiter recorded: nu/l
  parameter,
  twin_bits,  // words of parameters, state and intermediates that differ from the host twin's (exact: 0)
  row_drift,  // global comparison: against the free-running reference
  col_drift,
  second_moment_drift,
  momentum_drift,
  confidence_row_drift,
  confidence_col_drift,
  low_rank_momentum_drift,
  low_rank_second_moment_drift,
  low_rank_row_drift,
  low_rank_col_drift,
  previous_norm_drift,  // of recorded runs
  parameter_drift,
  // of the W8A8 linear layer
  weight_scale,
  weight_code,  // given those scales (exact)
  activation_scale,
  activation_code,
  accumulator,          // int32 sums of the subject's codes (exact)
  output,               // from the subject's codes and scales
  quantization,         // the output against the product of what was quantized
  quantization_likely,  // the same within six standard deviations of quantization errors
  input_gradient,
};
inline constexpr int kQuantities = static_cast<int>(Quantity::input_gradient) + 1;
const char* to_string(Quantity quantity);
// Compared for equality: no bound, so none that could be loose.
inline bool is_exact(Quantity q) {
  return q == Quantity::clock || q == Quantity::nonfinite || q == Quantity::twin_bits || q == Quantity::weight_code ||
         q == Quantity::activation_code || q == Quantity::accumulator;
}
// Its bound is not rigorous: what lies outside makes a case marginal, not failed.
inline bool is_probabilistic(Quantity q) { return q == Quantity::quantization_likely; }

// Sizes of the tensor that a case judges, for judging how tight bounds are.
enum class SizeClass : uint8_t { small, medium, large };  // <= 64, <= 1024, more elements
inline constexpr int kSizeClasses = 3;
const char* to_string(SizeClass size);
SizeClass size_class(int64_t elements);
// A bound is loose where hardly any case comes near it: where none of at least kLooseCases cases has an element whose
// error/bound reaches loose_below(). Then, at a level of 0.1 %, fewer than one case in ten does: 0.9^66 < 0.001. Of
// fewer cases nothing is said.
double loose_below(SizeClass size);
inline constexpr uint64_t kLooseCases = 66;
inline bool is_loose(double largest, uint64_t cases, SizeClass size) {
  return cases >= kLooseCases && largest < loose_below(size);
}

// Histogram of error/bound over elements: bucket 0 holds exact zeros, then four buckets an octave from 2^-24 up; the
// last holds everything above 2^6 and whatever is not a number.
struct RatioHistogram {
  static constexpr int kBuckets = 122;
  std::array<uint64_t, kBuckets> count{};
  double largest = 0;  // +inf where an element was NaN against a number, or exceeded a bound of zero

  void add(double ratio) {
    if (ratio > largest) largest = ratio;
    ++count[size_t(bucket_of(ratio))];
    if (!(ratio >= 0)) largest = std::numeric_limits<double>::infinity();
  }
  static int bucket_of(double ratio) {
    if (ratio == 0) return 0;
    if (!(ratio > 0 && ratio <= 0x1p6)) return kBuckets - 1;
    // 2^e (1 + f): quarters of the octave end at 2^(1/4), 2^(1/2), 2^(3/4) and 2; 2^e itself ends the octave below
    const auto bits = std::bit_cast<uint64_t>(ratio), fraction = bits & 0xfffffffffffffu;
    const int quarter =
        (fraction > 0) + (fraction > 0x306fe0a31b715u) + (fraction > 0x6a09e667f3bcdu) + (fraction > 0xae89f995ad3adu);
    return std::max(1, 4 * (int(bits >> 52) - 1023 + 24) + quarter);
  }
  void merge(const RatioHistogram& other);
  uint64_t total() const;
  double quantile(double q) const;  // upper edge of the bucket that holds it; 0 when empty
  static double upper_edge(int bucket);
};

// The element of one quantity that came nearest to its bound or went furthest beyond it.
struct WorstElement {
  int64_t step = 0;
  int64_t index = 0;  // flat, within the quantity
  double got = 0;
  double expected = 0;
  double bound = 0;  // absolute
  double ratio = 0;  // error / bound
};

struct QuantityResult {
  Quantity quantity{};
  RatioHistogram ratios;
  WorstElement worst;
  uint64_t outside = 0;    // elements outside the bound
  uint64_t unbounded = 0;  // whose bound is infinite or NaN: judged for NaN alone, in no other member
  // beyond the range of their type in the reference and in the subject: judged by kind (infinity and its sign, NaN)
  // alone, in no other member
  uint64_t out_of_range = 0;
};

// What storing one kind of state did to the update, over the elements and steps of a case.
struct StoredUpdate {
  std::string state;  // "momentum in uf8 stochastic"
  uint64_t elements = 0;
  uint64_t lifted = 0;           // elements whose second moment was below what the codes resolve
  double error = 0, update = 0;  // sums of squares: of the change, of the exact update (averages: of its factor, 1)
  double largest = 0;            // change of one element
  void add(double change, double exact, bool was_lifted) {
    ++elements;
    lifted += was_lifted;
    error += change * change;
    update += exact * exact;
    if (!(change <= largest && -change <= largest)) largest = change < 0 ? -change : change;
  }
};

// Per step of a recorded training: how far the subject has drifted from the free-running double-precision reference.
struct DriftPoint {
  int64_t step = 0;
  Quantity quantity{};      // one of the *_drift quantities
  double drift = 0;         // norm of the drift / norm of the reference
  double quantization = 0;  // the part that the ledger attributes to stored codes, same unit
  double bound =
      0;  // derived bound of the part that is neither (largest over elements, relative to the reference's largest)
};

// Elements around the worst one of the first broken quantity, at the step where it broke.
struct ElementWindow {
  Quantity quantity{};
  int64_t step = 0;
  std::string type;  // how the subject stores them: "f32", "bf16", "f16", "u8", "u16" (codes), "f64", or "count"
  std::vector<int64_t> index;  // flat, within the quantity; the other lists are parallel
  std::vector<double> got, expected, bound, ratio;
  std::vector<int64_t> block;  // of the state's storage; empty where there are no blocks
};

// Seconds that one case spent where.
struct CaseTimes {
  double generate = 0, reference = 0, contract = 0, subject = 0, compare = 0;
  double total() const { return generate + reference + contract + subject + compare; }
};

struct CaseResult {
  std::string line;   // reproduces the case: plumbline case '<line>'
  std::string suite;  // "traces", "generated", ...
  std::string subject;
  Verdict verdict = Verdict::pass;
  std::string reason;  // for every verdict but pass: one line
  std::optional<Quantity> first_broken;
  std::optional<int64_t> first_broken_step;
  int64_t elements = 0;
  int64_t steps = 0;
  std::vector<QuantityResult> quantities;  // only those that were compared, in order
  std::vector<DriftPoint> drift;           // recorded trainings only
  // "name=value" of every option value class that this case set, with whether it acted on the result.
  struct OptionUse {
    std::string value;
    bool acted = false;
  };
  std::vector<OptionUse> options;
  std::vector<StoredUpdate> stored_updates;  // of the state that it stored
  // An option that a recording sets, and whether a program without it would have been outside the bounds.
  struct Proof {
    std::string option;  // "weight_decay=0.1"
    bool proved = false;
  };
  std::vector<Proof> proofs;  // of recorded runs
  std::string recording;      // the file; empty for a case that no file holds
  CaseTimes times;
  int redraws = 0;                      // vacuous draws of the plan that this case stands for
  uint64_t bits = 0;                    // checksum of the parameter and state bytes after every step; 0: none were seen
  std::optional<ElementWindow> window;  // of a failing case
  std::shared_ptr<const Evidence> evidence;  // where it was asked for and something broke
};

// The machine, the build and the command of one run.
struct RunDescription {
  std::string version, commit, date;  // ISO 8601, UTC
  std::string command;
  std::string subject, suite;
  uint64_t seed = 0;
  int shard = 0, shards = 1;    // this run is part `shard` of `shards`
  uint64_t suite_cases = 0;     // planned in all parts together
  uint64_t suite_checksum = 0;  // of their lines, in planned order
  std::string cpu, os, compiler, flags, build_type;
  int cores = 0;
  std::string gpu, gpu_driver, cuda_toolkit, gpu_architecture;  // empty without a GPU
};

struct RunSummary {
  std::array<uint64_t, kVerdicts> verdicts{};
  uint64_t redrawn = 0;  // cases whose first draw could not have failed
  double seconds = 0;
  std::vector<std::string> errors;  // of the suite itself, not of a case: red
  std::string stopped;              // why the run did not reach its end; empty: it did
  uint64_t not_begun = 0;           // cases that were planned and not begun then; they are among the skipped
  bool part_accepted = false;       // a part of the suite was asked for: it may be green
  bool green() const;
  uint64_t cases() const;
};

// Receives results one at a time (the runner serialises calls).
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void begin(const RunDescription& run, uint64_t planned_cases) = 0;
  virtual void on_case(const CaseResult& result) = 0;
  // Tables and charts of a study, in the order in which they are to be shown; any time before end().
  virtual void on_section(const Section&) {}
  virtual void end(const RunSummary& summary) = 0;
};

}  // namespace plumbline::harness
