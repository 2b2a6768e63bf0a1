// What was found, as sections of a report: a table per part, a row per device.
#pragma once
#include <vector>

#include "harness/section.h"
#include "harness/subjects/hardware/device_run.h"

namespace plumbline::harness::hardware {

std::vector<Section> make_sections(const std::vector<DeviceRun>& runs, const std::vector<std::string>& notes);

}  // namespace plumbline::harness::hardware
