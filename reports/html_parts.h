// Parts of report.html, each a whole section added to the page, or nothing where there is nothing to show.
#pragma once
#include <string>
#include <string_view>

#include "reports/page.h"
#include "reports/summary.h"

namespace plumbline::reports::html {

void red_cases(Page& page, const Summary& summary);
void options(Page& page, const Summary& summary);
void quantities(Page& page, const Summary& summary);
void exactness(Page& page, const Summary& summary);
void glossary(Page& page, const Summary& summary);
void drift(Page& page, const Summary& summary);
void study(Page& page, const harness::Section& section);

// Opens a section under an id; its heading says what it shows. close_section ends it.
void open_section(Page& page, std::string_view id, std::string_view heading, std::string_view badge = {});
void close_section(Page& page);
void table(Page& page, const harness::Table& table);

// Facts of the data sheet: what was judged and what was left out; entries of a definition list.
std::string sheet(const Summary& summary);

// A quantity's name, which links to what it means.
std::string quantity_link(harness::Quantity quantity);
// "good", "warn", "bad" or "none": the classes of the style sheet.
std::string_view tone(harness::Verdict verdict);
std::string badge(harness::Verdict verdict);
// The command that repeats a case, with a button that copies it.
std::string copy_line(std::string_view line);
// Any text as a line with a copy button.
std::string copy_text(std::string_view text);

}  // namespace plumbline::reports::html
