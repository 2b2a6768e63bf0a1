// What a chain computes, in one line for people: the tables of DIALECTS.md are made of these.
#pragma once
#include <string>

#include "reference/optimizer.h"

namespace plumbline::reference {

// Transforms in the order of the computation, joined by " · ": "R, C: w = t^-0.8, eps1 1e-30 · u = x/√V̂ · clip to 1".
std::string describe(const Optimizer& optimizer);
// Of one transform. Throws std::logic_error for one that has no words.
std::string describe(const Transform& transform);

// The generated part of DIALECTS.md: rows of dialect, what is switched on, chain; versions and their defects.
std::string dialect_tables();

}  // namespace plumbline::reference
