#include "harness/codecs/study.h"

#include <fmt/format.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "harness/data.h"

namespace plumbline::harness::codecs {
namespace {

StoreRow store_sample(const Sample& sample, const Storage& storage, int64_t block, uint64_t seed) {
  StoreRow row{sample.name, sample.kind, sample.origin, sample.factored, storage, block, 0, {}};
  std::vector<double> values, gradients;
  StoredValues stored;
  double bits = 0;
  for (size_t k = 0; k < sample.values.size(); ++k) {
    const std::vector<double>& part = sample.values[k];
    const StoredValues one = store_in_blocks(storage, part, block, {uint32_t(seed), uint32_t(16 * k), 0});
    values.insert(values.end(), part.begin(), part.end());
    if (!sample.gradients.empty())
      gradients.insert(gradients.end(), sample.gradients[k].begin(), sample.gradients[k].end());
    stored.decoded.insert(stored.decoded.end(), one.decoded.begin(), one.decoded.end());
    stored.reach.insert(stored.reach.end(), one.reach.begin(), one.reach.end());
    const auto blocks = (int64_t(part.size()) + block - 1) / block;
    bits += double(part.size()) * storage.code_bits + 32.0 * storage.scale_words * double(blocks);
  }
  row.bits = bits / double(values.size());
  row.figures = measure(sample.kind, values, gradients, stored);
  return row;
}

void collect_failures(Study& study) {
  const auto passed = [&](const std::string& where, const char* what, const Figure& f) {
    if (!f.within())
      study.failures.push_back(fmt::format("{}: {} is {:.6g}: its bound is {:.6g}", where, what, f.measured, f.bound));
  };
  const auto check = [&](const StoreRow& row) {
    const std::string where = fmt::format("{} in {}, blocks of {}", row.sample, row.storage.name, row.block);
    const Figures& f = row.figures;
    passed(where, "the error of the values", f.values);
    passed(where, "the error of the update", f.update);
    passed(where, "the error of the update with eps", f.update_eps);
    passed(where, "the median error", f.half);
    passed(where, "the 99th percentile of errors", f.p99);
    passed(where, "the largest error", f.worst);
    passed(where, "the share of false zeros", f.false_zeros);
  };
  for (const StoreRow& row : study.stores) check(row);
  for (const StoreRow& row : study.block_sizes) check(row);
  for (const AverageRow& row : study.averages) {
    const std::string where = fmt::format("{} in {}", row.scenario.name, row.storage.name);
    passed(where, "the drift", row.figures.drift);
    passed(where, "the error of the update", row.figures.update);
  }
  for (const FactoredRow& row : study.factored) {
    const std::string where = fmt::format("{} in {}", row.sample, row.storage.name);
    passed(where, "the error of the update", row.figures.update);
    passed(where, "the largest error of the update", row.figures.worst);
  }
  for (const PublishedRow& row : study.published)
    if (!row.reproduced())
      study.failures.push_back(
          fmt::format("published study, {} in {}: {:.3f} and {:.3f} percent: printed {:.3f} and {:.3f}",
                      row.distribution, row.codec, row.measured_values, row.measured_update, row.values, row.update));
}

const Sample& named(const std::vector<Sample>& samples, StateKind kind, const std::string& name) {
  return *std::find_if(samples.begin(), samples.end(),
                       [&](const Sample& s) { return s.kind == kind && s.name == name; });
}

}  // namespace

std::vector<std::filesystem::path> default_traces() {
  const auto traces = trace_path("gpt_bytes").parent_path(), conformance = traces.parent_path() / "conformance";
  std::vector<std::filesystem::path> out{traces / "gpt_bytes.safetensors", traces / "digits_cnn.safetensors"};
  for (const char* name : {"torch-default", "came-default", "huggingface-momentum", "apollo-channel"})
    out.push_back(conformance / (std::string(name) + ".safetensors"));
  return out;
}

StudyInputs read_inputs(const std::vector<std::filesystem::path>& traces) {
  StudyInputs inputs;
  for (const auto& trace : traces)
    for (Sample& sample : recorded_samples(trace)) inputs.recorded.push_back(std::move(sample));
  inputs.published = reproduce_published(published_inputs());
  return inputs;
}

Study run_study(StudyInputs inputs, const RunOptions& options) {
  Study study;
  study.seed = options.seed;
  study.published = std::move(inputs.published);
  study.samples = drawn_samples(options.seed);
  for (Sample& sample : inputs.recorded) study.samples.push_back(std::move(sample));
  const std::vector<FactoredSample> factored = drawn_factored(options.seed);
  std::vector<AverageSamples> averages;
  for (const AverageScenario& scenario : average_scenarios()) averages.push_back(draw_samples(scenario, options.seed));

  // Rows are made first and filled in parallel: their order does not depend on the threads.
  std::vector<std::function<void()>> work;
  const auto plan_store = [&](std::vector<StoreRow>& rows, const Sample& sample, const Storage& storage,
                              int64_t block) {
    rows.emplace_back();
    work.emplace_back([&rows, at = rows.size() - 1, &sample, &storage, block, &options] {
      rows[at] = store_sample(sample, storage, block, options.seed);
    });
  };
  for (const Sample& sample : study.samples)
    for (const Storage& storage : options.storages)
      if (storage.kind == sample.kind) plan_store(study.stores, sample, storage, storage.block);
  for (const auto& [kind, name] :
       {std::pair{StateKind::second_moment, "averaged squares"}, std::pair{StateKind::momentum, "averaged gradients"}})
    for (const Storage& storage : options.storages)
      if (storage.kind == kind && storage.scale_words > 0)
        for (int64_t block = 32; block <= 16384; block *= 2)
          plan_store(study.block_sizes, named(study.samples, kind, "averages"), storage, block);
  for (const AverageSamples& samples : averages)
    for (const Storage& storage : options.storages) {
      if (storage.kind != samples.scenario.kind) continue;
      study.averages.push_back({samples.scenario, storage, {}});
      work.emplace_back([&study, at = study.averages.size() - 1, &samples, &storage, &options] {
        study.averages[at].figures = run_average(storage, samples, options.seed);
      });
    }
  for (const FactoredSample& sample : factored)
    for (const Storage& storage : options.storages) {
      if (storage.kind != StateKind::second_moment) continue;
      study.factored.push_back({sample.name, storage, {}});
      work.emplace_back([&study, at = study.factored.size() - 1, &sample, &storage, &options] {
        study.factored[at].figures = measure_factored(storage, sample, options.seed);
      });
    }
  const auto plan_promise = [&](auto measure) {
    for (const Storage& storage : options.storages) {
      if (storage.kind != StateKind::momentum) continue;
      study.promises.emplace_back();
      work.emplace_back(
          [&study, at = study.promises.size() - 1, &storage, measure] { study.promises[at] = measure(storage); });
    }
  };
  for (const bool is_factored : {true, false})
    plan_promise([=, seed = options.seed](const Storage& s) { return measure_adverse(s, is_factored, seed); });
  for (const Sample& sample : study.samples)
    if (!sample.second_moments.empty())
      plan_promise([&sample, seed = options.seed](const Storage& s) { return measure_given(s, sample, seed); });

  std::mutex progress;
  size_t done = 0;
  const tbb::global_control threads(
      tbb::global_control::max_allowed_parallelism,
      options.threads > 0 ? size_t(options.threads)
                          : tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism));
  tbb::parallel_for(size_t{0}, work.size(), [&](size_t i) {
    work[i]();
    if (!options.progress) return;
    const std::lock_guard lock(progress);
    options.progress(++done, work.size());
  });
  for (Sample& sample : study.samples) sample.values.clear(), sample.gradients.clear(), sample.second_moments.clear();
  collect_failures(study);
  return study;
}

}  // namespace plumbline::harness::codecs
