#include "harness/live/shrink.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/error.h"

namespace plumbline::harness::live {
namespace {

std::string without_numbers(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

class Shrinker {
 public:
  Shrinker(const LiveProblem& problem, const CaseResult& red, const std::function<CaseResult(const LiveProblem&)>& run,
           int most)
      : best_{problem, red, 0}, red_(red), run_(run), most_(most) {}

  Shrunk shrink() {
    steps();
    worst_element();
    for (bool better = true; better && best_.runs < most_;) {
      better = options();
      better |= shape();
      better |= steps();
      better |= plainer();
    }
    return std::move(best_);
  }

 private:
  // Keeps the change where the problem is valid and still fails in the same way.
  bool attempt(const LiveProblem& changed) {
    if (changed == best_.problem || best_.runs >= most_) return false;
    try {
      validate(changed);
    } catch (const InputError&) {
      return false;
    }
    ++best_.runs;
    CaseResult result = run_(changed);
    if (!same_failure(result, red_)) return false;
    best_.problem = changed;
    best_.result = std::move(result);
    return true;
  }
  template <class Change>
  bool attempt_with(Change change) {
    LiveProblem changed = best_.problem;
    change(changed);
    return attempt(changed);
  }

  bool steps() {
    bool better = false;
    for (const int64_t n : {best_.result.first_broken_step.value_or(best_.problem.steps), int64_t{1}, int64_t{2}})
      if (n < best_.problem.steps) better |= attempt_with([&](LiveProblem& p) { p.steps = n; });
    while (best_.problem.steps > 1 && attempt_with([](LiveProblem& p) { p.steps = p.steps / 2; })) better = true;
    while (best_.problem.steps > 1 && attempt_with([](LiveProblem& p) { --p.steps; })) better = true;
    return better;
  }

  // Straight to the element that went furthest beyond its bound.
  void worst_element() {
    if (best_.result.first_broken != Quantity::parameter && best_.result.first_broken != Quantity::parameter_drift)
      return;
    for (const QuantityResult& q : best_.result.quantities) {
      if (q.quantity != best_.result.first_broken) continue;
      LiveProblem one = best_.problem;
      one.from.resize(one.shape.size());
      int64_t rest = q.worst.index;
      for (size_t a = one.shape.size(); a-- > 0;) {
        one.from[a] += rest % one.shape[a];
        rest /= one.shape[a];
        one.shape[a] = 1;
      }
      attempt(one);
      return;
    }
  }

  bool cut(size_t axis, int64_t offset, int64_t extent) {
    return attempt_with([&](LiveProblem& p) {
      p.from.resize(p.shape.size());
      p.from[axis] += offset;
      p.shape[axis] = extent;
      if (std::all_of(p.from.begin(), p.from.end(), [](int64_t at) { return at == 0; })) p.from.clear();
    });
  }

  bool shape() {
    bool better = false;
    for (size_t axis = 0; axis < best_.problem.shape.size(); ++axis) {
      better |= cut(axis, 0, 1);
      for (int64_t piece = best_.problem.shape[axis] / 2; piece >= 1; piece /= 2)
        while (best_.problem.shape[axis] > piece &&
               (cut(axis, 0, best_.problem.shape[axis] - piece) || cut(axis, piece, best_.problem.shape[axis] - piece)))
          better = true;
    }
    while (!best_.problem.shape.empty() && best_.problem.shape.front() == 1 && attempt_with([](LiveProblem& p) {
      p.shape.erase(p.shape.begin());
      if (!p.from.empty()) p.from.erase(p.from.begin());
    }))
      better = true;
    return better;
  }

  bool options() {
    bool better = attempt_with([](LiveProblem& p) { p.beside = 0; });
    better |= attempt_with([](LiveProblem& p) { p.options = "{}"; });
    const auto set = nlohmann::json::parse(best_.problem.options);
    for (const auto& [name, value] : set.items())
      better |= attempt_with([&, &option = name](LiveProblem& p) {
        auto fewer = nlohmann::json::parse(p.options);
        fewer.erase(option);
        p.options = fewer.dump();
      });
    return better;
  }

  bool plainer() {
    const LiveProblem none;
    bool better = attempt_with([&](LiveProblem& p) { p.parameter = p.gradient = none.parameter; });
    better |= attempt_with([&](LiveProblem& p) { p.gradient = p.parameter; });
    better |= attempt_with([&](LiveProblem& p) { p.regime = LiveRegime::constant; });
    if (best_.problem.regime != LiveRegime::constant)
      better |= attempt_with([&](LiveProblem& p) { p.regime = none.regime; });
    better |= attempt_with([&](LiveProblem& p) { p.exponent = none.exponent; });
    better |= attempt_with([&](LiveProblem& p) { p.parameter_exponent = none.parameter_exponent; });
    better |= attempt_with([&](LiveProblem& p) { p.from.clear(); });
    better |= attempt_with([&](LiveProblem& p) { p.seed = none.seed; });
    return better;
  }

  Shrunk best_;
  const CaseResult red_;
  const std::function<CaseResult(const LiveProblem&)>& run_;
  int most_;
};

}  // namespace

bool same_failure(const CaseResult& a, const CaseResult& b) {
  if (a.verdict != b.verdict || a.first_broken != b.first_broken) return false;
  return a.verdict != Verdict::error || without_numbers(a.reason) == without_numbers(b.reason);
}

Shrunk shrink(const LiveProblem& problem, const CaseResult& red,
              const std::function<CaseResult(const LiveProblem&)>& run, int most) {
  return Shrinker(problem, red, run, most).shrink();
}

}  // namespace plumbline::harness::live
