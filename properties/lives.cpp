#include "properties/lives.h"

#include <rapidcheck.h>

#include <algorithm>
#include <ostream>
#include <tuple>

#include "harness/error.h"
#include "harness/lives/case.h"
#include "harness/lives/subject.h"
#include "harness/registry.h"
#include "properties/draw.h"
#include "properties/generated.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::harness {
// How RapidCheck prints a life: the line that `plumbline case` takes.
void showValue(const Life& life, std::ostream& out) { out << to_string(life); }
}  // namespace plumbline::harness

namespace plumbline::properties {
namespace {

using harness::Act;
using harness::Life;
using harness::LifeCommand;
using harness::Problem;
using harness::Regime;

constexpr int kOf = 0x11fe;  // a sequence of draws of its own
constexpr int64_t kElements = 700;

bool is_valid(const Life& life) {
  try {
    harness::validate(life);
    return true;
  } catch (const harness::InputError&) {
    return false;
  }
}

bool is_device(Act act) { return act == Act::stream || act == Act::graph; }

Problem draw_problem(Draw& d, int64_t largest) {
  Problem p = generate_problems(d.seed(), 1, largest)[0];
  // Lives go on: what grows fourfold a step, or begins at the edge of a type, is for single cases.
  if (p.data.regime == Regime::growing || p.data.regime == Regime::extreme || p.data.regime == Regime::subnormal) {
    p.data.regime = Regime::gaussian;
    p.options.eps1 = std::max(p.options.eps1, 1e-30);
    p.data.exponent = -6;
    p.data.parameter_exponent = -4;
  }
  if (p.options.nonfinite == reference::Nonfinite::propagate) p.options.nonfinite = reference::Nonfinite::zero;
  p.gradient_scale = 1;
  return p;
}

// Options and storage alone.
Problem as_group(Problem p) {
  const Problem plain;
  p.shape = {1};
  p.parameter = p.gradient = plain.parameter;
  p.data = plain.data;
  p.steps = p.seed = 1;
  p.place = 0;
  p.focus.clear();
  return p;
}

LifeCommand draw_command(Draw& d, Act act, const Life& life, int64_t largest) {
  LifeCommand c;
  c.act = act;
  switch (act) {
    case Act::step:
      c.count = d.between(1, 3);
      break;
    case Act::nonfinite:
      c.group = d.below(int(life.tensors.size()));
      break;
    case Act::lr:
      c.group = d.below(int(life.groups.size()));
      c.value = life.groups[size_t(c.group)].options.lr * d.of({0.5, 0.1, 2.0, 0.75});
      break;
    case Act::multiplier:
      c.value = double(d.of({0.5f, 0.25f, 0.1f, 1.0f / 3, 1.0f}));
      break;
    case Act::scale:  // 0 and infinity: it has run away
      c.value = double(d.of({1024.0f, 2.0f, 3.0f, 65536.0f, 0.0f, std::numeric_limits<float>::infinity()}));
      break;
    case Act::precision:
      c.group = d.below(int(life.groups.size()));
      harness::keep_as(draw_problem(d, largest), c.precision);
      c.precision = as_group(c.precision);
      break;
    case Act::clock:
      c.count = d.of<int64_t>({10, 199, 1000, 1'000'000, 16'777'217, (int64_t(1) << 31) - 100});
      break;
    default:
      break;
  }
  return c;
}

Life draw_life(Draw& d, int index, int64_t largest, bool device) {
  Life life;
  life.seed = d.seed();
  const int groups = d.between(1, 3), tensors = std::max(groups, d.between(1, 4));
  for (int i = 0; i < tensors; ++i) {
    const Problem p = draw_problem(d, largest);
    if (i < groups) life.groups.push_back(as_group(p));
    life.tensors.push_back({i < groups ? i : d.below(groups), p.shape, p.parameter, p.gradient, p.data});
  }
  const auto wanted = static_cast<Act>(index % harness::kActs);
  const int commands = d.between(4, 12), at = d.between(1, commands - 1);
  for (int i = 0; i < commands; ++i) {
    auto act = i == 0        ? Act::step
               : i == at     ? wanted
               : d.one_in(2) ? Act::step
                             : static_cast<Act>(d.below(harness::kActs));
    if (is_device(act) && !device) act = Act::resume;
    // the clock only moves on, and at its end there are no more steps
    const bool late = std::any_of(life.commands.begin(), life.commands.end(),
                                  [](const LifeCommand& c) { return c.act == Act::clock; });
    if (act == Act::clock && late) act = Act::raw;
    life.commands.push_back(draw_command(d, act, life, largest));
  }
  life.commands.push_back(draw_command(d, Act::step, life, largest));
  return life;
}

// What shrinking lowers with every step it takes.
auto measure(const Life& life) {
  int64_t words = 0;
  const std::string line = to_string(life);
  words = std::count(line.begin(), line.end(), ' ');
  return std::tuple(life.tensors.size(), life.commands.size(), life.steps(), life.elements(), words, life.seed);
}

rc::Gen<Life> lives(int64_t largest, bool device) {
  const auto drawn =
      rc::gen::map(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<uint64_t>()),
                   [=](uint64_t seed) { return generate_life(seed, int(seed % 1000), largest, device); });
  return rc::gen::shrink(rc::gen::noShrink(drawn), [](const Life& life) {
    std::vector<Life> tried;
    for (Life& smaller_one : smaller(life))
      if (is_valid(smaller_one) && measure(smaller_one) < measure(life)) tried.push_back(std::move(smaller_one));
    return rc::seq::fromContainer(std::move(tried));
  });
}

const RegisterProperty kLives(
    {"lives",
     "several tensors in groups of their own options, with every operation of a training program between their steps, "
     "are each within the bounds of every step, and an operation changes what it is there for and nothing else",
     "an option of another group, state of another tensor, a clock that an operation moves, what a checkpoint lacks",
     [](const harness::Subject& subject) {
       const auto* offers = dynamic_cast<const harness::OffersLives*>(&subject);
       if (offers == nullptr || !offers->offers(Act::step)) throw NothingToJudge("the subject offers no lives");
       const Life life = *lives(kElements, offers->offers(Act::stream));
       const harness::CaseResult result = run_case(life, subject);
       if (result.verdict == harness::Verdict::vacuous) RC_DISCARD(result.reason);
       if (is_red(result.verdict)) RC_FAIL(result.reason);
     },
     20, true});

// More tensors than a byte numbers, in two groups, with random roundings that differ by the tensor.
Life many_tensors(uint64_t seed) {
  constexpr int kTensors = 300;
  Life life;
  life.seed = uint32_t(seed);
  Problem group;
  group.storage = harness::Storage::al8;
  group.rounding = harness::Rounding::stochastic;
  group.min_quantized_size = 1;
  group.options.beta1 = 0.9;
  group.momentum_storage = harness::Storage::uf8;
  group.momentum_rounding = harness::Rounding::stochastic;
  life.groups = {as_group(group), as_group(group)};
  life.groups[1].options.lr = 3e-3;
  life.groups[1].options.weight_decay = 1;
  for (int i = 0; i < kTensors; ++i) {
    harness::LifeTensor tensor;
    tensor.group = i % 2;
    tensor.shape = {2 + i % 5, 9};
    life.tensors.push_back(tensor);
  }
  harness::LifeCommand lr;
  lr.act = Act::lr;
  lr.group = 1;
  lr.value = 1e-2;
  life.commands = {{}, lr, {}};
  return life;
}

harness::CasePlan plan(const harness::SuiteRequest& request) {
  const bool emulator = request.subject == "emulator", device = request.subject == "cuda";
  const size_t count = request.size == harness::SuiteSize::quick  ? (emulator ? 26 : 156)
                       : request.size == harness::SuiteSize::full ? (emulator ? 130 : 1300)
                                                                  : 100'000;
  const int64_t largest = kElements;
  harness::CasePlan all;
  if (!emulator) all = std::vector<harness::PlannedCase>{{many_tensors(request.seed), "lives", false}};
  all.append({count, [=, seed = request.seed](size_t i) {
                return harness::PlannedCase{generate_life(seed, int(i), largest, device), "lives", false,
                                            [=](int attempt) -> harness::AnyProblem {
                                              return generate_life(seed + uint64_t(attempt), int(i), largest, device);
                                            }};
              }});
  return all;
}
const harness::RegisterCaseSource kSource({"lives", plan, "life"});

}  // namespace

