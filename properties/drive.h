// Driving a subject by hand: for properties that compare runs with each other and not with the reference.
#pragma once
#include <vector>

#include "harness/data.h"
#include "harness/subject.h"

namespace plumbline::properties {

// Initial parameter and one gradient a step, in storage precision.
struct Inputs {
  harness::Realized parameter;
  std::vector<harness::Realized> gradients;
};
Inputs inputs_of(const harness::Problem& problem);

// Changes every value of x to change(value, flat index), rounded to `type` again.
template <class Change>
void change_values(harness::Realized& x, harness::DType type, Change change) {
  for (int64_t i = 0; i < x.values.size(); ++i) x.values.data[i] = change(x.values.data[i], i);
  const auto n = size_t(x.values.size());
  harness::store(type, {x.values.data.data(), n}, x.bytes.data());
  harness::load(type, x.bytes.data(), {x.values.data.data(), n});
}

// What every step left. `problem` says options, shape and types; its data is not read.
std::vector<harness::Observation> drive(const harness::Subject& subject, const harness::Problem& problem,
                                        const Inputs& inputs);

// Values of a parameter, and whether two observations hold the same bits everywhere.
std::vector<double> parameter_of(const harness::Problem& problem, const harness::Observation& seen);
bool same_state(const harness::Observation& a, const harness::Observation& b);
bool same_bits(const harness::Observation& a, const harness::Observation& b);  // parameter and state

}  // namespace plumbline::properties
