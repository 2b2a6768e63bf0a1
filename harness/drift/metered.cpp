#include "harness/drift/metered.h"

#include <algorithm>
#include <optional>
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
  const auto shown = [&]() -> const std::optional<std::vector<float>>* {
    switch (slot) {
      case Slot::row:
        return &seen.row;
      case Slot::col:
        return &seen.col;
      case Slot::second_moment:
        return &seen.second_moment;
      case Slot::momentum:
        return &seen.momentum;
      case Slot::confidence_row:
        return &seen.confidence_row;
      case Slot::confidence_col:
        return &seen.confidence_col;
      default:
        return nullptr;
    }
  }();
  return shown && *shown ? &**shown : nullptr;
}

bool is_logarithmic(Storage s) { return s == Storage::al8 || s == Storage::al16 || s == Storage::log_u8; }

double intervals(Storage s) {
  switch (s) {
    case Storage::al8:
      return 254;
    case Storage::al16:
      return 65534;
    case Storage::uf8:
      return 127;
    case Storage::uf4:
      return 7;
    default:
      return 255;
  }
}

// Steps between codes rounded to the nearest, per value: in octaves for a logarithmic grid, in units of the value for
// an even one.
Vector code_steps(const SlotState& slot) {
  const int64_t length = slot.row_length(), blocks = (length + slot.block - 1) / slot.block;
  const int words = is_logarithmic(slot.storage) ? 2 : 1;
  Vector steps(slot.count);
  for (int64_t i = 0; i < slot.count; ++i) {
    const int64_t block = i / length * blocks + i % length / slot.block;
    steps[i] = slot.scales[size_t(block * words + words - 1)] / intervals(slot.storage);
  }
  return steps;
}

int code_at(const SlotState& slot, int64_t i) {
  const auto byte = [&](int64_t at) { return int(slot.values[size_t(at)]); };
  if (slot.storage == Storage::al16) return byte(2 * i) | byte(2 * i + 1) << 8;
  if (slot.storage != Storage::uf4) return byte(i);
  const int64_t length = slot.row_length(), col = i % length;
  const int pair = byte(i / length * ((length + 1) / 2) + col / 2);
  return col % 2 == 0 ? pair >> 4 : pair & 15;
}

class MeteredSession final : public Session {
 public:
  MeteredSession(const Problem& problem, std::span<const std::byte> parameter, std::unique_ptr<Session> inner,
                 const Sink& sink)
      : problem_(problem),
        inner_(std::move(inner)),
        sink_(sink),
        reference_(reference::make_plumbline(problem.options, problem.shape, {}, uint32_t(problem.place))),
        parameter_(problem.shape),
        gradient_(problem.shape) {
    load(problem.parameter, parameter.data(), {parameter_.data.data(), size_t(parameter_.size())});
  }
  ~MeteredSession() override {
    std::vector<SlotStaleness> found;
    for (const Meter& m : meters_) found.push_back({m.slot, m.predicted, m.meter.windows(), m.promise.result()});
    sink_(problem_, std::move(found));
  }
  MeteredSession(const MeteredSession&) = delete;
  MeteredSession& operator=(const MeteredSession&) = delete;

  void step(std::span<const std::byte> gradient, Observation& out) override {
    inner_->step(gradient, out);
    load(problem_.gradient, gradient.data(), {gradient_.data.data(), size_t(gradient_.size())});
    if (problem_.gradient_scale != 1)
      for (double& g : gradient_.data) g = double(float(g * problem_.gradient_scale));
    record_.keep_gradient = false;
    reference_.step(parameter_, gradient_, &record_);
    if (record_.skipped) return;
    for (const SlotState& slot : out.state)
      if (has_codes(slot.storage)) measure(slot, out);
  }
  Arithmetic arithmetic() const override { return inner_->arithmetic(); }

 private:
  struct Meter {
    Slot slot{};
    bool predicted = false;
    StalenessMeter meter;
    PromiseMeter promise;
    Vector stored, steps;  // after the step before
    std::vector<int> codes;
  };

  void measure(const SlotState& slot, const Observation& seen) {
    const Tensor* exact = reference_.state(slot.slot);
    const std::vector<float>* used = unquantized(seen, slot.slot);
    if (!exact || !used) return;
    decode_slot(slot, inner_->arithmetic(), exact->shape, decoded_, uint32_t(problem_.seed));
    auto at = std::find_if(meters_.begin(), meters_.end(), [&](const Meter& m) { return m.slot == slot.slot; });
    if (at == meters_.end())
      at = meters_.insert(meters_.end(), Meter{slot.slot, slot.rounding == Rounding::nearest, {}, {}, {}, {}, {}});
    double weight = record_.weight, old_weight = record_.old_weight;
    const auto fixed = [&](double beta) { weight = 1 - beta, old_weight = beta; };
    if (slot.slot == Slot::momentum) fixed(*problem_.options.beta1);
    if (slot.slot == Slot::confidence_row || slot.slot == Slot::confidence_col) fixed(*problem_.options.beta3);

    std::vector<int> codes(size_t(slot.count));
    for (int64_t i = 0; i < slot.count; ++i) codes[size_t(i)] = code_at(slot, i);
    Flags predicted = Flags::Constant(exact->size(), false), kept = predicted;
    if (at->stored.size() > 0) {
      const Vector now = Eigen::Map<const Eigen::ArrayXf>(used->data(), exact->size()).cast<double>();
      const Vector sample = (now - old_weight * at->stored) / weight;
      if (at->predicted)
        predicted = is_logarithmic(slot.storage) ? log_grid_freezes(at->stored, sample, at->steps, weight)
                                                 : even_grid_freezes(at->stored, sample, at->steps, weight);
      for (size_t i = 0; i < codes.size(); ++i) kept[int64_t(i)] = codes[i] == at->codes[i];
    }
    at->meter.step(record_.step, weight, exact->data, decoded_.values.data, kept, predicted);
    at->promise.step(old_weight, slot, inner_->arithmetic(), uint32_t(problem_.seed), *used, decoded_.values.data,
                     exact->data);
    at->stored = decoded_.values.data;
    at->steps = code_steps(slot);
    at->codes = std::move(codes);
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
