#include "properties/property.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rapidcheck.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "harness/error.h"
#include "harness/lives/subject.h"
#include "harness/ways.h"

namespace plumbline::properties {
namespace {

std::vector<Property>& registered() {
  static std::vector<Property> list;
  return list;
}

// RapidCheck's words on their way to a terminal: nobody asked for them here.
class Silent final : public rc::detail::TestListener {
 public:
  void onTestCaseFinished(const rc::detail::CaseDescription&) override {}
  void onShrinkTried(const rc::detail::CaseDescription&, bool) override {}
  void onTestFinished(const rc::detail::TestMetadata&, const rc::detail::TestResult&) override {}
};

// The subject, which no problem reaches that it does not run.
class Willing final : public harness::Subject, public harness::OffersWays, public harness::OffersLives {
 public:
  explicit Willing(const harness::Subject& subject) : subject_(subject) {}
  std::string name() const override { return subject_.name(); }
  std::string cannot_run(const harness::Problem& problem) const override {
    if (const std::string why = subject_.cannot_run(problem); !why.empty()) {
      refusal_ = why;
      throw NothingToJudge(why);
    }
    return "";
  }
  std::unique_ptr<harness::Session> start(const harness::Problem& problem,
                                          std::span<const std::byte> parameter) const override {
    cannot_run(problem);
    return subject_.start(problem, parameter);
  }
  const harness::LinearSubject* linear() const override { return subject_.linear(); }
  std::vector<harness::Way> ways() const override {
    const auto* offers = dynamic_cast<const harness::OffersWays*>(&subject_);
    return offers ? offers->ways() : std::vector<harness::Way>{};
  }
  std::unique_ptr<harness::Session> start(const harness::Problem& problem, std::span<const std::byte> parameter,
                                          harness::Way way) const override {
    cannot_run(problem);
    return dynamic_cast<const harness::OffersWays&>(subject_).start(problem, parameter, way);
  }
  bool offers(harness::Act act) const override {
    const auto* lives = dynamic_cast<const harness::OffersLives*>(&subject_);
    return lives && lives->offers(act);
  }
  std::unique_ptr<harness::LifeSession> begin(const harness::Life& life,
                                              std::span<const std::vector<std::byte>> parameters) const override {
    return dynamic_cast<const harness::OffersLives&>(subject_).begin(life, parameters);
  }
  const std::string& refusal() const { return refusal_; }  // the last; empty where it ran all that it was asked

