// Made-up results for the writers' tests, and readers that know nothing of the writers.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "harness/result.h"
#include "reports/summary.h"

namespace plumbline::reports::samples {

// Text that has to be escaped in every format.
inline const std::string kHostile = "a<b & \"c\" 'd' ]]> | `e` \\ \t\n\x01 \xFF\xC3 é <script>alert(1)</script>";

inline constexpr int kDriftQuantities = harness::kQuantities - static_cast<int>(harness::Quantity::row_drift);

harness::RunDescription description();
// A passing case with every quantity; results differ by seed.
harness::CaseResult passing(uint64_t seed);
// Outside at `row`, step 3, with a NaN.
harness::CaseResult failing(const std::string& line);
harness::CaseResult with_verdict(harness::Verdict verdict, const std::string& line);
// A recorded training of 24 steps with drift in every drift quantity.
harness::CaseResult training(const std::string& line, double scale);

// Every kind of chart and cell, hostile strings, values that cannot be drawn.
harness::Section study();

// All verdicts, two trainings, hostile strings.
std::vector<harness::CaseResult> mixed();
Summary summarize(const std::vector<harness::CaseResult>& results);

struct Element {
  std::string name, text;
  std::map<std::string, std::string> attributes;
  std::vector<Element> children;
  std::vector<const Element*> all(const std::string& wanted) const;  // descendants of that name, in order
};
// The tree of a well-formed XML document; throws std::runtime_error where it is not.
Element parse_xml(const std::string& document);

}  // namespace plumbline::reports::samples
