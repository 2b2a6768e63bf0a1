#include "harness/lives/life.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

constexpr const char* kActNames[kActs] = {"step",    "nonfinite", "lr",      "multiplier", "scale",
                                          "unscale", "precision", "decoded", "raw",        "resume",
                                          "stream",  "graph",     "clock"};
constexpr std::string_view kBetween = " / ";
constexpr int64_t kMostSteps = 1'000'000, kMostTensors = 2048;

std::vector<std::string_view> split(std::string_view text, std::string_view at) {
  std::vector<std::string_view> out;
  for (size_t end; (end = text.find(at)) != text.npos; text.remove_prefix(end + at.size()))
    out.push_back(text.substr(0, end));
  out.push_back(text);
  return out;
}
// A part's first word, and what follows.
std::pair<std::string_view, std::string_view> first_word(std::string_view part) {
  const size_t end = std::min(part.find(' '), part.size());
  return {part.substr(0, end), part.substr(std::min(end + 1, part.size()))};
}

InputError bad(std::string_view part, std::string_view expected) {
  return InputError(fmt::format("life: '{}': expected {}", part, expected));
}
template <class T>
T number(std::string_view text, std::string_view part) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    throw bad(part, fmt::format("a number in place of '{}'", text));
  return value;
}
// "group=1 rest": its number, and the rest; 0 where it is not there.
int take_number(std::string_view name, std::string_view& words, std::string_view part) {
  const auto [word, rest] = first_word(words);
  if (!word.starts_with(name)) return 0;
  words = rest;
  return number<int>(word.substr(name.size()), part);
}
std::string group_word(int group) { return group == 0 ? "" : fmt::format(" group={}", group); }

// The words of a problem's line without those that a part of a life does not have.
std::string words_without(const Problem& problem, std::initializer_list<std::string_view> left_out) {
  std::string out;
  const std::string line = to_string(problem);
  for (const std::string_view word : split(line, " ")) {
    bool wanted = true;
    for (const std::string_view name : left_out) wanted &= !word.starts_with(name);
    if (wanted) out += fmt::format(" {}", word);
  }
  return out;
}
// shape, steps and seed of a group's problem say nothing.
Problem parse_group(std::string_view words) { return parse_problem(fmt::format("shape=1 {} steps=1 seed=1", words)); }
Problem as_group(Problem problem) {
  const Problem plain;
  problem.shape = {1};
  problem.parameter = plain.parameter;
  problem.gradient = plain.gradient;
  problem.data = plain.data;
  problem.steps = 1;
  problem.seed = 1;
  problem.focus.clear();
  return problem;
}

std::string print(const LifeCommand& c) {
  const char* const name = kActNames[int(c.act)];
  switch (c.act) {
    case Act::step:
      return c.count == 1 ? name : fmt::format("{} {}", name, c.count);
    case Act::clock:
      return fmt::format("{} {}", name, c.count);
    case Act::lr:
      return fmt::format("{}{} {}", name, group_word(c.group), c.value);
    case Act::nonfinite:
      return c.group == 0 ? name : fmt::format("{} tensor={}", name, c.group);
    case Act::multiplier:
    case Act::scale:
      return fmt::format("{} {}", name, float(c.value));
    case Act::precision:
      return fmt::format("{}{}{}", name, group_word(c.group),
                         words_without(c.precision, {"shape=", "data=", "init=", "steps=", "seed="}));
    default:
      return name;
  }
}

LifeCommand parse_command(std::string_view part) {
  auto [name, rest] = first_word(part);
  for (int a = 0; a < kActs; ++a) {
    if (name != kActNames[a]) continue;
    LifeCommand c;
    c.act = static_cast<Act>(a);
    switch (c.act) {
      case Act::step:
        if (!rest.empty()) c.count = number<int64_t>(rest, part);
        return c;
      case Act::clock:
        c.count = number<int64_t>(rest, part);
        return c;
      case Act::lr:
        c.group = take_number("group=", rest, part);
        c.value = number<double>(rest, part);
        return c;
      case Act::nonfinite:
        c.group = take_number("tensor=", rest, part);
        if (!rest.empty()) throw bad(part, "tensor=<number> at most");
        return c;
      case Act::multiplier:
      case Act::scale:
        c.value = double(number<float>(rest, part));
        return c;
      case Act::precision:
        c.group = take_number("group=", rest, part);
        c.precision = parse_group(rest);
        return c;
      default:
        if (!rest.empty()) throw bad(part, "nothing after the command");
        return c;
    }
  }
  throw bad(part, fmt::format("group, tensor or a command: {}", fmt::join(kActNames, ", ")));
}

}  // namespace

const char* to_string(Act act) { return kActNames[int(act)]; }

int64_t Life::steps() const {
  int64_t sum = 0;
  for (const LifeCommand& c : commands) sum += c.act == Act::step ? c.count : c.act == Act::nonfinite ? 1 : 0;
  return sum;
}

int64_t Life::elements() const {
  int64_t sum = 0;
  for (int i = 0; i < int(tensors.size()); ++i) sum += problem(i).elements();
  return sum;
}

