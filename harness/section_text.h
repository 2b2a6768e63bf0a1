// Sections for a terminal: tables set in columns, text wrapped. Charts are for the report.
#pragma once
#include <string>

#include "harness/section.h"

namespace plumbline::harness {

// Caption, heading, rule, rows; numbers to the right, of three significant digits. Ends with a line end.
std::string table_text(const Table& table);

// Title, text and its tables, or only the first of them: the one that a reader at a terminal came for.
enum class TablesShown : uint8_t { first, all };
std::string section_text(const Section& section, TablesShown shown = TablesShown::all);

}  // namespace plumbline::harness
