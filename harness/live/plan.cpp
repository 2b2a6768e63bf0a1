#include "harness/live/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>

#include "harness/error.h"
#include "harness/live/case.h"

namespace plumbline::harness::live {
namespace {

constexpr int64_t kLargest = 4096;  // elements, where the subject does not say
constexpr size_t kKeptFactors = 7;  // before the options
enum FactorIndex : size_t { kTypes, kShape, kRegime, kExponent, kParameterExponent, kSteps, kBeside };
constexpr std::array<DType, 4> kTypesInOrder = {DType::float32, DType::bfloat16, DType::float16, DType::float64};

uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// A stream of draws.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed)) {}
  uint64_t bits() { return mix(state_++ * 0x9e3779b97f4a7c15u); }
  int64_t below(int64_t n) { return int64_t((bits() >> 32) * uint64_t(n) >> 32); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }

 private:
  uint64_t state_;
};

struct ShapeClass {
  const char* name;
  int rank;
  std::vector<int64_t> (*draw)(Random&);
};
const std::array<ShapeClass, 11> kShapes = {{
    {"scalar", 0, [](Random&) { return std::vector<int64_t>{}; }},
    {"one", 1, [](Random&) { return std::vector<int64_t>{1}; }},
    {"vector", 1, [](Random& r) { return std::vector<int64_t>{r.between(2, 70)}; }},
    {"long_vector", 1, [](Random& r) { return std::vector<int64_t>{r.between(257, 3000)}; }},
    {"row", 2,
     [](Random& r) {
       return std::vector<int64_t>{1, r.between(2, 70)};
     }},
    {"column", 2,
     [](Random& r) {
       return std::vector<int64_t>{r.between(2, 70), 1};
     }},
    {"small", 2,
     [](Random& r) {
       return std::vector<int64_t>{r.between(2, 9), r.between(2, 9)};
     }},
    {"wide", 2,
     [](Random& r) {
       return std::vector<int64_t>{r.between(2, 7), r.between(33, 300)};
     }},
    {"tall", 2,
     [](Random& r) {
       return std::vector<int64_t>{r.between(33, 300), r.between(2, 7)};
     }},
    {"three_axes", 3,
     [](Random& r) {
       return std::vector<int64_t>{r.between(1, 4), r.between(2, 9), r.between(2, 17)};
     }},
    {"four_axes", 4,
     [](Random& r) {
       return std::vector<int64_t>{r.between(1, 5), r.between(1, 4), r.between(1, 5), r.between(1, 5)};
     }},
}};

std::string types_name(DType parameter, DType gradient) {
  return fmt::format("{}/{}", to_string(parameter), to_string(gradient));
}

std::pair<DType, DType> parse_types(const std::string& text) {
  const size_t slash = text.find('/');
  return {parse_dtype(text.substr(0, slash)), parse_dtype(text.substr(slash + 1))};
}

int64_t elements_of(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t extent : shape) n *= extent;
  return n;
}

}  // namespace

LivePlan::LivePlan(const LiveSubject& subject, size_t cases, uint64_t seed)
    : dialect_(subject.capabilities().dialect),
      largest_(subject.capabilities().largest.value_or(kLargest)),
      shows_projection_(std::any_of(subject.capabilities().state.begin(), subject.capabilities().state.end(),
                                    [](const auto& slot) { return slot.second == "projection"; })),
      capabilities_(subject.capabilities()) {
  ask(subject);
  design(cases, seed);
}

