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

// A storage's loss against the training in double, one-sided at kLossLevel, of the hypothesis that it is at most what
// is declared above it. Pairs have the same data and start. A difference has to be beyond two things: what the pairs'
// scatter explains (Student's t of n differences), and what seeds explain (Student's t of two samples of n with the
// scatter of double's own losses): pairs are often so tight that a loss shows which another seed would change by more.
inline constexpr double kLossLevel = 0.01;
struct LossVerdict {
  bool red = true;
  double mean = 0;   // of the relative differences
  double pairs = 0;  // the largest mean that the pairs' scatter explains
  double seeds = 0;  // and the seeds'
  double declared = 0;
  bool lower = false;  // below double by more than the pairs explain: it trains on another path
  double limit() const { return declared + (pairs > seeds ? pairs : seeds); }
};
// At least two seeds; a training that diverged is red.
LossVerdict judge_loss(std::span<const double> losses, std::span<const double> of_double, double declared);
// "red: above double", "green: above double, by less than seeds explain", ...
std::string to_string(const LossVerdict& verdict);

}  // namespace plumbline::harness
