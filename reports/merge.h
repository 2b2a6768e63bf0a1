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

// Parts with cases must be all the shards of one run, each once; the result is what the whole run would have reported,
// but for times: elapsed seconds are the longest part's, the date is the first's. Reports of studies add their
// sections (and cases, where they have some), in the order given. Throws harness::InputError for parts that overlap,
// miss, or belong to different runs.
Summary merge_reports(std::vector<NamedSummary> parts);

}  // namespace plumbline::reports
