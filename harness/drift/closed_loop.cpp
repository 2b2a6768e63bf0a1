#include "harness/drift/closed_loop.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>

#include "harness/drift/training.h"
#include "harness/error.h"
#include "harness/format.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
using Tensors = std::vector<Tensor>;

constexpr int64_t kShown = 50;  // points of a curve

std::vector<int64_t> shown_steps(int64_t steps) {
  std::vector<int64_t> out{0};
  for (int64_t i = 1; i <= kShown; ++i) {
    const int64_t step = steps * i / kShown;
    if (step > out.back()) out.push_back(step);
  }
  return out;
}

// Losses and parameters at the steps shown.
struct Run {
  std::vector<double> loss;
  std::vector<Tensors> parameters;
};

// Calls step(t) for every step and collects what `parameters` then holds.
template <class Step>
Run collect(const Training& training, const std::vector<int64_t>& shown, const Tensors& parameters, Step step) {
  Run run;
  size_t next = 0;
  for (int64_t t = 0; t <= shown.back(); ++t) {
    if (t > 0) step(t);
    if (t != shown[next]) continue;
    run.loss.push_back(training.loss(parameters));
    run.parameters.push_back(parameters);
    ++next;
  }
  return run;
}

Run run_reference(const Training& training, const Problem& problem, const std::vector<int64_t>& shown) {
  Tensors p = training.initial(), g;
  std::vector<reference::Optimizer> optimizers;
  for (Tensor& x : p) {
    for (double& v : x.data) v = round_to(problem.parameter, v);  // both start from the same point
    optimizers.push_back(reference::make_plumbline(problem.options, x.shape));
  }
  return collect(training, shown, p, [&](int64_t t) {
    training.gradients(t, p, g);
    for (size_t k = 0; k < p.size(); ++k) {
      g[k].data *= problem.gradient_scale;
      optimizers[k].step(p[k], g[k]);
    }
  });
}

Run run_subject(const Training& training, const Problem& base, const Subject& subject, uint64_t seed,
                const std::vector<int64_t>& shown) {
  Tensors p = training.initial(), g;
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::byte> bytes;
  for (Tensor& x : p) {
    Problem problem = base;
    problem.shape = x.shape;
    problem.seed = seed * p.size() + sessions.size();  // random roundings differ between trainings and tensors
    bytes.resize(size_t(x.size()) * size_of(problem.parameter));
    store(problem.parameter, {x.data.data(), size_t(x.size())}, bytes.data());
    load(problem.parameter, bytes.data(), {x.data.data(), size_t(x.size())});
    if (const std::string why = subject.cannot_run(problem); !why.empty())
      throw InputError(fmt::format("{}: {}", to_string(problem), why));
    sessions.push_back(subject.start(problem, bytes));
  }
  Observation seen;
  return collect(training, shown, p, [&](int64_t t) {
    training.gradients(t, p, g);
    for (size_t k = 0; k < p.size(); ++k) {
      bytes.resize(size_t(g[k].size()) * size_of(base.gradient));
      store(base.gradient, {g[k].data.data(), size_t(g[k].size())}, bytes.data());
      sessions[k]->step(bytes, seen);
      load(base.parameter, seen.parameter.data(), {p[k].data.data(), size_t(p[k].size())});
    }
  });
}

double distance(const Tensors& a, const Tensors& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += (a[k].data - b[k].data).square().sum();
  return std::sqrt(sum);
}

double final_loss(const Run& run) {
  const size_t n = run.loss.size(), last = std::max<size_t>(n / 4, 1);
  double sum = 0;
  for (size_t i = n - last; i < n; ++i) sum += run.loss[i];
  return sum / double(last);
}

// Over seeds: value(run, reference run).
template <class Value>
Estimate over_seeds(const std::vector<Run>& runs, const std::vector<Run>& references, Value value) {
  std::vector<double> values;
  for (size_t s = 0; s < runs.size(); ++s) values.push_back(value(runs[s], references[s]));
  return estimate(values);
}

