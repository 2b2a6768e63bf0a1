// report.json, for programs: the format is in reports/SCHEMA.md.
#pragma once
#include <string>

#include "reports/summary.h"

namespace plumbline::reports {

std::string write_json(const Summary& summary);

}  // namespace plumbline::reports