Problem Life::problem(int i) const {
  const LifeTensor& tensor = tensors[size_t(i)];
  Problem out = groups[size_t(tensor.group)];
  out.shape = tensor.shape;
  out.parameter = tensor.parameter;
  out.gradient = tensor.gradient;
  out.data = tensor.data;
  out.steps = std::max<int64_t>(steps(), 2);  // some data has its event in the second step
  out.seed = seed;
  out.place = i;
  return out;
}

std::string to_string(const Life& life) {
  std::string out = fmt::format("life seed={}", life.seed);
  for (const Problem& group : life.groups)
    out += fmt::format("{}group{}", kBetween, words_without(group, {"shape=", "data=", "init=", "steps=", "seed="}));
  for (const LifeTensor& tensor : life.tensors) {
    Problem p;
    p.shape = tensor.shape;
    p.parameter = tensor.parameter;
    p.gradient = tensor.gradient;
    p.data = tensor.data;
    out += fmt::format("{}tensor{}{}", kBetween, group_word(tensor.group), words_without(p, {"steps=", "seed="}));
  }
  for (const LifeCommand& command : life.commands) out += fmt::format("{}{}", kBetween, print(command));
  return out;
}

Life parse_life(std::string_view line) {
  constexpr std::string_view kHead = "life seed=";
  const std::vector<std::string_view> parts = split(line, kBetween);
  if (!parts[0].starts_with(kHead)) throw bad(parts[0], "life seed=<number>");
  Life life;
  life.seed = number<uint64_t>(parts[0].substr(kHead.size()), parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    auto [name, rest] = first_word(parts[i]);
    if (name == "group") {
      life.groups.push_back(parse_group(rest));
    } else if (name == "tensor") {
      LifeTensor tensor;
      tensor.group = take_number("group=", rest, parts[i]);
      // some data has its event in a later step
      const Problem p = parse_problem(fmt::format("{} steps={} seed=1", rest, kMostSteps));
      tensor.shape = p.shape;
      tensor.parameter = p.parameter;
      tensor.gradient = p.gradient;
      tensor.data = p.data;
      life.tensors.push_back(tensor);
    } else {
      life.commands.push_back(parse_command(parts[i]));
    }
  }
  return life;
}

void keep_as(const Problem& precision, Problem& of) {
  of.storage = precision.storage;
  of.block = precision.block;
  of.rounding = precision.rounding;
  of.momentum_storage = precision.momentum_storage;
  of.momentum_block = precision.momentum_block;
  of.momentum_rounding = precision.momentum_rounding;
  of.min_quantized_size = precision.min_quantized_size;
}

void validate(const Life& life) {
  if (life.groups.empty() || life.tensors.empty() || life.tensors.size() > size_t(kMostTensors))
    throw InputError(fmt::format("life: {} groups, {} tensors: expected at least one of each, at most {} tensors",
                                 life.groups.size(), life.tensors.size(), kMostTensors));
  if (const int64_t steps = life.steps(); steps < 1 || steps > kMostSteps)
    throw InputError(fmt::format("life: {} steps: expected 1 to {}", steps, kMostSteps));
  const auto check_group = [&](int group) {
    if (group < 0 || size_t(group) >= life.groups.size())
      throw InputError(fmt::format("life: group {}: expected 0 to {}", group, life.groups.size() - 1));
  };
  for (const Problem& group : life.groups)
    if (group != as_group(group) || group.gradient_scale != 1)
      throw InputError("life: a group has options alone, types and data are the tensors'");
  for (int i = 0; i < int(life.tensors.size()); ++i) {
    check_group(life.tensors[size_t(i)].group);
    validate(life.problem(i));
  }
  std::vector<Problem> now;  // of every tensor
  for (int i = 0; i < int(life.tensors.size()); ++i) now.push_back(life.problem(i));
  for (const LifeCommand& c : life.commands) {
    const bool counted = c.act == Act::step || c.act == Act::clock;
    if (counted && !(c.count >= 1 && c.count < int64_t(1) << 31))
      throw InputError(fmt::format("life: {} {}: expected 1 to 2^31 - 1", to_string(c.act), c.count));
    if (c.act == Act::lr || c.act == Act::precision) check_group(c.group);
    if (c.act == Act::nonfinite && (c.group < 0 || size_t(c.group) >= life.tensors.size()))
      throw InputError(fmt::format("life: tensor {}: expected 0 to {}", c.group, life.tensors.size() - 1));
    for (size_t i = 0; i < now.size(); ++i) {
      if (life.tensors[i].group != c.group || (c.act != Act::lr && c.act != Act::precision)) continue;
      if (c.act == Act::lr) now[i].options.lr = c.value;
      if (c.act == Act::precision) keep_as(c.precision, now[i]);
      validate(now[i]);
    }
    if (c.act == Act::multiplier && !(c.value > 0 && std::isfinite(c.value)))
      throw InputError(fmt::format("life: multiplier {}: expected positive and finite", c.value));
  }
}

}  // namespace plumbline::harness
