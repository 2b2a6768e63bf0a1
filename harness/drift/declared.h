// Storages that are declared to cost: a training that uses one ends with a larger loss, and by how much is said
// beforehand. Everything else may cost nothing.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "harness/problem.h"

namespace plumbline::harness {

struct DeclaredLoss {
  Storage storage{};
  std::optional<Rounding> rounding;  // none: whichever
  double loss = 0;                   // of a training at its end, relative to the same in double
  const char* source;                // where it was measured
};
std::span<const DeclaredLoss> declared_losses();

// What the storages of a problem are declared to cost together: of its averages, and of its momentum where it has one.
double declared_loss(const Problem& problem);

// A storage's loss against the training in double. Differences are relative and paired: same data, same start.
// One-sided Student's t test at kLossLevel of the hypothesis that their mean is at most what is declared.
inline constexpr double kLossLevel = 0.01;
struct LossVerdict {
  bool red = true;
  double mean = 0;   // of the differences
  double limit = 0;  // the largest mean that is green, for differences that scatter as these do
  double declared = 0;
  bool lower = false;  // the same test to the other side: it trains on another path, a better one
};
// At least two differences; one that is not finite (a training that diverged) is red.
LossVerdict judge_loss(std::span<const double> differences, double declared);
// "501 % above double, declared: 0 %"
std::string to_string(const LossVerdict& verdict);

}  // namespace plumbline::harness
