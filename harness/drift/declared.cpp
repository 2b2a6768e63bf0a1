#include "harness/drift/declared.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <vector>

#include "harness/error.h"

namespace plumbline::harness {

std::span<const DeclaredLoss> declared_losses() {
  static constexpr std::array<DeclaredLoss, 1> table{{
      // 1.4 % +- 0.3 % of the net and 1.7 % +- 0.4 % of logistic regression, ten seeds, 2,000 steps
      {Storage::uf4, {}, 0.02, "reports/published/host/drift.md"},
  }};
  return table;
}

double declared_loss(const Problem& problem) {
  const auto of = [](const Keeping& keeping) {
    for (const DeclaredLoss& d : declared_losses())
      if (d.storage == keeping.storage && d.rounding.value_or(keeping.rounding) == keeping.rounding) return d.loss;
    return 0.0;
  };
  return of(problem.keeping(reference::Slot::row)) +
         (problem.options.beta1 ? of(problem.keeping(reference::Slot::momentum)) : 0.0);
}

namespace {

struct Sample {
  double mean = 0, deviation = 0;
};
Sample sample_of(std::span<const double> values) {
  const auto n = double(values.size());
  Sample out;
  double squares = 0;
  for (const double v : values) out.mean += v / n;
  for (const double v : values) squares += (v - out.mean) * (v - out.mean);
  out.deviation = std::sqrt(squares / (n - 1));
  return out;
}

double quantile(double degrees) { return boost::math::quantile(boost::math::students_t(degrees), 1 - kLossLevel); }

}  // namespace

LossVerdict judge_loss(std::span<const double> losses, std::span<const double> of_double, double declared) {
  const auto n = double(losses.size());
  if (losses.size() < 2 || losses.size() != of_double.size())
    throw InputError("loss: expected at least two trainings, each beside one in double");
  std::vector<double> differences(losses.size());
  for (size_t s = 0; s < losses.size(); ++s) differences[s] = (losses[s] - of_double[s]) / of_double[s];
  const Sample pairs = sample_of(differences), seeds = sample_of(of_double);
  LossVerdict out;
  out.declared = declared;
  out.mean = pairs.mean;
  out.pairs = quantile(n - 1) * pairs.deviation / std::sqrt(n);
  out.seeds = quantile(2 * n - 2) * seeds.deviation / seeds.mean * std::sqrt(2 / n);
  out.red = !(std::isfinite(out.mean) && out.mean <= out.limit());
  out.lower = out.mean < -out.pairs;
  return out;
}

std::string to_string(const LossVerdict& v) {
  if (!std::isfinite(v.mean)) return "red: diverged";
  const std::string declared = v.declared > 0 ? fmt::format("the declared {:.3g} %", 100 * v.declared) : "double";
  if (v.red) return fmt::format("red: above {}", declared);
  if (v.lower) return "green: below double, on another path";
  if (v.mean > v.declared + v.pairs) return fmt::format("green: above {}, by less than seeds explain", declared);
  return fmt::format("green: not above {}", declared);
}

}  // namespace plumbline::harness
