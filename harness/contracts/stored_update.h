// What storing does to the update of a step, against what is promised (reference/CODECS.md): u from stored state beside
// u from the values before coding, in double, from the subject's codes and scales. Every store counts once.
//
//   averages   u ~ 1/sqrt(V): sqrt(v/v') per value, between its neighbouring codes, within a factor of 2 whatever they
//              are: never read as zero
//   momentum   b (M' - M)/sqrt(V in use), M' between the codes around M
#pragma once
#include <span>

#include "harness/contracts/arithmetic.h"
#include "harness/judge.h"
#include "harness/subject.h"
#include "reference/tensor.h"

namespace plumbline::harness {

// `used`: values before coding; `stored`: what their codes decode to.
void judge_stored_average(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
                          std::span<const float> used, const reference::Tensor& stored, QuantityJudge& judge,
                          StoredUpdate& sum);

// Momentum under its second moment: `unit` is b/sqrt(V in use) of every element, `lifted` the share of it that what
// keeps V above the codes' resolution has left (1: V is as it was).
void judge_stored_momentum(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
                           std::span<const float> used, const reference::Tensor& stored, const reference::Vector& unit,
                           const reference::Vector& lifted, QuantityJudge& judge, StoredUpdate& sum);

}  // namespace plumbline::harness
