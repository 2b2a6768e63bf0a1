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

// A momentum over its second moment, element by element.
struct MomentumUnits {
  reference::Vector unit;    // b/sqrt(V in use)
  reference::Vector lifted;  // phi: what raising V to the codes' resolution left of b/sqrt(V); 1: nothing was raised
  reference::Vector worth;   // the most that a step of the codes is promised to be worth; empty: nothing is promised
};
// V is not factored: a step is worth 1.
void promise_full(const reference::Vector& step, MomentumUnits& units);
// V = R C/mean(R): gamma = b q sqrt(mean(R)/(R_i mean_i (b q)^2)), or by the row's mean where that is less. `row`,
// `col` as they were before anything raised them, `step` the codes' q.
void promise_factored(const reference::Vector& step, double bias, const reference::Tensor& row,
                      const reference::Tensor& col, const reference::Vector& row_mean, MomentumUnits& units);

// Red too where a step of the codes, q unit, is worth more than is promised: whatever the subject and the reference
// agree on.
void judge_stored_momentum(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
                           std::span<const float> used, const reference::Tensor& stored,
                           const reference::Vector& resolution, const MomentumUnits& units, QuantityJudge& judge,
                           StoredUpdate& sum);

}  // namespace plumbline::harness
