// compare.html: two reports side by side, for people; a page like report.html.
#pragma once
#include <string>

#include "reports/compare.h"

namespace plumbline::reports {

std::string write_compare_html(const Comparison& comparison);

}  // namespace plumbline::reports
