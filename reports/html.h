// report.html, for people: one self-contained page that opens offline, for light, dark and paper. It is well-formed XML
// too.
#pragma once
#include <string>

#include "reports/summary.h"

namespace plumbline::reports {

std::string write_html(const Summary& summary);

}  // namespace plumbline::reports
