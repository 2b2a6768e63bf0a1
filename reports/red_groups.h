// Many red cases at one glance: by the stage that broke first, with what the cases of a stage have in common.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "reports/summary.h"

namespace plumbline::reports {

// A word of cases' lines ("storage=al16") or a property of their shape ("odd columns").
struct SharedTrait {
  std::string trait;
  double red = 0, green = 0;  // share of the group's cases and of the judged cases that are not red
};

struct RedGroup {
  std::string what;  // "fail at row", "vacuous", "error"
  uint64_t cases = 0;
  // Of nine tenths of the group or more, and of at most two thirds of the green ones; what tells most comes first.
  std::vector<SharedTrait> shared;
  std::string shortest;  // the line of the case with the fewest element-steps
};

// Of the cases that a report lists, the largest group first.
std::vector<RedGroup> group_red(const Summary& summary);

// "storage=al16 (100 % of them, 9 % of the green)", up to `most`, joined by semicolons.
std::string describe_shared(const RedGroup& group, size_t most = 4);

}  // namespace plumbline::reports
