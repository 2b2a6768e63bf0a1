// Closed loops: a training run by the subject beside the same one run by the reference in double, over several seeds.
// From the first rounding on the two see different gradients, so there is no bound of a step here; what is measured is
// what a user cares for, the loss, and how far parameters went apart. A storage whose loss lies above double's by more
// than what is declared for it, and by more than the seeds explain, is red.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/drift/declared.h"
#include "harness/problem.h"
#include "harness/subject.h"

namespace plumbline::harness {

// Mean over seeds with the half width of its 95 % interval (Student's t; infinite for one seed).
struct Estimate {
  double mean = 0, half_width = 0;
};
Estimate estimate(std::span<const double> values);

struct ClosedLoopCurve {
  std::string label;            // of the variant; "double" for the reference
  std::vector<Estimate> loss;   // at ClosedLoop::steps
  std::vector<Estimate> apart;  // |p - p of the reference| / |p of the reference - initial p|; 0 for the reference
  Estimate final_loss;          // mean over the last quarter of the steps shown
  Estimate loss_difference;     // of that from the reference's at the same seed, relative to the reference's
  int64_t diverged = 0;         // seeds whose loss left the numbers
  LossVerdict verdict;          // on the differences; of the reference: green
};

struct ClosedLoop {
  std::string training;
  std::vector<int64_t> steps;           // shown: 0 (initial) to the last
  std::vector<ClosedLoopCurve> curves;  // the reference first
};

// One way to store state, under the options of its problem; shape, data and steps of it are not read.
struct Variant {
  std::string label;
  Problem problem;
};

// Finished runs of run_closed_loop: every variant's, and one of the reference for each set of options among them.
size_t closed_loop_runs(std::span<const Variant> variants, int seeds);

// Runs seeds first_seed, first_seed + 1, ... on all cores, at least two of them; each has data, start and random
// roundings of its own; `done` is called after every finished run, from one thread
// at a time. Throws InputError for an unknown training or a problem that the subject cannot run.
ClosedLoop run_closed_loop(const std::string& training, std::span<const Variant> variants, const Subject& subject,
                           int64_t steps, uint64_t first_seed, int seeds, const std::function<void()>& done = {});

}  // namespace plumbline::harness
