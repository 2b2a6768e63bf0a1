// What the names of quantities mean, for readers of a report who do not know the program.
#pragma once
#include <string>
#include <string_view>

#include "harness/result.h"

namespace plumbline::reports {

// One sentence or two, in plain text.
std::string_view meaning(harness::Quantity quantity);

// Codes, and what reads back from them: the error is that of one rounding, whose bound is half a step between codes by
// design. That some element comes near it says nothing of arithmetic.
bool is_one_rounding(harness::Quantity quantity);

// The id of the entry in a page's glossary: "meaning-row".
std::string glossary_id(harness::Quantity quantity);

}  // namespace plumbline::reports
