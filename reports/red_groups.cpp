#include "reports/red_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

namespace plumbline::reports {
namespace {

constexpr double kOfRed = 0.9, kOfGreen = 2.0 / 3;

// Extents of "shape=2x9x65"; empty for what is none.
std::vector<int64_t> extents(const std::string& text) {
  std::vector<int64_t> out;
  std::istringstream in(text);
  for (std::string extent; std::getline(in, extent, 'x');) {
    if (extent.empty() || extent.size() > 12 || extent.find_first_not_of("0123456789") != extent.npos) return {};
    out.push_back(std::stoll(extent));
  }
  return out;
}

std::set<std::string> traits_of(const CaseEntry& c) {
  std::set<std::string> out = {"suite " + c.suite, c.steps == 1 ? "one step" : "several steps"};
  std::istringstream words(c.line);
  for (std::string word; words >> word;) {
    const size_t split = word.find('=');
    if (split == word.npos || word.starts_with("seed=") || word.starts_with("steps=")) continue;
    if (!word.starts_with("shape=")) {
      // Of a recipe of data its name: exponents and files are everybody's own.
      out.insert(word.starts_with("data=") || word.starts_with("init=") ? word.substr(0, word.find(':')) : word);
      continue;
    }
    const std::vector<int64_t> shape = extents(word.substr(split + 1));
    if (shape.empty()) continue;
    out.insert(fmt::format("{} {}", shape.size(), shape.size() == 1 ? "axis" : "axes"));
    out.insert(shape.back() % 2 == 1 ? "odd columns" : "even columns");
    out.insert(fmt::format("{} tensors", to_string(harness::size_class(c.elements))));
    if (std::find(shape.begin(), shape.end(), 1) != shape.end()) out.insert("an extent of 1");
  }
  return out;
}

struct Counts {
  uint64_t cases = 0;
  std::map<std::string, uint64_t> traits;
  void add(const CaseEntry& c) {
    ++cases;
    for (const std::string& trait : traits_of(c)) ++traits[trait];
  }
  double share(const std::string& trait) const {
    const auto at = traits.find(trait);
    return cases == 0 || at == traits.end() ? 0 : double(at->second) / double(cases);
  }
};

}  // namespace

std::vector<RedGroup> group_red(const Summary& s) {
  using harness::Verdict;
  Counts green;
  std::map<std::string, Counts> counts;
  std::map<std::string, const CaseEntry*> shortest;
  for (const CaseEntry& c : s.cases) {
    if (c.verdict == Verdict::pass || c.verdict == Verdict::marginal) green.add(c);
    if (!harness::is_red(c.verdict)) continue;
    std::string what = to_string(c.verdict);
    if (c.first_broken) what += std::string(" at ") + to_string(*c.first_broken);
    counts[what].add(c);
    const CaseEntry*& least = shortest[what];
    if (least == nullptr || c.elements * c.steps < least->elements * least->steps) least = &c;
  }
  std::vector<RedGroup> out;
  for (const auto& [what, red] : counts) {
    RedGroup group{what, red.cases, {}, shortest[what]->line};
    for (const auto& [trait, count] : red.traits) {
      const SharedTrait shared{trait, red.share(trait), green.share(trait)};
      if (shared.red >= kOfRed && shared.green <= kOfGreen) group.shared.push_back(shared);
    }
    std::stable_sort(group.shared.begin(), group.shared.end(),
                     [](const SharedTrait& a, const SharedTrait& b) { return a.red - a.green > b.red - b.green; });
    out.push_back(std::move(group));
  }
  std::stable_sort(out.begin(), out.end(), [](const RedGroup& a, const RedGroup& b) { return a.cases > b.cases; });
  return out;
}

std::string describe_shared(const RedGroup& group, size_t most) {
  std::string out;
  for (size_t i = 0; i < std::min(most, group.shared.size()); ++i) {
    const SharedTrait& t = group.shared[i];
    out += fmt::format("{}{} ({:.0f} % of them, {:.0f} % of the green)", i ? "; " : "", t.trait, 100 * t.red,
                       100 * t.green);
  }
  return out;
}

}  // namespace plumbline::reports
