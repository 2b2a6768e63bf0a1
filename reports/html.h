// report.html, for people: one plain page without scripts or anything to load, for light and dark. It is well-formed
// XML too.
#pragma once
#include <string>
#include <string_view>

#include "reports/summary.h"

namespace plumbline::reports {

std::string write_html(const Summary& summary);

// The page's style sheet.
std::string_view html_style();

}  // namespace plumbline::reports
