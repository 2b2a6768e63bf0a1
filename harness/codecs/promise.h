// What storing a momentum does to the update, against what a storage has to keep to be recommended: on an adverse
// matrix over many steps, and on given states once. u = b M/sqrt(V), b the bias correction, with the second moment in
// use never below what one step of M's codes resolves: CODECS.md, "What is promised".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "harness/codecs/samples.h"
#include "harness/codecs/storage.h"

namespace plumbline::harness::codecs {

struct PromiseRow {
  std::string state;  // "adverse matrix, factored", "gpt_bytes: momentum and dead columns"
  Storage storage;
  double dead = 0;   // furthest way, in steps, of elements that never had a gradient; once: largest |u'| of them
  double died = 0;   // the same of elements without gradients for 400 steps, beside live ones, from there on
  double rms = 0;    // RMS(u' - u)/RMS(u) over steps
  double reach = 0;  // largest |u' - u| of one store over what is promised for it
  // In words, what is not kept; empty where all is: a zero is read as zero and reached, RMS(u' - u) <= RMS(u) over the
  // steps, and one store changes no element by more than gamma + max(1 - phi, 2^-7)|u|: a step of the codes is worth at
  // most gamma (1 where V is not factored), phi is what lifting V took from u, 2^-7 is bfloat16's.
  std::string broken() const;
};

// Storages of momentum over 1,600 steps of a 16 x 64 matrix with columns that are dead, that died after 400 steps, that
// are 10^-6 of the others, an outlier, and rows that are dead, rarely seen, frozen from step 800 on. beta1 = 0.9,
// beta2 = 0.999; V in double, of the whole matrix or factored.
PromiseRow measure_adverse(const Storage& storage, bool factored, uint64_t seed);

// One store of a momentum with its second moments (Sample::second_moments), beside a dead element in every 64.
PromiseRow measure_given(const Storage& storage, const Sample& sample, uint64_t seed);

}  // namespace plumbline::harness::codecs
