// step_bench for another program: commands on standard input, one line of JSON for each on standard output, so that a
// script can time other optimizers on the same GPU in turn with these steps.
//
//   machine N                   copy rates of N replays
//   open SHAPE P G VARIANT      takes memory and warms up; what one step is, with an id
//   time ID device|event|host N {"us": [...]}, N samples: see Steps
//   close ID                    gives the memory back
//
// A command that fails answers {"error": why}, but an error of the device ends the program. So does the end of the
// input.
#pragma once
#include <nlohmann/json.hpp>

#include "tests/benchmarks/gpu/steps.h"

namespace plumbline::bench {

nlohmann::json machine_json(const Machine& machine);
void serve(Storage storage);

}  // namespace plumbline::bench
