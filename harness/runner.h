// Runs planned cases on all cores and hands results, in planned order, to listeners.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "harness/case.h"
#include "harness/registry.h"
#include "harness/subject.h"

namespace plumbline::harness {

// A vacuous case that can be redrawn is, so many times at most; the result says how often.
inline constexpr int kRedraws = 4;
CaseResult run_planned(const PlannedCase& planned, const Subject& subject, const CaseOptions& options);

struct RunOptions {
  double budget = 0;              // seconds; 0: no limit. Cases not begun by then are reported as skipped
  bool accept_part = false;       // what the budget cuts short may be green
  const Subject* twin = nullptr;  // every case must give this subject's bits too
  int threads = 0;                // 0: all cores
  int evidence = 0;               // failing cases whose bits are kept: the first so many that end
  // What the suite brings beside cases: called after the last of them, hands its sections to `tell`. `whole`: every
  // case was run.
  std::function<void(bool whole, const std::function<void(const Section&)>& tell)> studies = {};
};

// Ends early, with what has ended by then, when an InterruptWatch notes a signal: cases not begun are skipped.
RunSummary run_cases(const CasePlan& cases, const Subject& subject, const RunDescription& description,
                     std::span<Listener* const> listeners, const RunOptions& options = {});

// How long run_cases would take for cases such as these: seconds, from running up to `samples` of them, evenly spread
// and not reported. Nothing for a plan of fewer cases than ten times as many, with a case that cannot be realized, or
// when an InterruptWatch notes a signal meanwhile.
std::optional<double> estimate_seconds(const CasePlan& cases, const Subject& subject, const RunOptions& options,
                                       int samples = 24);

// Seconds of "60s", "10m", "2h" or a bare number; 0 for nothing. Throws InputError.
double parse_budget(const std::string& text);

// Cases i of n: every n-th, so that shards are alike. Throws InputError unless 0 <= i < n.
struct Shard {
  int index = 0, count = 1;
};
Shard parse_shard(const std::string& text);  // "2/8"
// From GTEST_SHARD_INDEX and GTEST_TOTAL_SHARDS, or Slurm's array variables; the whole where they are not set.
Shard shard_from_environment();
CasePlan select_shard(const CasePlan& cases, Shard shard);

// Of the lines of all cases, in their order. Throws InputError for a case that is impossible.
uint64_t checksum_of(const CasePlan& cases);

}  // namespace plumbline::harness
