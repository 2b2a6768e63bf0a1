// Which option values a case set, and whether each acted on its result: the rows of the report's table of options.
#pragma once
#include "harness/problem.h"
#include "harness/result.h"
#include "harness/vacuity.h"
#include "reference/record.h"

namespace plumbline::harness {

class OptionsActed {
 public:
  explicit OptionsActed(const Problem& problem) : problem_(problem) {}
  // After every step of the reference.
  void note(const reference::StepRecord& record);
  // `stepped`: some step was not skipped.
  void describe(bool stepped, const Vacuity& vacuity, CaseResult& out) const;

 private:
  const Problem& problem_;
  bool clip_ = false, eps2_ = false, decay_ = false, relative_ = false, nonfinite_ = false, limiter_ = false,
       bias_ = false;
};

// The option values that a problem sets, as those of a case that was not run: none has acted.
std::vector<CaseResult::OptionUse> options_set(const Problem& problem);

}  // namespace plumbline::harness
