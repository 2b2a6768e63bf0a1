// Sections of report.html, each a whole <section> or nothing.
#pragma once
#include <string>
#include <string_view>

#include "reports/summary.h"

namespace plumbline::reports::html {

std::string red_cases(const Summary& summary);
std::string quantities(const Summary& summary);
std::string worst_cases(const Summary& summary);
std::string drift(const Summary& summary);

// "good", "warn", "bad" or "none": the classes of the style sheet.
std::string_view tone(harness::Verdict verdict);
std::string badge(harness::Verdict verdict);
// The command that repeats a case, selected whole by a click.
std::string copy_line(std::string_view line);

}  // namespace plumbline::reports::html