// What is not declared is asked: one value at a time, all others at their defaults. CANNOT is an answer.
void LivePlan::ask(const LiveSubject& subject) {
  const Capabilities& c = capabilities_;
  LiveProblem base;
  base.dialect = dialect_;
  base.shape = {4, 6};
  if (c.rank && c.rank->second < 2) base.shape = {6};
  if (c.rank && c.rank->first > 2) base.shape.insert(base.shape.begin(), size_t(c.rank->first) - 2, 2);
  while (elements_of(base.shape) > largest_) *std::max_element(base.shape.begin(), base.shape.end()) /= 2;
  std::string reason;
  const auto takes = [&](const LiveProblem& p) {
    try {
      reason = subject.ask(p);
    } catch (const WorkerFault&) {
      return true;  // what goes wrong in earnest is found by the cases
    }
    return reason.empty();
  };

  Factor types{"types", {}};
  std::set<std::string> why;
  for (const DType parameter : kTypesInOrder)
    for (const DType gradient : kTypesInOrder) {
      const std::string name = types_name(parameter, gradient);
      const auto said = [](const std::vector<DType>& list, DType type) {
        return list.empty() || std::find(list.begin(), list.end(), type) != list.end();
      };
      if (!said(c.parameter, parameter) || !said(c.gradient, gradient)) {
        if (parameter == gradient) left_out_.push_back({"types " + name, "not among the subject's types"});
        continue;
      }
      LiveProblem p = base;
      p.parameter = parameter;
      p.gradient = gradient;
      if (takes(p)) {
        types.values.push_back(name);
      } else {
        left_out_.push_back({"types " + name, "the subject cannot: " + reason});
        why.insert(reason);
      }
    }
  if (types.values.empty())
    throw InputError(fmt::format("subject {}: takes no problem of the dialect {}: {}", subject.name(), dialect_,
                                 fmt::join(why, "; ")));
  std::tie(base.parameter, base.gradient) = parse_types(types.values.front());

  Factor shapes{"shape", {}};
  for (const ShapeClass& shape : kShapes) {
    const auto leave_out = [&](const std::string& text) {
      left_out_.push_back({fmt::format("shape {}", shape.name), text});
    };
    if (c.rank && (shape.rank < c.rank->first || shape.rank > c.rank->second)) {
      leave_out(fmt::format("the subject takes {} to {} axes", c.rank->first, c.rank->second));
      continue;
    }
    LiveProblem p = base;
    Random random(1);
    p.shape = shape.draw(random);
    for (int tries = 0; elements_of(p.shape) > largest_ && tries < 50; ++tries) p.shape = shape.draw(random);
    try {
      validate(p);
    } catch (const InputError& e) {
      leave_out(e.what());
      continue;
    }
    if (elements_of(p.shape) > largest_)
      leave_out(fmt::format("the subject takes {} elements", largest_));
    else if (!takes(p))
      leave_out("the subject cannot: " + reason);
    else
      shapes.values.push_back(shape.name);
  }
  if (shapes.values.empty()) throw InputError(fmt::format("subject {}: takes no shape: {}", subject.name(), reason));

  Factor regimes{"data", {}};
  for (int k = 0; k < kLiveRegimes; ++k) regimes.values.emplace_back(to_string(static_cast<LiveRegime>(k)));
  Factor exponents{"exponent", {}};
  for (const int e : {-6, -16, -10, -3, 0})
    if (!c.exponent || (e >= c.exponent->first && e <= c.exponent->second))
      exponents.values.push_back(std::to_string(e));
  if (exponents.values.empty()) exponents.values.push_back(std::to_string(c.exponent->first));
  Factor steps{"steps", {}};
  for (const int64_t n : {1, 2, 4, 12})
    if (!c.steps || n <= *c.steps) steps.values.push_back(std::to_string(n));
  Factor beside{"beside", {"0"}};
  LiveProblem several = base;
  several.beside = 2;
  if (takes(several))
    beside.values.emplace_back("2");
  else
    left_out_.push_back({"several tensors", "the subject cannot: " + reason});
  factors_ = {types, shapes, regimes, exponents, {"param_exponent", {"-4", "0", "-12"}}, steps, beside};

  options_ = option_levels(reference::find_dialect(dialect_), c, left_out_);
  for (OptionLevels& option : options_) {
    std::vector<std::string> kept;
    for (const std::string& value : option.values) {
      LiveProblem p = base;
      p.options = fmt::format("{{\"{}\":{}}}", option.name, value);
      const auto leave_out = [&](const std::string& text) {
        left_out_.push_back({fmt::format("{}={}", option.name, value), text});
      };
      p.shape = base.shape;
      p.steps = 3;
      if (value == option.standard) p.options = "{}";
      if (!takes(p)) {
        leave_out("the subject cannot: " + reason);
      } else {
        try {
          const LiveRun run = reference_run(p, p.options);
          if (run.steps.back().parameter == run.start.bytes)
            leave_out("nothing moves: no case could fail");
          else
            kept.push_back(value);
        } catch (const std::invalid_argument& e) {
          leave_out(e.what());
        }
      }
    }
    if (!kept.empty())
      option.values = kept;
    else
      option.values.resize(1);
    factors_.push_back({option.name, option.values});
  }
  for (const Factor& factor : factors_) {
    starts_.push_back(values_);
    values_ += int(factor.values.size());
  }
}

