// Joins reports: the parts of one sharded run become the report of the whole run, and studies' sections go along.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "reports/summary.h"

namespace plumbline::reports {

struct NamedSummary {
  std::string name;  // for messages
  Summary summary;
};

// Parts with cases must be shards of one run, each once; the result is what the whole run would have reported, but for
// times: elapsed seconds are the longest part's, the date is the first's. Shards that are missing (lost, preempted,
// ended with an error of their own) and cases that are make it red: an error of the run says which. Reports of studies
// add their sections (and cases, where they have some), in the order given. Throws harness::InputError for parts that
// overlap or belong to different runs.
Summary merge_reports(std::vector<NamedSummary> parts);

}  // namespace plumbline::reports
