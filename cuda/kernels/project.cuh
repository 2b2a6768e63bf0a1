// G_low = G P (m x r, channels are rows) or P^T G (r x n, channels are columns): sums in double in the order of
// core/projection.h, with P made on the fly. A block takes a tile of channels and ranks and walks along the reduced
// axis; groups of its threads take chunks of it side by side, whose sums are then added in order. Writes scratch only.
#pragma once
#include "cuda/core/projection.h"
#include "cuda/kernels/rows.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// Channels and Ranks of a tile; Groups chunks at once, Terms of each in shared memory at once.
template <int Channels, int Ranks, int Groups, int Terms>
struct ProjectForm {
  static constexpr int kChannels = Channels, kRanks = Ranks, kGroups = Groups, kTerms = Terms;
  static constexpr int kEach = 4;  // channels and ranks of a thread
  static constexpr int kAlong = Channels / kEach, kAcross = Ranks / kEach, kThreads = kAlong * kAcross * Groups;
  static constexpr int kPitch = Channels + 1;  // of gradients: threads that write side by side meet no bank twice
  static constexpr int kStage = Terms * (kPitch + Ranks);                 // doubles of a group
  static constexpr int kSums = Groups > 1 ? Groups* Channels* Ranks : 0;  // doubles: sums of chunks
  static constexpr size_t kBytes = sizeof(double) * size_t(Groups * kStage > kSums ? Groups * kStage : kSums);
  static_assert(core::kProjectionChunk % Terms == 0 && Terms % 4 == 0);
};
using WideProject = ProjectForm<64, 64, 1, 32>;
using NarrowProject = ProjectForm<32, 16, 8, 16>;
inline constexpr int kProjectThreads = 256;
static_assert(WideProject::kThreads == kProjectThreads && NarrowProject::kThreads == kProjectThreads);

// Whether a step leaves the tensor alone; the count of non-finite elements is known.
PLUMBLINE_DEVICE bool skips(const Task& task) {
  return task.plan.nonfinite == Nonfinite::skip &&
         load_fresh(scratch_at<uint64_t>(task, task.plan.nonfinite_count)) != 0;
}

// The gradient as statistics see it.
template <class G>
struct ProjectedGradient {
  const G* values;
  float multiplier;
  bool zero;
  PLUMBLINE_DEVICE float operator()(int64_t at) const {
    const float g = core::widen(values[at]) * multiplier;
    return zero && core::is_nonfinite(g) ? 0.0f : g;
  }
};
template <class G>
PLUMBLINE_DEVICE ProjectedGradient<G> projected_gradient(const Task& task, const core::StepScalars& scalars) {
  return {static_cast<const G*>(task.gradient), scalars.multiplier, task.plan.nonfinite == Nonfinite::zero};
}