 private:
  const harness::Subject& subject_;
  mutable std::string refusal_;
};

// "Problem: line" of every drawn value, then the assertion.
std::string describe(const rc::detail::FailureResult& failure) {
  std::string text;
  for (const auto& [what, value] : failure.counterExample) text += value + "\n";
  return text + failure.description;
}

// RC_TAG shows a text with its quotes.
std::string unquoted(const std::vector<std::string>& tags) {
  std::string text = fmt::format("{}", fmt::join(tags, " "));
  std::erase(text, '"');
  return text;
}

}  // namespace

const std::vector<Property>& all_properties() { return registered(); }

const Property& find_property(const std::string& name) {
  std::vector<std::string> known;
  for (const Property& p : registered()) {
    if (p.name == name) return p;
    known.push_back(p.name);
  }
  throw harness::InputError(fmt::format("property '{}': expected one of {}", name, fmt::join(known, ", ")));
}

RegisterProperty::RegisterProperty(Property property) {
  auto& list = registered();
  const auto place = std::upper_bound(list.begin(), list.end(), property.name,
                                      [](const std::string& name, const Property& p) { return name < p.name; });
  list.insert(place, std::move(property));
}

const char* to_string(PropertyResult::Outcome outcome) {
  switch (outcome) {
    case PropertyResult::Outcome::held:
      return "held";
    case PropertyResult::Outcome::failed:
      return "failed";
    case PropertyResult::Outcome::gave_up:
      return "gave up";
    case PropertyResult::Outcome::not_run:
      return "not run";
    default:
      return "broken";
  }
}

PropertyResult check_property(const Property& property, const harness::Subject& subject, uint64_t seed, int cases,
                              bool shrink) {
  using Outcome = PropertyResult::Outcome;
  const auto start = std::chrono::steady_clock::now();
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = property.name;
  rc::detail::TestParams params;
  params.seed = seed;
  params.maxSuccess = cases;
  params.disableShrinking = !shrink;
  Silent silent;
  // No example to reproduce: given, so that RapidCheck does not look for one in its environment, and say so.
  const std::unordered_map<std::string, rc::detail::Reproduce> none;
  const Willing willing(subject);
  const auto check = [&] {
    try {
      property.check(willing);
    } catch (const NothingToJudge& e) {
      RC_DISCARD(e.what());
    }
  };
  const rc::detail::TestResult result =
      rc::detail::checkProperty(rc::detail::toProperty(check), metadata, params, silent, none);

  PropertyResult out;
  out.name = property.name;
  rc::detail::SuccessResult success{};
  rc::detail::FailureResult failure{};
  rc::detail::GaveUpResult gave_up{};
  rc::detail::Error error;
  if (result.match(success)) {
    out.cases = success.numSuccess;
    for (const auto& [tags, count] : success.distribution) out.drawn[unquoted(tags)] = count;
  } else if (result.match(failure)) {
    out.outcome = Outcome::failed;
    out.cases = failure.numSuccess;
    out.counterexample = describe(failure);
  } else if (result.match(gave_up)) {
    out.cases = gave_up.numSuccess;
    out.outcome = out.cases == 0 && !willing.refusal().empty() ? Outcome::not_run : Outcome::gave_up;
    out.counterexample = out.outcome == Outcome::not_run ? willing.refusal() : gave_up.description;
  } else if (result.match(error)) {
    out.outcome = Outcome::broken;
    out.counterexample = error.description;
  }
  if (out.outcome == Outcome::held && out.cases < cases) {
    out.outcome = Outcome::broken;
    out.counterexample = fmt::format("{} of {} cases ran", out.cases, cases);
  }
  if (out.outcome == Outcome::held && !property.acts.empty() && !out.drawn.contains(property.acts)) {
    out.outcome = Outcome::gave_up;
    out.counterexample = fmt::format("none of {} cases was '{}'", out.cases, property.acts);
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

harness::Section describe_properties(const std::vector<PropertyResult>& results) {
  harness::Section section;
  section.id = "properties";
  section.title = "Properties";
  section.text =
      "Each states something that holds for every problem of a kind; a failure is shrunk to the smallest problem that "
      "still fails. A property that gives up or cannot run is no pass.";
  harness::Table table{"Outcome of every property", {"property", "states", "outcome", "cases", "time (ms)"}, {}};
  harness::Table failures{"Counterexamples", {"property", "smallest problem that fails, and what it broke"}, {}};
  harness::Table drawn{"What was drawn", {"property", "class", "cases"}, {}};
  section.green = results.empty() || std::any_of(results.begin(), results.end(), [](const PropertyResult& r) {
                    return r.outcome == PropertyResult::Outcome::held;
                  });
  for (const PropertyResult& r : results) {
    const bool held = r.outcome == PropertyResult::Outcome::held;
    section.green = section.green && (held || r.outcome == PropertyResult::Outcome::not_run);
    table.rows.push_back(
        {r.name, find_property(r.name).states, std::string(to_string(r.outcome)), int64_t(r.cases), 1e3 * r.seconds});
    if (!held) failures.rows.push_back({r.name, r.counterexample});
    for (const auto& [tags, count] : r.drawn)
      if (!tags.empty()) drawn.rows.push_back({r.name, tags, int64_t(count)});
  }
  section.tables.push_back(std::move(table));
  if (!failures.rows.empty()) section.tables.push_back(std::move(failures));
  if (!drawn.rows.empty()) section.tables.push_back(std::move(drawn));
  return section;
}

}  // namespace plumbline::properties
