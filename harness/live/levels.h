// Values at which each option of a dialect is drawn: its default, some on other sides of it, off.
#pragma once
#include <string>
#include <vector>

#include "harness/live/capabilities.h"
#include "reference/dialects/dialect.h"

namespace plumbline::harness::live {

struct OptionLevels {
  std::string name;
  std::vector<std::string> values;  // JSON; the default first, unless the subject states others
  std::string standard;             // the dialect's default
};

// From the dialect's option table: values that its rule takes while all others are at their defaults, and that a
// subject of these capabilities takes. `left_out` hears of options and values that it does not.
struct LeftOut {
  std::string what, why;
};
std::vector<OptionLevels> option_levels(const reference::Dialect& dialect, const Capabilities& capabilities,
                                        std::vector<LeftOut>& left_out);

// The text of an option table as JSON: none is null, a name a string.
std::string json_of(const std::string& text);
// {"name": value, ...} of what differs from the defaults, without spaces.
std::string options_text(const std::vector<OptionLevels>& options, const std::vector<int>& levels);

}  // namespace plumbline::harness::live
