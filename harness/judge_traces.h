// `plumbline judge TRACE...`: every tensor of recorded runs as a case.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "harness/registry.h"

namespace plumbline::harness {

// Cases in the order of the files and of their tensors; the suite is the peer's name. Throws InputError where there is
// no file, or one that is no recorded run.
std::vector<PlannedCase> plan_recorded(const std::vector<std::string>& paths, std::optional<DType> arithmetic = {},
                                       bool flushed = false);

}  // namespace plumbline::harness
