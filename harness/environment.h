// What a process was given, and numerics rest on.
#pragma once

namespace plumbline::harness {

// Throws InputError where the calling thread, and so every thread that it starts, rounds otherwise than to nearest or
// makes subnormal numbers zero: a library that was built with fast-math does so when it is loaded. Neither the
// reference nor a subject would then compute what it says.
void check_floating_point();

}  // namespace plumbline::harness
