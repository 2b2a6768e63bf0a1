// `plumbline verify` of a live subject: its plan, and what its cases came to together.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/live/plan.h"
#include "harness/live/shrink.h"
#include "harness/registry.h"

namespace plumbline::harness::live {

// Hears of every case; then shrinks what is red, and proves options: that a subject which ignores one would have
// failed.
class LiveSuite final : public Census {
 public:
  LiveSuite(const LiveSubject& subject, size_t cases, uint64_t seed);
  CasePlan plan() const;
  void on_case(const CaseResult& result) override;
  Section describe(bool whole) const override;
  std::string part(bool) const override { return ""; }
  // Lines for the first screen; after describe().
  const std::vector<std::string>& screen() const { return screen_; }

 private:
  struct OptionProof {
    std::string option, value, line;
    int64_t cases = 0;
    bool acts = false;  // other bits of the reference, however small
  };
  void shrink_red(Section& section) const;
  std::vector<OptionProof> prove_options() const;

  const LiveSubject& subject_;
  LivePlan plan_;
  std::unordered_map<std::string, size_t> index_;  // of a line in the plan
  std::vector<size_t> judged_, passed_;
  std::vector<std::pair<size_t, CaseResult>> red_;  // the first of each kind
  std::map<std::string, int64_t> skipped_;          // reasons
  mutable std::vector<std::string> screen_;
};

}  // namespace plumbline::harness::live
