// Two reports side by side: new failures, changed headroom, changed speed, changed bits.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reports/summary.h"

namespace plumbline::reports {

// One report, or several runs of the same suite that differ in their seeds.
struct Pool {
  std::string name;
  std::vector<Summary> runs;
};
// A report.json, a folder that holds one, or a folder of such folders. Throws harness::InputError.
Pool read_pool(const std::filesystem::path& path);

// Times of one run say little of another on a machine that does other things too: speed is judged where both sides hold
// this many runs, and what is slower then is slower in every run than before in any.
inline constexpr size_t kSpeedRuns = 3;

struct CompareOptions {
  double slower = 1.1;  // factor of a time
  double level = 1e-3;  // error level of all tests of one kind together
  bool same_bits = false, ignore_speed = false;
};

struct CaseChange {
  std::string suite, line;
  harness::Verdict before{}, after{};
  std::string reason;  // of the later one
};

// Largest error/bound of a case, for one quantity and size class: the cases of A against those of B.
struct HeadroomChange {
  harness::Quantity quantity{};
  harness::SizeClass size{};
  uint64_t cases_before = 0, cases_after = 0;
  double median_before = 0, median_after = 0, largest_before = 0, largest_after = 0;
  // Probability that a case of B lies nearer to its bound than one of A, ties halved: 0.5 where nothing changed.
  double nearer = 0.5;
  double p = 1;  // two-sided, of the rank-sum test, corrected for the number of rows (Holm)
  bool significant = false, regressed = false;
};

// Time of the subject (or all time of a case, where a report has no other) over the cases that every run of both sides
// judged. A run counts by the median of its times over the fastest times before.
struct SpeedChange {
  std::string suite;
  uint64_t cases = 0;
  double seconds_before = 0, seconds_after = 0;  // of the middle run
  double ratio = 1;                              // middle run over middle run
  double low = 1, high = 1;                      // fastest run after over slowest before, slowest over fastest
  bool judged = false, regressed = false;
};

// A time or a rate of a study's table: the middle runs, and by how much every run is slower after than any before.
struct MeasureChange {
  std::string where, what;  // section and table, row and column
  double before = 0, after = 0, low = 1;
  bool judged = false, regressed = false;
};

// How many cases a run of one suite judges.
struct JudgedChange {
  std::string suite;
  double before = 0, after = 0;  // mean over runs
};

struct Comparison {
  std::string name_before, name_after;
  harness::RunDescription before, after;
  std::vector<uint64_t> seeds_before, seeds_after;
  CompareOptions options;
  uint64_t common = 0, only_before = 0, only_after = 0;  // cases
  std::vector<CaseChange> new_red, no_longer_red;
  std::vector<CaseChange> not_judged;  // judged before, skipped after or, in a run of the same plan, absent
  std::vector<JudgedChange> judges_fewer;
  std::vector<std::string> red_sections;  // green before
  std::vector<std::string> lost_sections;
  uint64_t new_red_only_after = 0;  // red cases of B that A does not have
  std::vector<HeadroomChange> headroom;
  std::vector<SpeedChange> speed;
  std::vector<MeasureChange> measures;
  bool bits_known = false;
  uint64_t bits_compared = 0;
  std::vector<CaseChange> changed_bits;
  bool bits_regressed = false;

  bool regressed() const;
};

// Throws harness::InputError where the two have nothing in common.
Comparison compare(const Pool& before, const Pool& after, const CompareOptions& options = {});

// For a terminal: at most some 40 lines.
std::string comparison_text(const Comparison& comparison);

}  // namespace plumbline::reports