ClosedLoopCurve describe(const std::string& label, const std::vector<Run>& runs, const std::vector<Run>& references,
                         double declared) {
  ClosedLoopCurve curve;
  curve.label = label;
  for (size_t i = 0; i < runs[0].loss.size(); ++i) {
    curve.loss.push_back(over_seeds(runs, references, [&](const Run& r, const Run&) { return r.loss[i]; }));
    curve.apart.push_back(over_seeds(runs, references, [&](const Run& r, const Run& truth) {
      const double moved = distance(truth.parameters[i], truth.parameters[0]);
      return moved > 0 ? distance(r.parameters[i], truth.parameters[i]) / moved : 0.0;
    }));
  }
  curve.final_loss = over_seeds(runs, references, [](const Run& r, const Run&) { return final_loss(r); });
  std::vector<double> differences, losses, of_double;
  for (size_t s = 0; s < runs.size(); ++s) {
    losses.push_back(final_loss(runs[s]));
    of_double.push_back(final_loss(references[s]));
    differences.push_back((losses[s] - of_double[s]) / of_double[s]);
  }
  curve.loss_difference = estimate(differences);
  curve.verdict = judge_loss(losses, of_double, declared);
  for (const Run& run : runs) curve.diverged += !std::isfinite(run.loss.back());
  return curve;
}

// Variants may differ in options; each has the reference of its own options beside it. Most share them.
struct References {
  std::vector<const Problem*> problems;
  std::vector<size_t> of;  // of each variant, an index into `problems`
};
References references_of(std::span<const Variant> variants) {
  References out;
  for (const Variant& v : variants) {
    size_t k = 0;
    while (k < out.problems.size() &&
           !(out.problems[k]->options == v.problem.options && out.problems[k]->parameter == v.problem.parameter &&
             out.problems[k]->gradient_scale == v.problem.gradient_scale))
      ++k;
    if (k == out.problems.size()) out.problems.push_back(&v.problem);
    out.of.push_back(k);
  }
  return out;
}

}  // namespace

size_t closed_loop_runs(std::span<const Variant> variants, int seeds) {
  return (references_of(variants).problems.size() + variants.size()) * size_t(seeds);
}

Estimate estimate(std::span<const double> values) {
  const auto n = double(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  if (values.size() < 2) return {mean, std::numeric_limits<double>::infinity()};
  const double t = boost::math::quantile(boost::math::students_t(n - 1), 0.975);
  return {mean, t * std::sqrt(squares / (n - 1) / n)};
}

ClosedLoop run_closed_loop(const std::string& name, std::span<const Variant> variants, const Subject& subject,
                           int64_t steps, uint64_t first_seed, int seeds, const std::function<void()>& done) {
  if (variants.empty()) throw InputError("closed loop: no storage given, expected at least one");
  if (steps < 1 || seeds < 2)
    throw InputError(fmt::format(
        "closed loop: {} steps and {} seeds, expected at least 1 and 2 (a verdict needs to see how seeds differ)",
        steps, seeds));
  make_training(name, first_seed);  // a wrong name shows before anything runs
  ClosedLoop out;
  out.training = name;
  out.steps = shown_steps(steps);
  const References beside = references_of(variants);
  const auto& references = beside.problems;
  const size_t kinds = references.size() + variants.size();
  std::vector<std::vector<Run>> runs(kinds, std::vector<Run>(size_t(seeds)));
  std::mutex mutex;
  tbb::parallel_for(size_t(0), kinds * size_t(seeds), [&](size_t job) {
    const size_t kind = job % kinds, s = job / kinds;
    const auto training = make_training(name, first_seed + s);
    runs[kind][s] = kind < references.size() ? run_reference(*training, *references[kind], out.steps)
                                             : run_subject(*training, variants[kind - references.size()].problem,
                                                           subject, first_seed + s, out.steps);
    if (done) {
      const std::lock_guard lock(mutex);
      done();
    }
  });
  out.curves.push_back(describe("double", runs[0], runs[0], 0));
  for (size_t v = 0; v < variants.size(); ++v)
    out.curves.push_back(describe(variants[v].label, runs[references.size() + v], runs[beside.of[v]],
                                  declared_loss(variants[v].problem)));
  return out;
}

}  // namespace plumbline::harness
