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
  std::vector<float> gradient, square, parameter, momentum, update;
};

class Workers {
 public:
  // At most `threads` cores, each with buffers of `width` values.
  Workers(int threads, int64_t width)
      : arena_(std::min(threads, tbb::this_task_arena::max_concurrency()), 1),
        spaces_(size_t(arena_.max_concurrency())) {
    for (Workspace& space : spaces_) {
      for (auto* buffer : {&space.gradient, &space.square, &space.parameter, &space.momentum, &space.update})
        buffer->resize(size_t(width));
    }
  }

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
};

}  // namespace plumbline::twin
