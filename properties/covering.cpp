#include "properties/covering.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "harness/error.h"
#include "properties/draw.h"

namespace plumbline::properties {
namespace {

// Values in one sequence, factor by factor.
struct Numbering {
  std::array<int, kFactors> first{};
  int count = 0;
  Numbering() {
    for (int f = 0; f < kFactors; ++f) first[size_t(f)] = count, count += values_of(f);
  }
};
const Numbering& numbering() {
  static const Numbering numbers;
  return numbers;
}
int number_of(int factor, int value) { return numbering().first[size_t(factor)] + value; }
std::string name_of(int number) {
  int factor = kFactors - 1;
  while (numbering().first[size_t(factor)] > number) --factor;
  return value_name(factor, number - numbering().first[size_t(factor)]);
}

// -1 for what is none.
int digit_of(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

using Domains = std::array<uint32_t, kFactors>;  // values that are still possible, a bit each

const std::vector<Literals>& forbidden() {
  static const auto all = [] {
    std::vector<Literals> out;
    for (const Exclusion& e : exclusions()) out.push_back(parse_literals(e.combination));
    return out;
  }();
  return all;
}

// Takes away what an exclusion leaves no room for; false where nothing is left.
bool propagate(Domains& domains, ExclusionSet but) {
  for (bool again = true; again;) {
    again = false;
    for (int i = 0; i < int(forbidden().size()); ++i) {
      if (but >> i & 1) continue;
      const Literals& literals = forbidden()[size_t(i)];
      int open = -1;
      uint32_t values = 0;
      bool possible = true;
      for (const auto& [factor, forbidden_values] : literals.of) {
        const uint32_t domain = domains[size_t(factor)];
        if ((domain & forbidden_values) == 0) possible = false;
        if ((domain & ~forbidden_values) == 0) continue;
        if (open >= 0) possible = false;  // two are open: nothing follows yet
        open = factor;
        values = forbidden_values;
      }
      if (!possible) continue;
      if (open < 0) return false;
      domains[size_t(open)] &= ~values;
      again = true;
    }
  }
  return std::none_of(domains.begin(), domains.end(), [](uint32_t d) { return d == 0; });
}

Domains domains_of(const Classes& chosen) {
  Domains out{};
  for (int f = 0; f < kFactors; ++f)
    out[size_t(f)] = chosen[size_t(f)] == kOpen ? (uint32_t{1} << values_of(f)) - 1 : uint32_t{1} << chosen[size_t(f)];
  return out;
}

Classes classes_of(const Domains& domains) {
  Classes out{};
  for (int f = 0; f < kFactors; ++f) out[size_t(f)] = int8_t(std::countr_zero(domains[size_t(f)]));
  return out;
}

// Depth first; `order` gives the factor to fix next (or -1) and sorts its values, the best first.
template <class Order>
bool search(Domains& domains, Order&& order, ExclusionSet but = 0) {
  if (!propagate(domains, but)) return false;
  std::vector<int> values;
  const int factor = order(domains, values);
  if (factor < 0) return true;
  for (const int value : values) {
    Domains next = domains;
    next[size_t(factor)] = uint32_t{1} << value;
    if (search(next, order, but)) {
      domains = next;
      return true;
    }
  }
  return false;
}

}  // namespace

ExclusionSet exclusions_of(Exclusion::Kind kind) {
  ExclusionSet out = 0;
  for (size_t i = 0; i < exclusions().size(); ++i) out |= ExclusionSet{exclusions()[i].kind == kind} << i;
  return out;
}

std::optional<Classes> complete(const Classes& chosen, ExclusionSet but) {
  Domains domains = domains_of(chosen);
  const auto order = [](const Domains& d, std::vector<int>& values) {
    int best = -1;
    for (int f = 0; f < kFactors; ++f) {
      const int count = std::popcount(d[size_t(f)]);
      if (count > 1 && (best < 0 || count < std::popcount(d[size_t(best)]))) best = f;
    }
    if (best >= 0)
      for (int v = 0; v < values_of(best); ++v)
        if (d[size_t(best)] >> v & 1) values.push_back(v);
    return best;
  };
  const bool found = search(domains, order, but);
  return found ? std::optional(classes_of(domains)) : std::nullopt;
}

size_t Tuples::place(int a, int b, int c) const {
  const auto n = size_t(numbering().count);
  return strength_ == 2 ? size_t(a) * n + size_t(b) : (size_t(a) * n + size_t(b)) * n + size_t(c);
}

template <class Visit>
void Tuples::for_each(const Classes& row, const std::array<bool, kFactors>& counts, Visit&& visit) {
  std::array<int, kFactors> numbers{};
  int count = 0;
  for (int f = 0; f < kFactors; ++f)
    if (counts[size_t(f)] && is_counted(f, row[size_t(f)])) numbers[size_t(count++)] = number_of(f, row[size_t(f)]);
  for (int a = 0; a < count; ++a)
    for (int b = a + 1; b < count; ++b) {
      if (strength_ == 2) {
        visit(place(numbers[size_t(a)], numbers[size_t(b)], 0));
        continue;
      }
      for (int c = b + 1; c < count; ++c) visit(place(numbers[size_t(a)], numbers[size_t(b)], numbers[size_t(c)]));
    }
}

Tuples::Tuples(int strength) : strength_(strength) {
  const auto n = size_t(numbering().count);
  state_.assign(strength == 2 ? n * n : n * n * n, kInvalid);
  std::vector<std::pair<int, int>> values;  // factor, value: those that count
  for (int f = 0; f < kFactors; ++f)
    for (int v = 0; v < values_of(f); ++v)
      if (is_counted(f, v)) values.emplace_back(f, v);

  const ExclusionSet unsure = exclusions_of(Exclusion::Kind::unsure);
  std::array<bool, kFactors> all;
  all.fill(true);
  std::vector<bool> known(state_.size());  // from completions that others have found: most need no search of their own
  Classes chosen;
  chosen.fill(kOpen);
  const auto add = [&](size_t at) {
    if (!known[at]) {
      const auto row = complete(chosen, unsure);
      if (!row) {
        ++refused_;
        return;
      }
      for_each(*row, all, [&](size_t tuple) { known[tuple] = true; });
    }
    state_[at] = kMissing;
    ++valid_;
  };
  for (const auto& [f, a] : values) {
    chosen[size_t(f)] = int8_t(a);
    for (const auto& [g, b] : values) {
      if (g <= f) continue;
      chosen[size_t(g)] = int8_t(b);
      if (strength == 2) add(place(number_of(f, a), number_of(g, b), 0));
      for (const auto& [h, c] : values) {
        if (strength == 2 || h <= g) continue;
        chosen[size_t(h)] = int8_t(c);
        add(place(number_of(f, a), number_of(g, b), number_of(h, c)));
        chosen[size_t(h)] = kOpen;
      }
      chosen[size_t(g)] = kOpen;
    }
    chosen[size_t(f)] = kOpen;
  }
}

int64_t Tuples::cover(const Classes& row, const std::array<bool, kFactors>& counts) {
  const int64_t before = covered_;
  for_each(row, counts, [&](size_t at) {
    if (state_[at] != kMissing) return;
    state_[at] = kCovered;
    ++covered_;
  });
  return covered_ - before;
}

int64_t Tuples::cover(const Classes& row) {
  std::array<bool, kFactors> all;
  all.fill(true);
  return cover(row, all);
}

std::string Tuples::digits() const {
  std::vector<uint8_t> nibbles(size_t(valid_ + 3) / 4);
  size_t i = 0;
  for (const uint8_t state : state_) {
    if (state == kInvalid) continue;
    if (state == kCovered) nibbles[i / 4] |= uint8_t(1 << i % 4);
    ++i;
  }
  std::string out;
  for (const uint8_t nibble : nibbles) out += "0123456789abcdef"[nibble & 15];
  return out;
}

void Tuples::join(std::string_view digits) {
  if (digits.size() != size_t(valid_ + 3) / 4)
    throw harness::InputError(fmt::format("{} digits: expected those of {} tuples", digits.size(), valid_));
  size_t i = 0;
  for (uint8_t& state : state_) {
    if (state == kInvalid) continue;
    const int digit = digit_of(digits[i / 4]);
    if (digit < 0) throw harness::InputError(fmt::format("'{}': expected a hexadecimal digit", digits[i / 4]));
    covered_ += state == kMissing && (digit >> i % 4 & 1);
    if (digit >> i % 4 & 1) state = kCovered;
    ++i;
  }
}

std::vector<std::string> Tuples::missing(size_t most) const {
  std::vector<std::string> out;
  const auto n = size_t(numbering().count);
  for (size_t at = 0; at < state_.size() && out.size() < most; ++at) {
    if (state_[at] != kMissing) continue;
    out.push_back(strength_ == 2
                      ? name_of(int(at / n)) + " " + name_of(int(at % n))
                      : name_of(int(at / n / n)) + " " + name_of(int(at / n % n)) + " " + name_of(int(at % n)));
  }
  return out;
}

// Rows one by one: a tuple that is missing, then factor by factor the value that adds most to what is covered.
class Designer {
 public:
  Designer(int strength, uint64_t seed) : tuples_(strength), draw_(seed, strength) {
    for (size_t at = 0; at < tuples_.state_.size(); ++at)
      if (tuples_.state_[at] == Tuples::kMissing) open_.push_back(at);
    for (size_t i = open_.size(); i > 1; --i) std::swap(open_[i - 1], open_[size_t(draw_.below(int(i)))]);
  }

