// One problem for a live subject: a dialect with its options, a shape, types, data, steps and a seed. A comparable
// value that prints itself as one line and parses that line back; the line reproduces the case wherever the subject is.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case.h"
#include "harness/format.h"
#include "reference/dialects/dialect.h"

namespace plumbline::harness {

// How gradients look. All are functions of (seed, step, place in the tensor) alone.
enum class LiveRegime : uint8_t {
  gaussian,     // bell-shaped, one scale
  wide,         // rows and columns of scales from 2^-4 to 2^4
  heavy_tail,   // a few elements up to 2^11 times larger
  sparse_rows,  // nine rows of ten are zero, others in every step
  zero_rows,    // the same rows are zero in every step
  constant,     // one value
  rank_one,     // outer product
  spike,        // a few elements of the second step 2^10 times larger
  growing,      // each step 4 times larger than the one before
  frozen,       // the same gradient in every step
};
inline constexpr int kLiveRegimes = 10;
const char* to_string(LiveRegime regime);

struct LiveProblem {
  std::string dialect;
  std::string options = "{}";     // a JSON object without spaces: the dialect's own names
  std::vector<int64_t> shape{1};  // none: one number
  std::vector<int64_t> from{};    // where in the endless tensor of data this one begins; empty: at its origin
  DType parameter = DType::float32, gradient = DType::float32;
  LiveRegime regime = LiveRegime::gaussian;
  int exponent = -6;            // gradients are about 2^exponent
  int parameter_exponent = -4;  // initial parameters about 2^parameter_exponent; one in sixteen is 0
  int64_t beside = 0;           // other tensors of the same session, before this one; they are stepped and not judged
  int64_t steps = 1;
  uint64_t seed = 1;

  bool operator==(const LiveProblem&) const = default;
  int64_t elements() const;
};

// "live dialect=torch shape=1x3 options={"lr":0.1} grad=bf16 data=wide steps=2 seed=7": what differs from the defaults,
// and always dialect, shape, steps, seed. shape=scalar: no axes.
std::string to_string(const LiveProblem& problem);
LiveProblem parse_live_problem(std::string_view line);  // throws InputError
// Throws InputError for an unknown dialect or option (listing the known ones), a value out of range, a shape that the
// dialect does not take.
void validate(const LiveProblem& problem);

// `subject` has to be a live one (subject.h): throws InputError where it is not.
CaseResult run_case(const LiveProblem& problem, const Subject& subject, const CaseOptions& options = {});

// The options of a JSON object under the dialect's own names; throws InputError for what is none.
std::vector<reference::NamedOption> live_options(std::string_view json);

}  // namespace plumbline::harness
