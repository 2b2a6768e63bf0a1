// What this machine and this build are, for reports.
#pragma once
#include <string>

#include "harness/result.h"

namespace plumbline::harness {

// Fills version, commit, date, cpu, os, compiler, flags, cores; the GPU's fields too when `subject` is cuda.
RunDescription describe_machine(const std::string& subject);

// Version, commit and features of this build, and what is available on this machine: some lines for `--version`, of
// which the first names version and commit.
std::string describe_build();

}  // namespace plumbline::harness
