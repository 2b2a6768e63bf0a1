#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "cuda/plan/engine.h"
#include "cuda/state/arena.h"
#include "cuda/twin/steps.h"

namespace plumbline {
namespace twin {

int64_t workspace_width(const TensorPlan& t) {
  return t.path == Path::factored ? t.cols : std::min<int64_t>(t.slice, core::kFlatTile);
}

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
        workers_(config.threads, width(plan)) {
    check_features();
    const std::vector<std::byte> initial = plan.initial_state();
    std::memcpy(state_.data(), initial.data(), initial.size());
    std::memset(scratch_.data(), 0, scratch_.bytes());
  }

  void step(std::span<const TensorPointers> pointers, Stream) override {
    check_arithmetic();
    const Arenas arenas{state_.data(), scratch_.data()};
    for (size_t i = 0; i < pointers.size(); ++i) {
      const TensorPlan& tensor = plan_.tensors[i];
      (tensor.path == Path::factored ? step_factored : step_full)(tensor, pointers[i], arenas, workers_);
    }
  }
  void set_lr(int group, double lr, Stream) override {
    std::memcpy(state_.data() + size_t(group) * sizeof lr, &lr, sizeof lr);
  }
  void set_multiplier(float multiplier, Stream) override {
    std::memcpy(state_.data() + plan_.multiplier, &multiplier, sizeof multiplier);
  }
  void read(ArenaKind arena, size_t offset, std::span<std::byte> to, Stream) const override {
    const Arena& from = arena == ArenaKind::state ? state_ : scratch_;
    std::memcpy(to.data(), from.data() + offset, to.size());
  }
  void write_state(size_t offset, std::span<const std::byte> from, Stream) override {
    std::memcpy(state_.data() + offset, from.data(), from.size());
  }

 private:
  // What the twin does not implement.
  void check_features() const {
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const TensorPlan& t = plan_.tensors[i];
      const auto refuse = [&](bool asked, const char* option) {
        if (asked)
          throw OptionError("tensor '" + plan_.names[i] + "': " + option + ", which the host twin does not implement");
      };
      refuse(t.path == Path::projected, "projection_rank");
    }
  }

  static int64_t width(const Plan& plan) {
    int64_t most = 0;
    for (const TensorPlan& tensor : plan.tensors) most = std::max(most, workspace_width(tensor));
    return most;
  }

  const Plan& plan_;
  MemoryResource& memory_;
  Arena state_, scratch_;
  Workers workers_;
};

}  // namespace
}  // namespace twin

std::unique_ptr<Engine> make_host_engine(const Plan& plan, const OptimizerConfig& config) {
  return std::make_unique<twin::HostEngine>(plan, config);
}

}  // namespace plumbline
