// Lines that a person reads while the command runs.
#pragma once
#include <string>

#include "harness/subjects/hardware/device_run.h"

namespace plumbline::harness::hardware {

std::string target_line(const Target& target, const std::string& driver);
// "functions    19 scans of 2^32 inputs, all as certified (3.4 s)"
std::string part_line(const DeviceRun& run, Part part);
// "al8, small blocks: ...: first differs in step 1, row, element 17: got 3f800001, expected 3f800000 (12 of 130
// differ)"
std::string difference_text(const diagnostics::Difference& difference);
std::string finding_text(const diagnostics::Finding& finding);

}  // namespace plumbline::harness::hardware
