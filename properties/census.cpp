#include "properties/census.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "harness/error.h"
#include "harness/family.h"
#include "harness/runner.h"
#include "properties/covering.h"

namespace plumbline::properties {
namespace {

using harness::CaseResult;
using harness::Section;
using harness::Table;
using harness::Verdict;

constexpr size_t kMissingShown = 200;

const char* name_of(int strength) { return strength == 2 ? "pairs" : "triples"; }

std::string grouped(int64_t n) {
  std::string out = std::to_string(n);
  for (int at = int(out.size()) - 3; at > 0; at -= 3) out.insert(size_t(at), ",");
  return out;
}

// The search for what is valid takes a second: once.
const Tuples& none_covered(int strength) {
  static const Tuples pairs(2);
  if (strength == 2) return pairs;
  static const Tuples triples(3);
  return triples;
}

struct Count {
  int64_t cases = 0, judged = 0, acted = 0, redraws = 0;
};

class Coverage final : public harness::Census {
 public:
  explicit Coverage(int strength) {
    for (int s = 2; s <= strength; ++s) met_.push_back(none_covered(s));
    acted_ = met_;
    for (int f = 0; f < kFactors; ++f) counts_.emplace_back(size_t(values_of(f)));
  }

  void on_case(const CaseResult& result) override {
    for (const std::string& family : harness::family_names())
      if (result.line.starts_with(family + " ")) return;  // not an optimizer's
    const auto classes = classify(harness::parse_problem(result.line));
    if (!classes) return;  // a recorded training: its data has no class
    ++cases_;
    std::array<bool, kFactors> acted{};
    // A vacuous case could not have failed; one that failed was judged.
    const bool judged =
        result.verdict == Verdict::pass || result.verdict == Verdict::marginal || result.verdict == Verdict::fail;
    for (int f = 0; f < kFactors; ++f) {
      acted[size_t(f)] = acted_in(result, value_name(f, (*classes)[size_t(f)]));
      Count& count = counts_[size_t(f)][size_t((*classes)[size_t(f)])];
      ++count.cases;
      count.redraws += result.redraws;
      count.judged += judged;
      count.acted += judged && acted[size_t(f)];
    }
    if (!judged) return;
    ++judged_;
    for (Tuples& t : met_) t.cover(*classes);
    for (Tuples& t : acted_) t.cover(*classes, acted);
  }

  // "2 1 cases judged", then cases, judged, acted and redraws of every value, then the tuples that were met and that
  // acted.
  std::string part(bool whole) const override {
    std::string out = fmt::format("{} {} {} {}", met_.back().strength(), int(whole), cases_, judged_);
    for (const auto& values : counts_)
      for (const Count& c : values) out += fmt::format(" {} {} {} {}", c.cases, c.judged, c.acted, c.redraws);
    for (const Tuples& t : met_) out += " " + t.digits();
    for (const Tuples& t : acted_) out += " " + t.digits();
    return out;
  }

  // Adds what another one counted; whether that was all of its cases.
  bool join(const std::string& part) {
    std::istringstream in(part);
    int strength = 0, whole = 0;
    int64_t cases = 0, judged = 0;
    in >> strength >> whole >> cases >> judged;
    cases_ += cases;
    judged_ += judged;
    for (auto& values : counts_)
      for (Count& c : values) {
        Count more;
        in >> more.cases >> more.judged >> more.acted >> more.redraws;
        c.cases += more.cases;
        c.judged += more.judged;
        c.acted += more.acted;
        c.redraws += more.redraws;
      }
    std::string digits;
    for (auto* tuples : {&met_, &acted_})
      for (Tuples& t : *tuples) {
        in >> digits;
        t.join(digits);
      }
    if (!in || strength != met_.back().strength())
      throw harness::InputError("not a part of a coverage of this program");
    return whole != 0;
  }

