#include "properties/problems.h"

#include <algorithm>
#include <ostream>
#include <tuple>

#include "harness/error.h"
#include "properties/generated.h"

namespace plumbline::harness {
void showValue(const Problem& problem, std::ostream& out) { out << to_string(problem); }
}  // namespace plumbline::harness

namespace plumbline::properties {
namespace {

using harness::Problem;
using Adjust = std::function<void(Problem&)>;

bool is_valid(const Problem& problem) {
  try {
    harness::validate(problem);
    return true;
  } catch (const harness::InputError&) {
    return false;
  }
}

// Every accepted attempt lowers this, so that shrinking ends whatever a property makes of its problems: elements, then
// steps, then axes and words that differ from the plainest problem.
auto measure(const Problem& p) {
  const Problem plain;
  Problem rest = p;  // fp32 is the plainest storage, not the default
  rest.storage = plain.storage;
  rest.momentum_storage = plain.momentum_storage;
  const std::string line = to_string(rest);
  const auto differing = std::count(line.begin(), line.end(), ' ') + int64_t(p.shape.size()) +
                         (p.storage != harness::Storage::fp32) + (p.momentum_storage != harness::Storage::fp32) +
                         (p.data.regime != plain.data.regime) + (p.data.exponent != plain.data.exponent) +
                         (p.data.parameter_exponent != plain.data.parameter_exponent);
  return std::tuple(p.elements(), p.steps, differing, p.seed);
}

}  // namespace

void plain_chain(Problem& problem) {
  auto& o = problem.options;
  const reference::PlumblineOptions plain;
  o.beta1.reset();
  o.momentum_of = plain.momentum_of;
  o.beta3.reset();
  o.limiter_margin.reset();
  o.projection_rank = 0;
}

double residue_of_nothing(const Problem& problem) {
  return problem.options.beta1 && problem.momentum_rounding == harness::Rounding::dither ? 0x1p-80 : 0;
}

void round_to_nearest(Problem& problem) {
  problem.rounding = problem.momentum_rounding = problem.parameter_rounding = harness::Rounding::nearest;
  problem.gradient_scale = 1;
  auto& o = problem.options;
  const bool coded =
      problem.momentum_storage == harness::Storage::uf8 || problem.momentum_storage == harness::Storage::uf4;
  if (o.beta1 && coded && (!problem.of_update() || o.beta3)) o.beta1 = std::min(*o.beta1, 0.5);  // above, it sticks
}

std::vector<Problem> smaller(const Problem& problem) {
  std::vector<Problem> out;
  const auto attempt = [&](auto change) {
    Problem p = problem;
    change(p);
    if (!(p == problem)) out.push_back(std::move(p));
  };
  // fewer elements: an axis away, an extent of 1, half, one less
  if (problem.shape.size() > 1) attempt([](Problem& p) { p.shape.erase(p.shape.begin()); });
  for (size_t axis = 0; axis < problem.shape.size(); ++axis) {
    attempt([&](Problem& p) { p.shape[axis] = 1; });
    attempt([&](Problem& p) { p.shape[axis] = std::max<int64_t>(p.shape[axis] / 2, 1); });
    attempt([&](Problem& p) { p.shape[axis] = std::max<int64_t>(p.shape[axis] - 1, 1); });
  }
  attempt([](Problem& p) { p.steps = 1; });
  attempt([](Problem& p) { p.steps = std::max<int64_t>(p.steps / 2, 1); });
  attempt([](Problem& p) { p.steps = std::max<int64_t>(p.steps - 1, 1); });
  // one option after the other back to its default
  static const auto rows = reference::option_table<reference::PlumblineOptions>();
  for (const auto& row : rows)
    attempt([&](Problem& p) { reference::set_option(p.options, row.name, row.default_value); });
  // float32, unquantized, plain data
  const Problem plain;
  attempt([&](Problem& p) { p.storage = harness::Storage::fp32; });
  attempt([&](Problem& p) { p.block = plain.block; });
  attempt([&](Problem& p) { p.rounding = plain.rounding; });
  attempt([&](Problem& p) { p.momentum_storage = harness::Storage::fp32; });
  attempt([&](Problem& p) { p.momentum_rounding = plain.momentum_rounding; });
  attempt([&](Problem& p) { p.momentum_block = plain.momentum_block; });
  attempt([&](Problem& p) { p.parameter_rounding = plain.parameter_rounding; });
  attempt([&](Problem& p) { p.gradient_scale = plain.gradient_scale; });
  attempt([](Problem& p) { plain_chain(p); });
  attempt([&](Problem& p) { p.min_quantized_size = plain.min_quantized_size; });
  attempt([&](Problem& p) { p.carried_norm = false; });
  attempt([&](Problem& p) { p.parameter = harness::DType::float32; });
  attempt([&](Problem& p) { p.gradient = harness::DType::float32; });
  attempt([&](Problem& p) { p.data.regime = harness::Regime::gaussian; });
  attempt([&](Problem& p) { p.data.exponent = plain.data.exponent; });
  attempt([&](Problem& p) { p.data.parameter_exponent = plain.data.parameter_exponent; });
  attempt([&](Problem& p) { p.seed %= 10; });
  return out;
}

rc::Gen<Problem> problems(const Adjust& adjust, int64_t largest) {
  const auto adjusted = [adjust](Problem p) {
    p.focus.clear();  // what a feature does is the property's matter here
    if (adjust) adjust(p);
    return p;
  };
  const auto drawn = rc::gen::map(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<uint64_t>()),
                                  [=](uint64_t seed) { return adjusted(generate_problems(seed, 1, largest)[0]); });
  const auto valid = rc::gen::suchThat(rc::gen::noShrink(drawn), is_valid);
  return rc::gen::shrink(valid, [=](const Problem& problem) {
    std::vector<Problem> tried;
    for (Problem& p : smaller(problem)) {
      p = adjusted(std::move(p));
      if (is_valid(p) && measure(p) < measure(problem)) tried.push_back(std::move(p));
    }
    return rc::seq::fromContainer(std::move(tried));
  });
}

}  // namespace plumbline::properties
