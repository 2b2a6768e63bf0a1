// Cores of the host twin: independent items, each with the buffers of the core that runs it. Which core runs what
// cannot change a bit.
#pragma once
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace plumbline::twin {

// Buffers of one core, float32, each of the width that Workers was made with.
struct Workspace {
  std::vector<float> gradient, square, parameter, momentum, update, resolution;
  std::vector<double> sums;  // of a tile of channels
};

class Workers {
 public:
  // What the widest tensor needs: float32 values of each buffer, of `sums`, and of `entries`.
  struct Widths {
    int64_t values = 0, sums = 0, entries = 0;
  };
  // At most `threads` cores.
  Workers(int threads, const Widths& width)
      : arena_(std::min(threads, tbb::this_task_arena::max_concurrency()), 1),
        spaces_(size_t(arena_.max_concurrency())),
        entries_(size_t(width.entries)) {
    for (Workspace& space : spaces_) {
      for (auto* buffer :
           {&space.gradient, &space.square, &space.parameter, &space.momentum, &space.update, &space.resolution})
        buffer->resize(size_t(width.values));
      space.sums.resize(size_t(width.sums));
    }
  }

  // Of the projection that is in use: one tensor's at a time.
  int8_t* entries() { return entries_.data(); }

  // work(i, workspace) for 0 <= i < n
  template <class Work>
  void for_each(int64_t n, Work work) {
    if (spaces_.size() == 1 || n == 1) {
      for (int64_t i = 0; i < n; ++i) work(i, spaces_[0]);
      return;
    }
    arena_.execute([&] {
      tbb::parallel_for(int64_t(0), n,
                        [&](int64_t i) { work(i, spaces_[size_t(tbb::this_task_arena::current_thread_index())]); });
    });
  }

 private:
  tbb::task_arena arena_;
  std::vector<Workspace> spaces_;
  std::vector<int8_t> entries_;
};

}  // namespace plumbline::twin