  Section describe(bool whole) const override {
    Section out;
    out.id = "coverage";
    const Tuples& wanted = met_.back();
    const int64_t missing = wanted.valid() - wanted.covered();
    out.green = !whole || missing == 0;
    const std::string of =
        fmt::format("{} valid {} of option values", grouped(wanted.valid()), name_of(wanted.strength()));
    out.title = missing == 0 ? "Coverage: all " + of
                : whole      ? fmt::format("Coverage: {} of {} missing", grouped(missing), of)
                             : fmt::format("Coverage of a part of the suite: {} of {}", grouped(wanted.covered()), of);
    out.text = fmt::format(
        "Combinations of values of {} options, types, shapes and regimes, met in {} generated cases that were judged "
        "and could have failed, of {}. A combination is valid unless no problem that validate() accepts has it, or "
        "none could be judged; \"acted\": in some case every one of the values acted on the result. A draw that turns "
        "out vacuous is drawn again "
        "within its classes, at most {} times: \"redrawn\" counts those.",
        kFactors, grouped(judged_), grouped(cases_), harness::kRedraws);
    out.tables = {combinations(), missing_ones(), excluded(), distribution()};
    if (out.tables[1].rows.empty()) out.tables.erase(out.tables.begin() + 1);
    return out;
  }

 private:
  static bool acted_in(const CaseResult& result, const std::string& value) {
    return std::none_of(result.options.begin(), result.options.end(),
                        [&](const CaseResult::OptionUse& use) { return !use.acted && use.value == value; });
  }

  Table combinations() const {
    Table t{"Combinations", {"of", "valid", "met", "acted", "missing", "not valid"}, {}};
    for (size_t i = 0; i < met_.size(); ++i)
      t.rows.push_back({std::string(name_of(met_[i].strength())), met_[i].valid(), met_[i].covered(),
                        acted_[i].covered(), met_[i].valid() - met_[i].covered(), met_[i].refused()});
    return t;
  }

  Table missing_ones() const {
    Table t{"Missing", {"combination"}, {}};
    for (const std::string& name : met_.back().missing(kMissingShown)) t.rows.push_back({name});
    const int64_t more = met_.back().valid() - met_.back().covered() - int64_t(t.rows.size());
    if (more > 0) t.rows.push_back({fmt::format("and {} more", more)});
    return t;
  }

  static Table excluded() {
    Table t{"What makes a combination not valid", {"combination", "why", "reason"}, {}};
    for (const Exclusion& e : exclusions())
      if (e.kind != Exclusion::Kind::unsure)
        t.rows.push_back({std::string(e.combination),
                          std::string(e.kind == Exclusion::Kind::meaning   ? "no meaning"
                                      : e.kind == Exclusion::Kind::refused ? "refused"
                                                                           : "nothing to judge"),
                          std::string(e.reason)});
    return t;
  }

  Table distribution() const {
    Table t{"What was generated", {"value", "cases", "judged", "acted", "redrawn", "share (%)"}, {}};
    for (int f = 0; f < kFactors; ++f)
      for (int v = 0; v < values_of(f); ++v) {
        if (!is_counted(f, v)) continue;
        const Count& c = counts_[size_t(f)][size_t(v)];
        const double share = cases_ > 0 ? 100 * double(c.cases) / double(cases_) : 0;
        t.rows.push_back({value_name(f, v), c.cases, c.judged, c.acted, c.redraws, std::round(10 * share) / 10});
      }
    return t;
  }

  std::vector<Tuples> met_, acted_;  // by strength: 2, 3
  std::vector<std::vector<Count>> counts_;
  int64_t cases_ = 0, judged_ = 0;
};

const harness::RegisterSuiteCensus kCoverage(
    {"coverage", "optimizer",
     [](const harness::SuiteRequest& request) { return make_coverage(strength_of(request.size)); }, join_coverage});

}  // namespace

Section join_coverage(std::span<const std::string> parts) {
  // a part begins with its strength
  Coverage all(!parts.empty() && parts.front().starts_with("2 ") ? 2 : 3);
  bool whole = true;
  for (const std::string& part : parts) whole = all.join(part) && whole;
  return all.describe(whole);
}

std::unique_ptr<harness::Census> make_coverage(int strength) { return std::make_unique<Coverage>(strength); }

}  // namespace plumbline::properties