  std::vector<Classes> rows() {
    std::vector<Classes> out;
    for (const size_t start : open_) {
      if (tuples_.state_[start] != Tuples::kMissing) continue;
      out.push_back(row_with(start));
      tuples_.cover(out.back());
    }
    return out;
  }

 private:
  Classes row_with(size_t start) {
    const auto n = size_t(numbering().count);
    Classes chosen;
    chosen.fill(kOpen);
    size_t rest = start;
    for (int i = 0; i < tuples_.strength(); ++i, rest /= n) choose(chosen, int(rest % n));
    std::array<int, kFactors> order{};
    std::iota(order.begin(), order.end(), 0);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[size_t(draw_.below(int(i)))]);
    Domains domains = domains_of(chosen);
    const auto by_gain = [&](const Domains& d, std::vector<int>& values) { return next(d, order, values); };
    if (!search(domains, by_gain))
      search(domains = domains_of(chosen), by_gain, exclusions_of(Exclusion::Kind::unsure));
    return classes_of(domains);
  }

  static void choose(Classes& chosen, int number) {
    int factor = kFactors - 1;
    while (numbering().first[size_t(factor)] > number) --factor;
    chosen[size_t(factor)] = int8_t(number - numbering().first[size_t(factor)]);
  }

  int next(const Domains& d, const std::array<int, kFactors>& order, std::vector<int>& values) {
    const auto open = std::find_if(order.begin(), order.end(), [&](int f) { return std::popcount(d[size_t(f)]) > 1; });
    if (open == order.end()) return -1;
    const int factor = *open;
    std::vector<std::pair<int, int>> fixed;  // factor, number
    for (int f = 0; f < kFactors; ++f) {
      const int value = std::countr_zero(d[size_t(f)]);
      if (f != factor && std::popcount(d[size_t(f)]) == 1 && is_counted(f, value))
        fixed.emplace_back(f, number_of(f, value));
    }
    std::vector<std::pair<int, int>> ranked;  // gain and a draw, value
    for (int v = 0; v < values_of(factor); ++v)
      if (d[size_t(factor)] >> v & 1)
        ranked.emplace_back(
            -(is_counted(factor, v) ? 256 * gain(factor, number_of(factor, v), fixed) : 0) - draw_.below(256), v);
    std::sort(ranked.begin(), ranked.end());
    for (const auto& [rank, value] : ranked) values.push_back(value);
    return factor;
  }

  int gain(int factor, int number, const std::vector<std::pair<int, int>>& fixed) const {
    int missing = 0;
    for (size_t i = 0; i < fixed.size(); ++i) {
      const auto [f, a] = fixed[i];
      if (tuples_.strength() == 2) {
        missing +=
            tuples_.state_[f < factor ? tuples_.place(a, number, 0) : tuples_.place(number, a, 0)] == Tuples::kMissing;
        continue;
      }
      for (size_t j = i + 1; j < fixed.size(); ++j) {  // f < g
        const auto [g, b] = fixed[j];
        const size_t at = factor < f   ? tuples_.place(number, a, b)
                          : factor < g ? tuples_.place(a, number, b)
                                       : tuples_.place(a, b, number);
        missing += tuples_.state_[at] == Tuples::kMissing;
      }
    }
    return missing;
  }

  Tuples tuples_;
  Draw draw_;
  std::vector<size_t> open_;
};

std::vector<Classes> covering_design(int strength, uint64_t seed) { return Designer(strength, seed).rows(); }

}  // namespace plumbline::properties
