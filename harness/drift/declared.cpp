#include "harness/drift/declared.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "harness/error.h"

namespace plumbline::harness {

std::span<const DeclaredLoss> declared_losses() {
  static constexpr std::array<DeclaredLoss, 0> none{};
  return none;
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

LossVerdict judge_loss(std::span<const double> differences, double declared) {
  const auto n = double(differences.size());
  if (differences.size() < 2) throw InputError("loss: one training, expected at least two to judge their mean");
  LossVerdict out;
  out.declared = declared;
  double squares = 0;
  for (const double d : differences) out.mean += d / n;
  for (const double d : differences) squares += (d - out.mean) * (d - out.mean);
  const double t = boost::math::quantile(boost::math::students_t(n - 1), 1 - kLossLevel);
  const double reach = t * std::sqrt(squares / (n - 1) / n);
  out.limit = declared + reach;
  out.red = !(std::isfinite(out.mean) && out.mean <= out.limit);
  out.lower = out.mean < -reach;
  return out;
}

std::string to_string(const LossVerdict& v) {
  if (!std::isfinite(v.mean)) return "red: diverged";
  const std::string declared = v.declared > 0 ? fmt::format("the declared {:.3g} %", 100 * v.declared) : "double";
  if (v.red) return fmt::format("red: above {}", declared);
  if (v.lower) return "green; lower than double: another path";
  return fmt::format("green: not above {}", declared);
}

}  // namespace plumbline::harness
