// junit.xml, for CI servers: one test case per case, one test suite per suite of the run. Names carry the reproducing
// lines.
#pragma once
#include <string>

#include "reports/summary.h"

namespace plumbline::reports {

std::string write_junit(const Summary& summary);

}  // namespace plumbline::reports
