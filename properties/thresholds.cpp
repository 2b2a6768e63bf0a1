#include "properties/thresholds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/case.h"
#include "harness/mutants.h"
#include "harness/problem.h"

namespace plumbline::properties {
namespace {

using harness::Quantity;

// The k asked for. Confidence averages squares of the update, which has roundings of R, C, mean(R) and the clip in it
// as the parameter has.
constexpr int kAverage = 16, kParameter = 64, kOfUpdate = kParameter;
constexpr int kProblems = 3;  // seeds of one stage and shape

struct Probe {
  Quantity stage;
  const char* note;   // beside the stage's name
  const char* words;  // what makes the stage act; codes where min_quantized_size is given
  int limit;
};
constexpr std::array<Probe, 23> kProbes = {{
    {Quantity::parameter_rms, "", "steps=2", 0},
    {Quantity::row, "", "steps=2", kAverage},
    {Quantity::col, "", "steps=2", kAverage},
    {Quantity::second_moment, "", "factored=false steps=2", kAverage},
    {Quantity::low_rank_gradient, "", "projection_rank=4 steps=2", 0},
    {Quantity::low_rank_second_moment, "", "projection_rank=4 steps=2", kAverage},
    {Quantity::low_rank_row, "", "projection_rank=4 projection_factored=true steps=2", kAverage},
    {Quantity::low_rank_col, "", "projection_rank=4 projection_factored=true steps=2", kAverage},
    {Quantity::momentum, "", "beta1=0.9 steps=2", kAverage},
    {Quantity::momentum_scale, "", "beta1=0.9 momentum_storage=uf8 min_quantized_size=1 steps=2", 0},
    {Quantity::channel_scale, "", "projection_rank=4 steps=2", 0},
    {Quantity::update_rms, "", "clip=0.5 steps=2", 0},
    {Quantity::clip, "", "clip=0.5 steps=2", 0},
    {Quantity::confidence_row, "", "beta1=0.9 momentum_of=update beta3=0.9 steps=2", kOfUpdate},
    {Quantity::confidence_col, "", "beta1=0.9 momentum_of=update beta3=0.9 steps=2", kOfUpdate},
    {Quantity::update_norm, "", "limiter_margin=0.01 clip=0 steps=2", 0},
    {Quantity::limiter, "", "limiter_margin=0.01 clip=0 steps=2", 0},
    {Quantity::bias, "", "beta1=0.9 beta2=0.99 steps=2", 0},
    {Quantity::step_size, "", "steps=2", 0},
    {Quantity::keep, "", "weight_decay=0.1 steps=2", 0},
    {Quantity::row_scale, "", "storage=al8 min_quantized_size=1 steps=2", 0},
    {Quantity::parameter, "", "steps=1", kParameter},
    {Quantity::parameter, " where the old one is (almost) 0", "data=gaussian:-6 init=-140 steps=1", kParameter},
}};
// One a size class and path; thousands of columns and rows, whose trees are high.
constexpr std::array<const char*, 5> kShapes = {"8x8", "37x129", "64x64", "2050x17", "12x3000"};

harness::Problem problem_of(const Probe& probe, const char* shape, uint64_t seed) {
  harness::Problem p = harness::parse_problem(fmt::format("shape={} {} seed={}", shape, probe.words, seed));
  if (p.min_quantized_size > 1) p.storage = p.momentum_storage = harness::Storage::fp32;
  return p;
}

bool notices(const harness::Subject& subject, const Probe& probe, const char* shape, uint64_t seed, int ulps) {
  const harness::ActiveMutant active(probe.stage, ulps);
  for (int i = 0; i < kProblems; ++i) {
    const auto verdict = harness::run_case(problem_of(probe, shape, seed + uint64_t(i)), subject).verdict;
    if (verdict != harness::Verdict::fail && verdict != harness::Verdict::error) return false;
  }
  return true;
}

// By halving: what is noticed at k is noticed above it, as bounds do not depend on the fault.
int threshold(const harness::Subject& subject, const Probe& probe, const char* shape, uint64_t seed, int sign) {
  int low = 0, high = kLargestPerturbation;
  if (!notices(subject, probe, shape, seed, sign * high)) return 0;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (notices(subject, probe, shape, seed, sign * middle) ? high : low) = middle;
  }
  return high;
}

bool met(const Threshold& t) {
  return t.limit == 0 || (t.up > 0 && t.up <= t.limit && t.down > 0 && t.down <= t.limit);
}

}  // namespace

std::vector<Threshold> measure_thresholds(const harness::Subject& subject, uint64_t seed) {
  std::vector<Threshold> all;
  for (const Probe& probe : kProbes)
    for (const char* shape : kShapes) {
      if (!subject.cannot_run(problem_of(probe, shape, seed)).empty()) continue;
      all.push_back({probe.stage, to_string(probe.stage) + std::string(probe.note), shape,
                     threshold(subject, probe, shape, seed, 1), threshold(subject, probe, shape, seed, -1),
                     probe.limit});
    }
  return all;
}

harness::Section describe_thresholds(const std::vector<Threshold>& thresholds) {
  harness::Section section;
  section.id = "thresholds";
  section.title = "Detection thresholds";
  section.text =
      "The smallest k whose relative fault 1 + k 2^-23 of a stage, of either sign, fails three problems of three. "
      "Limits "
      "are asked for of averages (16), of the confidence, which averages what the update already rounded (64), and of "
      "parameters after one step (64), parameters of 0 included.";
  harness::Table table{
      "Smallest k noticed", {"stage", "shape", "k of 1 + k 2^-23", "k of 1 - k 2^-23", "limit", "met"}, {}};
  harness::Table levels{"What k = 1, 4, 16 and 64 do", {"stage", "shape", "1", "4", "16", "64"}, {}};
  const auto cell = [](int k) { return k > 0 ? harness::Cell(int64_t(k)) : harness::Cell(std::string("none")); };
  for (const Threshold& t : thresholds) {
    section.green = section.green && met(t);
    table.rows.push_back({t.what, t.shape, cell(t.up), cell(t.down),
                          t.limit > 0 ? harness::Cell(int64_t(t.limit)) : harness::Cell(std::string()),
                          std::string(t.limit == 0 ? ""
                                      : met(t)     ? "yes"
                                                   : "no")});
    std::vector<harness::Cell> row = {t.what, t.shape};
    for (const int k : {1, 4, 16, 64}) {
      const bool up = t.up > 0 && k >= t.up, down = t.down > 0 && k >= t.down;
      row.push_back(std::string(up && down ? "killed" : up || down ? "one sign" : "survives"));
    }
    levels.rows.push_back(std::move(row));
  }
  section.tables = {std::move(table), std::move(levels)};
  return section;
}

}  // namespace plumbline::properties
