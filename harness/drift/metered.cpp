#include "harness/drift/metered.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/contracts/codes.h"

namespace plumbline::harness {
namespace {

using reference::Slot;
using reference::Tensor;
using reference::Vector;
using Sink = std::function<void(const Problem&, std::vector<SlotStaleness>)>;

// The subject's own average before coding, where it shows it.
const std::vector<float>* unquantized(const Observation& seen, Slot slot) {
  const auto& shown = slot == Slot::row ? seen.row : slot == Slot::col ? seen.col : seen.second_moment;
  return shown ? &*shown : nullptr;
}

// Steps between codes, per value: in octaves for a logarithmic grid, in units of the value for an even one.
Vector code_steps(const SlotState& slot) {
  const int64_t matrix = slot.matrix, blocks = (matrix + slot.block - 1) / slot.block;
  const bool log = slot.storage == Storage::al8 || slot.storage == Storage::log_u8;
  const int words = log ? 2 : 1;
  Vector steps(slot.count);
  for (int64_t i = 0; i < slot.count; ++i) {
    const int64_t block = i / matrix * blocks + i % matrix / slot.block;
    const double width = slot.scales[size_t(block * words + words - 1)];
    steps[i] = width / (slot.storage == Storage::al8 ? 254 : 255);
  }
  return steps;
}

class MeteredSession final : public Session {
 public:
  MeteredSession(const Problem& problem, std::span<const std::byte> parameter, std::unique_ptr<Session> inner,
                 const Sink& sink)
      : problem_(problem),
        inner_(std::move(inner)),
        sink_(sink),
        reference_(reference::make_plumbline(problem.options, problem.shape)),
        parameter_(problem.shape),
        gradient_(problem.shape) {
    load(problem.parameter, parameter.data(), {parameter_.data.data(), size_t(parameter_.size())});
  }
  ~MeteredSession() override {
    std::vector<SlotStaleness> found;
    for (const Meter& m : meters_) found.push_back({m.slot, true, m.meter.windows()});
    sink_(problem_, std::move(found));
  }
  MeteredSession(const MeteredSession&) = delete;
  MeteredSession& operator=(const MeteredSession&) = delete;

  void step(std::span<const std::byte> gradient, Observation& out) override {
    inner_->step(gradient, out);
    load(problem_.gradient, gradient.data(), {gradient_.data.data(), size_t(gradient_.size())});
    record_.keep_gradient = false;
    reference_.step(parameter_, gradient_, &record_);
    if (record_.skipped) return;
    for (const SlotState& slot : out.state)
      if (slot.storage != Storage::fp32) measure(slot, out);
  }
  Arithmetic arithmetic() const override { return inner_->arithmetic(); }

 private:
  struct Meter {
    Slot slot{};
    StalenessMeter meter;
    Vector stored, steps;  // after the step before
    std::vector<std::byte> codes;
  };

  void measure(const SlotState& slot, const Observation& seen) {
    const Tensor* exact = reference_.state(slot.slot);
    const std::vector<float>* used = unquantized(seen, slot.slot);
    if (!exact || !used) return;
    decode_slot(slot, inner_->arithmetic(), exact->shape, decoded_);
    auto at = std::find_if(meters_.begin(), meters_.end(), [&](const Meter& m) { return m.slot == slot.slot; });
    if (at == meters_.end()) at = meters_.insert(meters_.end(), Meter{slot.slot, {}, {}, {}, {}});
    Flags predicted = Flags::Constant(exact->size(), false), kept = predicted;
    if (at->stored.size() > 0) {
      const Vector now = Eigen::Map<const Eigen::ArrayXf>(used->data(), exact->size()).cast<double>();
      const Vector sample = (now - record_.old_weight * at->stored) / record_.weight;
      predicted = slot.storage == Storage::linear_u8 ? even_grid_freezes(at->stored, sample, at->steps, record_.weight)
                                                     : log_grid_freezes(at->stored, sample, at->steps, record_.weight);
      const size_t width = slot.values.size() / size_t(slot.count);  // bytes of a code
      for (int64_t i = 0; i < slot.count; ++i)
        kept[i] = std::memcmp(&slot.values[size_t(i) * width], &at->codes[size_t(i) * width], width) == 0;
    }
    at->meter.step(record_.step, record_.weight, exact->data, decoded_.values.data, kept, predicted);
    at->codes = slot.values;
    at->stored = decoded_.values.data;
    at->steps = code_steps(slot);
  }

  Problem problem_;
  std::unique_ptr<Session> inner_;
  const Sink& sink_;
  reference::Optimizer reference_;
  reference::StepRecord record_;
  Tensor parameter_, gradient_;
  DecodedSlot decoded_;
  std::vector<Meter> meters_;
};

class MeteredSubject final : public Subject {
 public:
  MeteredSubject(const Subject& inner, Sink sink) : inner_(inner) {
    sink_ = [this, sink = std::move(sink)](const Problem& problem, std::vector<SlotStaleness> found) {
      const std::lock_guard lock(mutex_);
      sink(problem, std::move(found));
    };
  }
  std::string name() const override { return inner_.name(); }
  std::string cannot_run(const Problem& problem) const override { return inner_.cannot_run(problem); }
  std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter) const override {
    return std::make_unique<MeteredSession>(problem, parameter, inner_.start(problem, parameter), sink_);
  }

 private:
  const Subject& inner_;
  mutable std::mutex mutex_;
  Sink sink_;
};

}  // namespace

std::unique_ptr<Subject> make_metered(const Subject& inner, Sink sink) {
  return std::make_unique<MeteredSubject>(inner, std::move(sink));
}

}  // namespace plumbline::harness