size_t LivePlan::place(size_t f, int a, size_t g, int b) const {
  return size_t(starts_[f] + a) * size_t(values_) + size_t(starts_[g] + b);
}

template <class F>
void LivePlan::for_each_pair(const std::vector<int>& row, F f) const {
  for (size_t i = 0; i < row.size(); ++i)
    for (size_t j = i + 1; j < row.size(); ++j) f(place(i, row[i], j, row[j]));
}

// False where the dialect does not take this row.
bool LivePlan::make(const std::vector<int>& row, uint64_t seed, LiveProblem& out) const {
  Random random(seed);
  out = {};
  out.dialect = dialect_;
  const auto text = [&](FactorIndex f) { return factors_[f].values[size_t(row[f])]; };
  std::tie(out.parameter, out.gradient) = parse_types(text(kTypes));
  const auto shape =
      std::find_if(kShapes.begin(), kShapes.end(), [&](const ShapeClass& s) { return s.name == text(kShape); });
  for (int tries = 0; tries < 20; ++tries) {
    out.shape = shape->draw(random);
    if (elements_of(out.shape) <= largest_) break;
  }
  if (elements_of(out.shape) > largest_) return false;
  out.regime = static_cast<LiveRegime>(row[kRegime]);
  out.exponent = std::stoi(text(kExponent));
  out.parameter_exponent = std::stoi(text(kParameterExponent));
  out.steps = std::stoll(text(kSteps));
  out.beside = std::stoll(text(kBeside));
  out.seed = random.bits() >> 40;
  out.options = options_text(options_, {row.begin() + kKeptFactors, row.end()});
  try {
    const reference::Dialect& dialect = reference::find_dialect(dialect_);
    const auto optimizer =
        dialect.make(live_options(out.options), out.shape, {.epsilon = 2 * unit_roundoff(out.parameter)});
    // The reference cannot make the random projection of most packages; what the subject shows it takes.
    return shows_projection_ || dialect.makes_projection || !optimizer.state(reference::Slot::projection);
  } catch (const std::invalid_argument&) {
    return false;
  }
}

