// One case from a problem to a verdict: inputs, reference, bounds, subject, comparison - local (each step from the
// subject's own state) and global (against a reference that runs on from the start without quantization).
#pragma once
#include <optional>

#include "harness/problem.h"
#include "harness/result.h"
#include "harness/subject.h"

namespace plumbline::harness {

struct CaseOptions {
  std::string suite = "case";
  bool record_drift = false;                            // keep DriftPoints of every step
  const Subject* twin = nullptr;                        // a subject that must give the same bits, step by step
  bool evidence = false;                                // keep the bits of the first step at which something broke
  std::optional<int64_t> evidence_step = std::nullopt;  // keep those of this step instead, broken or not
  bool global = true;                                   // compare with a reference that runs on from the start too
};

// Never throws for what a subject does (that is Verdict::error); throws InputError for a problem that cannot be
// realized.
CaseResult run_case(const Problem& problem, const Subject& subject, const CaseOptions& options = {});

}  // namespace plumbline::harness
