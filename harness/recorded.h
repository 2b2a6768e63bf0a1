// One tensor of a recorded run, judged against the reference in the dialect of its peer: local, from the recorded
// parameter and state of the step before, and global, free-running from the initial parameter. The recording is its own
// subject.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case.h"
#include "harness/format.h"
#include "harness/trace.h"

namespace plumbline::harness {

struct RecordedRun {
  std::string trace;                  // path of the file
  std::string tensor;                 // empty: a file that could not be read so far as to know its tensors
  std::optional<DType> arithmetic{};  // of elementwise results; none: the widest type of its parameters and state
  bool flushed = false;               // the peer turns subnormal results into zero
  bool operator==(const RecordedRun&) const = default;
};

// "recorded trace=mine.safetensors tensor=16x16 arithmetic=f32 subnormals=flushed"; '%', ' ' and control characters of
// names are written as %25, %20, ...
std::string to_string(const RecordedRun& run);
RecordedRun parse_recorded_run(std::string_view line);  // throws InputError
// Nothing: a recording that cannot be judged is the error of its own case.
void validate(const RecordedRun& run);

// Verdicts as in any case; `subject` is not asked. Throws InputError where the recording cannot be read, names an
// unknown peer, option or tensor, lacks an array or contradicts itself.
CaseResult run_case(const RecordedRun& run, const Subject& subject, const CaseOptions& options = {});
CaseResult judge_recorded(const Trace& trace, const RecordedRun& run, const CaseOptions& options = {});

// The subject of recorded runs: takes no other problem.
std::unique_ptr<Subject> make_recording();

}  // namespace plumbline::harness
