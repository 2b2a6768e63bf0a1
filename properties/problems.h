// Problems for RapidCheck: drawn as generated.h draws them, then adjusted to what a property is about, and shrunk along
// shape, steps, options, storage, types and data.
#pragma once
#include <rapidcheck.h>

#include <functional>
#include <iosfwd>

#include "harness/problem.h"

namespace plumbline::harness {
// How RapidCheck prints a problem: the line that `plumbline case` takes.
void showValue(const Problem& problem, std::ostream& out);
}  // namespace plumbline::harness

namespace plumbline::properties {

// Any problem with up to `largest` elements. `adjust` makes it one of the property's kind (and is applied again to
// everything that shrinking tries); what validate() then refuses is not drawn.
rc::Gen<harness::Problem> problems(const std::function<void(harness::Problem&)>& adjust = {}, int64_t largest = 1024);

// A number of [low, high), each as likely: RapidCheck's own ranges start small and grow with the number of cases.
template <class T>
rc::Gen<T> anywhere(T low, T high) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange(low, high));
}

// Without momentum, confidence, limiter and projection.
void plain_chain(harness::Problem& problem);
// How far one step may go where no gradient was: nowhere, but for a dithered momentum of the update, whose zeros read
// back as half a step of the smallest scale, 2^-100. An alpha of up to 2^20 is allowed for.
double residue_of_nothing(const harness::Problem& problem);
// No random number in what is stored, and gradients as they are.
void round_to_nearest(harness::Problem& problem);

// Smaller problems to try in place of this one, the most promising first.
std::vector<harness::Problem> smaller(const harness::Problem& problem);

}  // namespace plumbline::properties
