// The whole study: every storage over every sample, block size, long average and factored matrix, and the published
// figures again. A measured figure above its rigorous bound makes it red.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "harness/codecs/average.h"
#include "harness/codecs/factored.h"
#include "harness/codecs/figures.h"
#include "harness/codecs/promise.h"
#include "harness/codecs/published.h"
#include "harness/codecs/samples.h"

namespace plumbline::harness::codecs {

// One store of one sample.
struct StoreRow {
  std::string sample;
  StateKind kind = StateKind::second_moment;
  SampleOrigin origin = SampleOrigin::drawn;
  bool factored = false;
  Storage storage;
  int64_t block = 0;  // values
  double bits = 0;    // a value, scales included
  Figures figures;
};

struct AverageRow {
  AverageScenario scenario;
  Storage storage;
  AverageFigures figures;
};

struct FactoredRow {
  std::string sample;
  Storage storage;
  FactoredFigures figures;
};

struct Study {
  uint64_t seed = 0;
  std::vector<Sample> samples;        // their values are dropped: names and meanings remain
  std::vector<StoreRow> stores;       // at each storage's own block size
  std::vector<StoreRow> block_sizes;  // one sample of each kind at blocks of 32 to 16,384
  std::vector<AverageRow> averages;
  std::vector<FactoredRow> factored;
  std::vector<PromiseRow> promises;  // of momentum
  std::vector<PublishedRow> published;
  std::vector<std::string> failures;  // one line each: a bound that was passed, a figure that was not reproduced
  bool green() const { return failures.empty(); }
};

// What is read from files.
struct StudyInputs {
  std::vector<Sample> recorded;
  std::vector<PublishedRow> published;
};
// The traces of the project's own data: gradients of two trainings, states of four public optimizers.
std::vector<std::filesystem::path> default_traces();
// Throws InputError for a trace that cannot be read or that holds nothing to study.
StudyInputs read_inputs(const std::vector<std::filesystem::path>& traces);

struct RunOptions {
  uint64_t seed = 1;
  std::vector<Storage> storages = codecs::storages();
  int threads = 0;                                            // 0: all
  std::function<void(size_t done, size_t planned)> progress;  // calls are serialised
};
Study run_study(StudyInputs inputs, const RunOptions& options);

}  // namespace plumbline::harness::codecs
