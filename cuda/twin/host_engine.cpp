#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "cuda/plan/engine.h"
#include "cuda/state/arena.h"
#include "cuda/twin/project.h"
#include "cuda/twin/steps.h"

namespace plumbline {
namespace twin {

namespace {

// The bits rest on IEEE arithmetic: round to nearest (bits 13-14 clear), no flush to zero (15), no denormals are zero
// (6).
void check_arithmetic() {
  if ((_mm_getcsr() & 0xe040u) != 0) {
    throw std::runtime_error(
        "host twin: the calling thread rounds or flushes denormals otherwise than IEEE arithmetic does");
  }
}

class HostEngine final : public Engine {
 public:
  HostEngine(const Plan& plan, const OptimizerConfig& config)
      : plan_(plan),
        memory_(config.memory != nullptr ? *config.memory : host_memory()),
        state_(memory_, plan.state_bytes),
        scratch_(memory_, plan.scratch_bytes),
        workers_(config.threads, widths(plan)) {
    const std::vector<std::byte> initial = plan.initial_state();
    std::memcpy(state_.data(), initial.data(), initial.size());
    std::memset(scratch_.data(), 0, scratch_.bytes());
  }

  void step(std::span<const TensorPointers> pointers, Stream) override {
    check_arithmetic();
    if (scale_ != nullptr) {
      store_float(plan_.multiplier, core::multiplier_of_scale(*scale_));
      scaled_ = true;
    } else if (scaled_ && !core::is_mutant(core::Mutant::scale_lingers)) {
      std::memcpy(state_.data() + plan_.multiplier, state_.data() + plan_.given_multiplier, sizeof(float));
      scaled_ = false;
    }
    const Arenas arenas{state_.data(), scratch_.data()};
    for (size_t i = 0; i < pointers.size(); ++i) {
      const TensorPlan& tensor = plan_.tensors[i];
      const auto step = tensor.path == Path::factored ? step_factored
                        : tensor.path == Path::full   ? step_full
                                                      : step_projected;
      step(tensor, pointers[i], arenas, workers_);
    }
  }
  void set_lr(int group, double lr, Stream) override {
    if (core::is_mutant(core::Mutant::lr_of_first_group)) group = 0;
    std::memcpy(state_.data() + size_t(group) * sizeof lr, &lr, sizeof lr);
  }
  void set_multiplier(float multiplier, Stream) override {
    for (const int64_t at : {plan_.multiplier, plan_.given_multiplier}) store_float(at, multiplier);
  }
  void set_scale(const float* scale) override { scale_ = scale; }
  void read(ArenaKind arena, size_t offset, std::span<std::byte> to, Stream) const override {
    const Arena& from = arena == ArenaKind::state ? state_ : scratch_;
    std::memcpy(to.data(), from.data() + offset, to.size());
  }
  void write_state(size_t offset, std::span<const std::byte> from, Stream) override {
    std::memcpy(state_.data() + offset, from.data(), from.size());
  }

 private:
  void store_float(int64_t offset, float value) { std::memcpy(state_.data() + offset, &value, sizeof value); }
  static Workers::Widths widths(const Plan& plan) {
    Workers::Widths most;
    for (const TensorPlan& t : plan.tensors) {
      most.values = std::max(most.values, t.path == Path::full ? std::min<int64_t>(t.slice, core::kFlatTile)
                                                               : std::max<int64_t>(t.cols, t.low_cols));
      if (t.path != Path::projected) continue;
      most.sums = std::max(most.sums, projection_sums(t));
      most.entries = std::max(most.entries, projection_entries(t));
    }
    return most;
  }

  const Plan& plan_;
  MemoryResource& memory_;
  Arena state_, scratch_;
  Workers workers_;
  const float* scale_ = nullptr;
  bool scaled_ = false;  // the multiplier in use is a scale's
};

}  // namespace
}  // namespace twin

std::unique_ptr<Engine> make_host_engine(const Plan& plan, const OptimizerConfig& config) {
  return std::make_unique<twin::HostEngine>(plan, config);
}

}  // namespace plumbline