Life generate_life(uint64_t seed, int index, int64_t largest, bool device) {
  Draw d(seed ^ (uint64_t(kOf) << 48), index);
  return draw_until(
      "life that is possible", [&] { return draw_life(d, index, largest, device); }, is_valid);
}

std::vector<Life> smaller(const Life& life) {
  std::vector<Life> out;
  const auto attempt = [&](auto change) {
    Life l = life;
    change(l);
    if (!(l == life)) out.push_back(std::move(l));
  };
  // A tensor less; groups that none has go with the last of theirs, so that the numbers of others stay.
  for (size_t i = 0; i < life.tensors.size() && life.tensors.size() > 1; ++i)
    attempt([&](Life& l) {
      l.tensors.erase(l.tensors.begin() + ptrdiff_t(i));
      for (LifeCommand& c : l.commands)
        if (c.act == Act::nonfinite && c.group >= int(i)) c.group = std::max(0, c.group - 1);
    });
  attempt([](Life& l) { l.commands.resize((l.commands.size() + 1) / 2); });
  for (size_t i = life.commands.size(); i-- > 0;)
    attempt([&](Life& l) { l.commands.erase(l.commands.begin() + ptrdiff_t(i)); });
  for (size_t i = 0; i < life.commands.size(); ++i)
    if (life.commands[i].act == Act::step) attempt([&](Life& l) { l.commands[i].count = 1; });
  for (size_t i = 0; i < life.tensors.size(); ++i) {
    attempt([&](Life& l) { l.tensors[i].group = 0; });
    Problem p = life.problem(int(i));
    p.steps = 1;
    for (const Problem& s : smaller(p)) {
      if (s.shape == p.shape && s.parameter == p.parameter && s.gradient == p.gradient && s.data == p.data) continue;
      attempt([&](Life& l) {
        l.tensors[i].shape = s.shape;
        l.tensors[i].parameter = s.parameter;
        l.tensors[i].gradient = s.gradient;
        l.tensors[i].data = s.data;
      });
    }
  }
  for (size_t g = 0; g < life.groups.size(); ++g)
    for (const Problem& s : smaller(life.groups[g])) attempt([&](Life& l) { l.groups[g] = as_group(s); });
  const bool last_used = std::any_of(life.tensors.begin(), life.tensors.end(),
                                     [&](const auto& t) { return size_t(t.group) + 1 == life.groups.size(); });
  if (!last_used && life.groups.size() > 1) attempt([](Life& l) { l.groups.pop_back(); });
  attempt([](Life& l) { l.seed %= 10; });
  return out;
}

}  // namespace plumbline::properties