template <class G, class Form>
PLUMBLINE_KERNEL(kProjectThreads, 2)
project(const Launch launch) {
  constexpr int E = Form::kEach, kOfGroup = Form::kThreads / Form::kGroups, kLoads = Form::kChannels * Form::kTerms,
                kLoadsEach = kLoads / kOfGroup;
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_DYNAMIC_SHARED(double, memory);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  const ProjectedGradient<G> gradient = projected_gradient<G>(task, scalars);
  const int rank_tiles = int(core::ceil_div(plan.rank, Form::kRanks));
  const int first_rank = task.block % rank_tiles * Form::kRanks, first = task.block / rank_tiles * Form::kChannels;
  const int t = thread_index() % kOfGroup, group = thread_index() / kOfGroup;
  const int along = t % Form::kAlong, across = t / Form::kAlong;  // channels along + i kAlong, ranks across + ...
  const uint32_t refresh = core::refresh_index(scalars.step, plan.refresh);
  const int channel_stride = plan.reduces_columns ? plan.cols : 1, term_stride = plan.reduces_columns ? 1 : plan.cols;
  double* const x = memory + group * Form::kStage;  // [term][channel]
  double* const entries = x + Form::kTerms * Form::kPitch;

  // Element i of a stage by this thread: side by side along what lies side by side in memory.
  const auto place = [&](int i, int& term, int& channel) {
    const int at = t + i * kOfGroup;
    term = plan.reduces_columns ? at % Form::kTerms : at / Form::kChannels;
    channel = plan.reduces_columns ? at / Form::kTerms : at % Form::kChannels;
  };
  const auto fetch = [&](int start, float(&g)[kLoadsEach]) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < kLoadsEach; ++i) {
      int term, channel;
      place(i, term, channel);
      const int terms = core::is_mutant(core::Mutant::last_terms_lost) ? plan.reduced & ~3 : plan.reduced;
      const bool in = start + term < terms && first + channel < plan.channels;
      g[i] = in ? gradient(int64_t(first + channel) * channel_stride + int64_t(start + term) * term_stride) : 0.0f;
    }
  };

  double total[E][E] = {}, sum[E][E];
  constexpr int kOwned = Form::kGroups == 1 ? 1 : Form::kChannels * Form::kRanks / Form::kThreads;
  double owned[kOwned] = {};  // with groups: of values t', t' + threads, ... of the tile
  constexpr int kChunk = core::kProjectionChunk;
  const int chunks = int(core::ceil_div(plan.reduced, kChunk));
  float g[kLoadsEach];
  fetch(group * kChunk, g);
  for (int chunk = group; chunk - group < chunks; chunk += Form::kGroups) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < E; ++i) {
      PLUMBLINE_UNROLL
      for (int j = 0; j < E; ++j) sum[i][j] = 0.0;
    }
    PLUMBLINE_LOOP
    for (int start = chunk * kChunk; start < (chunk + 1) * kChunk; start += Form::kTerms) {
      block_barrier();  // what lay there was read
      PLUMBLINE_UNROLL
      for (int i = 0; i < kLoadsEach; ++i) {
        int term, channel;
        place(i, term, channel);
        x[term * Form::kPitch + channel] = double(g[i]);
      }
      PLUMBLINE_LOOP
      for (int i = t; i < Form::kTerms / 4 * Form::kRanks; i += kOfGroup) {
        const int k = i % Form::kRanks, four = i / Form::kRanks;
        const bool in = first_rank + k < plan.rank && start + 4 * four < plan.reduced;
        core::PhiloxWords words = {};
        if (in)
          words = core::projection_words(plan.projection_seed, plan.index, refresh, start / 4 + four, first_rank + k);
        PLUMBLINE_UNROLL
        for (int e = 0; e < 4; ++e)
          entries[(4 * four + e) * Form::kRanks + k] =
              in ? double(core::projection_entry(core::word_of(words, e))) : 0.0;
      }
      if (!core::is_mutant(core::Mutant::project_barrier_lost)) block_barrier();
      const int next = start + Form::kTerms, last = (chunk + 1) * kChunk;
      fetch(next < last ? next : last + (Form::kGroups - 1) * kChunk, g);
      PLUMBLINE_LOOP
      for (int term = 0; term < Form::kTerms; ++term) {
        double a[E], b[E];
        PLUMBLINE_UNROLL
        for (int i = 0; i < E; ++i) {
          a[i] = x[term * Form::kPitch + along + i * Form::kAlong];
          b[i] = entries[term * Form::kRanks + across + i * Form::kAcross];
        }
        PLUMBLINE_UNROLL
        for (int i = 0; i < E; ++i) {
          PLUMBLINE_UNROLL
          for (int j = 0; j < E; ++j) sum[i][j] = core::fma(a[i], b[j], sum[i][j]);
        }
      }
    }
    if constexpr (Form::kGroups == 1) {
      PLUMBLINE_UNROLL
      for (int i = 0; i < E; ++i) {
        PLUMBLINE_UNROLL
        for (int j = 0; j < E; ++j) total[i][j] = total[i][j] + sum[i][j];
      }
    } else {
      block_barrier();
      PLUMBLINE_UNROLL
      for (int i = 0; i < E; ++i) {
        PLUMBLINE_UNROLL
        for (int j = 0; j < E; ++j)
          memory[(group * Form::kRanks + across + j * Form::kAcross) * Form::kChannels + along + i * Form::kAlong] =
              sum[i][j];
      }
      block_barrier();
      PLUMBLINE_UNROLL
      for (int i = 0; i < kOwned; ++i) {
        for (int s = 0; s < Form::kGroups && chunk - group + s < chunks; ++s)
          owned[i] = owned[i] + memory[s * Form::kChannels * Form::kRanks + i * Form::kThreads + thread_index()];
      }
    }
  }

  const double unit = core::projection_unit(plan.rank);
  float* const low = scratch_at<float>(task, plan.low_rank_gradient);
  const auto put = [&](int channel, int k, double value) {
    if (first + channel >= plan.channels || first_rank + k >= plan.rank) return;
    const int64_t at = plan.reduces_columns ? int64_t(first + channel) * plan.rank + first_rank + k
                                            : int64_t(first_rank + k) * plan.cols + first + channel;
    low[at] =
        core::canonical(core::perturbed(core::PerturbedStage::low_rank_gradient, core::low_rank_gradient(value, unit)));
  };
  if constexpr (Form::kGroups == 1) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < E; ++i) {
      PLUMBLINE_UNROLL
      for (int j = 0; j < E; ++j) put(along + i * Form::kAlong, across + j * Form::kAcross, total[i][j]);
    }
  } else {
    PLUMBLINE_UNROLL
    for (int i = 0; i < kOwned; ++i) {
      const int at = i * Form::kThreads + thread_index();
      put(at % Form::kChannels, at / Form::kChannels, owned[i]);
    }
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
