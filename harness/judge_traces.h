// `plumbline judge TRACE...`: every tensor of recorded runs as a case.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "harness/registry.h"

namespace plumbline::harness {

// Cases in the order of the files and of their tensors; the suite is the peer's name. A file that is no recorded run is
// one case, whose verdict will be `error`. Throws InputError where there is no file.
std::vector<PlannedCase> plan_recorded(const std::vector<std::string>& paths, std::optional<DType> arithmetic = {},
                                       bool flushed = false);

// Throws the InputError of the first case, and how many more there are, where none of them can be judged.
void refuse_unless_one_can_be_judged(const std::vector<PlannedCase>& cases);

}  // namespace plumbline::harness