void LivePlan::design(size_t cases, uint64_t seed) {
  constexpr int kTries = 20, kCandidates = 8, kAttempts = 3;
  const size_t count = factors_.size();
  pairs_.assign(size_t(values_) * size_t(values_), 0);
  using Pair = std::array<int, 4>;  // f, a, g, b
  const auto place_of = [&](const Pair& p) { return place(size_t(p[0]), p[1], size_t(p[2]), p[3]); };
  std::vector<Pair> open;
  std::vector<uint8_t> attempts(pairs_.size());
  for (size_t f = 0; f < count; ++f)
    for (size_t g = f + 1; g < count; ++g)
      for (int a = 0; a < int(factors_[f].values.size()); ++a)
        for (int b = 0; b < int(factors_[g].values.size()); ++b) {
          pairs_[place(f, a, g, b)] = kOpen;
          open.push_back({int(f), a, int(g), b});
        }
  Random random(seed);
  for (size_t k = open.size(); k > 1; --k) std::swap(open[k - 1], open[size_t(random.below(int64_t(k)))]);
  possible_ = int64_t(open.size());

  const auto draw = [&] {
    std::vector<int> row(count);
    for (size_t f = 0; f < count; ++f) {
      const auto n = int64_t(factors_[f].values.size());
      // Half of the options at their defaults: what several do at once hides what one does.
      row[f] = f >= kKeptFactors && random.below(2) == 0 ? 0 : int(random.below(n));
    }
    return row;
  };
  // Can any subject fail here? Not where the reference's own rounding hides what the steps do.
  const auto could_fail = [&](const LiveProblem& p) {
    try {
      return judge_run(p, reference_run(p, p.options), capabilities_).verdict != Verdict::vacuous;
    } catch (const InputError&) {  // numbers that leave the double range of the reference
      return false;
    }
  };
  size_t next = 0;
  while (problems_.size() < cases) {
    // The rows of a piece are drawn one after another, their problems tried on all cores.
    struct Candidate {
      std::vector<int> row;
      LiveProblem problem;
      bool good = false;
    };
    std::vector<Candidate> piece;
    const size_t wanted = std::min<size_t>(cases - problems_.size(), 256);
    int refused = 0;
    while (piece.size() < wanted && refused < 1000) {
      while (next < open.size() && pairs_[place_of(open[next])] != kOpen) ++next;
      Candidate best;
      int64_t most = -1;
      const bool covering = next < open.size();
      for (int tried = 0, valid = 0; tried < kTries && valid < (covering ? kCandidates : 1); ++tried) {
        Candidate one{draw(), {}, false};
        if (covering) {
          one.row[size_t(open[next][0])] = open[next][1];
          one.row[size_t(open[next][2])] = open[next][3];
        }
        if (!make(one.row, random.bits(), one.problem)) continue;
        ++valid;
        int64_t fresh = 0;
        for_each_pair(one.row, [&](size_t at) { fresh += pairs_[at] == kOpen; });
        if (fresh > most) {
          most = fresh;
          best = std::move(one);
        }
      }
      if (most < 0) {
        ++refused;
        if (covering) {  // the dialect takes no problem with this pair
          pairs_[place_of(open[next])] = kExcluded;
          --possible_;
        }
        continue;
      }
      for_each_pair(best.row, [&](size_t at) {
        if (pairs_[at] == kOpen) pairs_[at] = kPending;
      });
      piece.push_back(std::move(best));
    }
    if (piece.empty()) throw InputError(fmt::format("dialect {}: no problem can be drawn", dialect_));
    tbb::parallel_for(size_t{0}, piece.size(), [&](size_t k) {
      Random again(mix(seed) + problems_.size() + k);
      Candidate& c = piece[k];
      for (int tries = 0; tries < 12 && !(c.good = could_fail(c.problem)); ++tries) {
        // Larger steps first, then other data.
        std::vector<int> row = c.row;
        row[kExponent] = 0;
        if (tries > 3) row[kSteps] = int(factors_[kSteps].values.size()) - 1;
        if (tries > 5) row[kTypes] = 0;
        if (tries > 7) std::fill(row.begin() + kKeptFactors, row.end(), 0);
        if (make(row, again.bits(), c.problem)) c.row = row;
      }
    });
    size_t kept = 0;
    for (Candidate& c : piece) {
      if (!c.good) continue;
      ++kept;
      for_each_pair(c.row, [&](size_t at) {
        if (pairs_[at] != kExcluded) pairs_[at] = kCovered;
      });
      problems_.push_back(std::move(c.problem));
      rows_.push_back(std::move(c.row));
    }
    // A pair that went with a problem in which nothing could fail is tried again, then left out.
    const size_t listed = open.size();
    for (size_t k = 0; k < listed; ++k) {
      const Pair pair = open[k];
      uint8_t& state = pairs_[place_of(pair)];
      if (state != kPending) continue;
      state = ++attempts[place_of(pair)] < kAttempts ? kOpen : kExcluded;
      if (state == kOpen)
        open.push_back(pair);
      else
        --possible_;
    }
    if (kept == 0)
      throw InputError(fmt::format("dialect {}: no problem can be drawn in which a subject could fail", dialect_));
  }
}

int64_t LivePlan::pairs_in(const std::vector<size_t>& problems) const {
  std::set<size_t> seen;
  for (const size_t k : problems)
    for_each_pair(rows_[k], [&](size_t at) {
      if (pairs_[at] != kExcluded) seen.insert(at);
    });
  return int64_t(seen.size());
}

}  // namespace plumbline::harness::live
