// What a case keeps of the step at which it failed.
#pragma once
#include <cstddef>
#include <span>

#include "harness/checksum.h"
#include "harness/contracts/bounds.h"
#include "harness/evidence.h"
#include "harness/problem.h"
#include "harness/result.h"
#include "harness/slots.h"
#include "harness/subject.h"
#include "reference/optimizer.h"

namespace plumbline::harness {

// Parameter and state, as they are stored.
void add_bits(const Observation& observed, Checksum& sum);

struct FailedStep {
  const Problem& problem;
  int64_t step;
  std::span<const std::byte> gradient, parameter;  // what the step read
  const Observation* before;                       // what the step before left; null: this is the first
  const Observation& after;
  const Observation* twin;              // null without one
  const reference::StepRecord* record;  // the reference's intermediates; null where the step was skipped
  const reference::Tensor& expected;    // the reference's parameter
  const StepBounds& bounds;
};

// Arrays before, after, expected, bound and of the twin. Those that would exceed 64 MiB in all are left out, the
// reference's first.
Evidence gather_evidence(const FailedStep& step);

// Type and blocks of a window's elements.
void describe_storage(const Problem& problem, const Observation& observed, ElementWindow& window);

}  // namespace plumbline::harness
