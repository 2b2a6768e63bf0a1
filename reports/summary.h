// What one run's results come to: everything that the writers show, gathered one case at a time in bounded memory
// (a short entry per case, up to kListed; whole results only of the red and the worst).
#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/result.h"

namespace plumbline::reports {

// One quantity over all cases of one size class.
struct QuantitySize {
  harness::RatioHistogram ratios;  // error / bound, one count an element and step
  uint64_t cases = 0;
  uint64_t outside = 0;       // elements outside their bound
  uint64_t unbounded = 0;     // elements with an infinite bound, beside `ratios`
  uint64_t out_of_range = 0;  // elements judged by kind alone, beside `ratios`
  harness::WorstElement worst;
  std::string worst_line;
  bool bounded = false;                  // the worst element of some case had a bound above zero
  harness::RatioHistogram case_largest;  // largest error / bound of each case
  bool empty() const { return cases == 0; }
  // Every case agreed exactly and nothing else was admitted: there is no bound to be loose.
  bool exact() const { return ratios.total() > 0 && ratios.largest == 0 && !bounded; }
  // Quantiles are upper edges of buckets; none is shown above the largest ratio.
  double quantile(double q) const;
};

struct OptionCount {
  std::array<uint64_t, harness::kVerdicts> cases{};  // that set this value, by verdict
  std::array<uint64_t, harness::kVerdicts> acted{};  // of those, where it acted on the result
  uint64_t covered() const;                          // of those, the ones that were judged and could have failed
};

struct CaseEntry {
  static constexpr double kNone = -1;
  std::string line, suite, subject, reason;
  harness::Verdict verdict{};
  std::optional<harness::Quantity> first_broken;
  std::optional<int64_t> first_broken_step;
  double ratio = kNone;  // largest error / bound; kNone where nothing was compared
  int64_t elements = 0, steps = 0;
  double seconds = 0, subject_seconds = 0;
  uint64_t bits = 0;  // checksum of what the subject left; 0: none
};

// Largest error / bound of one result; CaseEntry::kNone where nothing was compared.
double largest_ratio(const harness::CaseResult& result);

// One quantity of one case.
struct QuantityDetail {
  harness::Quantity quantity{};
  uint64_t elements = 0, outside = 0;
  double max = 0;  // largest error / bound
  harness::WorstElement worst;
};

// A case told at length.
struct CaseDetail {
  CaseEntry entry;
  std::vector<QuantityDetail> quantities;  // in the order of the computation
  std::vector<harness::CaseResult::OptionUse> options;
  harness::CaseTimes times;
  std::optional<harness::ElementWindow> window;
  std::string bundle;  // folder beside the report; empty without one
};

// Details in an order, of which only the first `capacity` are kept.
class Selection {
 public:
  using Before = bool (*)(const CaseEntry&, const CaseEntry&);
  Selection(size_t capacity, Before before) : capacity_(capacity), kept_(Order{before}) {}
  bool wants(const CaseEntry& entry) const;
  void add(CaseDetail detail);  // one that is wanted
  const auto& kept() const { return kept_; }

 private:
  struct Order {
    Before before;
    bool operator()(const CaseDetail& a, const CaseDetail& b) const { return before(a.entry, b.entry); }
  };
  size_t capacity_;
  std::multiset<CaseDetail, Order> kept_;
};

// The drift of a recorded training.
struct TrainingDrift {
  std::string line, suite, subject;
  std::vector<harness::DriftPoint> points;
};

// RunSummary::stopped of a report that a run leaves while it goes on.
inline constexpr const char* kUnfinished = "the run has not ended: it goes on, or it was killed or crashed";

class Summary {
 public:
  static constexpr size_t kWorst = 20;       // cases listed as worst, by largest error / bound
  static constexpr size_t kDetailed = 200;   // red cases kept whole
  static constexpr size_t kListed = 20'000;  // cases listed, in planned order; beside them as many red ones

  Summary();
  void begin(const harness::RunDescription& description, uint64_t planned_cases);
  // `bundle`: where the case's bundle lies, relative to the report.
  void add(const harness::CaseResult& result, const std::string& bundle = {});
  void add(const harness::Section& section) { sections.push_back(section); }
  void list(CaseEntry entry);                       // or counts it as unlisted
  void finish(const harness::RunSummary& summary);  // sorts
  void sort();                                      // cases and drift, by suite and line

  harness::RunDescription run;
  uint64_t planned = 0;
  harness::RunSummary outcome;
  std::array<std::array<QuantitySize, harness::kSizeClasses>, harness::kQuantities> quantities;
  std::map<std::string, OptionCount> options;  // by "name=value"
  harness::CaseTimes times;                    // sums
  std::vector<CaseEntry> cases;                // those that are listed
  uint64_t unlisted = 0;                       // further ones
  uint64_t unlisted_red = 0;                   // of those
  Selection worst;
  Selection red;                           // error and fail before vacuous
  std::vector<TrainingDrift> drift;        // sorted as the cases
  std::vector<harness::Section> sections;  // in the order of their arrival

  // Cases and sections: neither red, and something was judged; all of it, unless a part was asked for.
  bool green() const;
  // "green", "red", or "truncated": nothing that ran is red, and not everything ran.
  const char* state() const;
  uint64_t all_cases() const { return cases.size() + unlisted; }
  uint64_t red_cases() const;
  // "2,412 cases, none red", "2,412 cases, 3 red: 1 fail, 2 vacuous".
  std::string headline() const;

 private:
  size_t red_listed_beyond_ = 0;
};

// Whether no element of this class came near its bound; false for an exact comparison and for a class without elements.
bool is_loose(const QuantitySize& q, harness::SizeClass size);

}  // namespace plumbline::reports
