// What this machine and this build are, for reports.
#pragma once
#include <string>

#include "harness/result.h"

namespace plumbline::harness {

// Fills version, commit, date, cpu, os, compiler, flags, cores; the GPU's fields too when `subject` is cuda.
RunDescription describe_machine(const std::string& subject);

}  // namespace plumbline::harness
