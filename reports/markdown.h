// report.md, short enough for a pull request's comment.
#pragma once
#include <string>

#include "reports/summary.h"

namespace plumbline::reports {

std::string write_markdown(const Summary& summary);

}  // namespace plumbline::reports
