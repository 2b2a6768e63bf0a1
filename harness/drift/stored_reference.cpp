#include "harness/drift/stored_reference.h"

#include <algorithm>
#include <utility>

#include "harness/codecs/storage.h"
#include "harness/slots.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;

// Null for float32, which double stands for.
const codecs::Storage* codec_of(const Keeping& keeping, codecs::StateKind kind) {
  if (keeping.storage == Storage::fp32) return nullptr;
  const auto& all = codecs::storages();
  const auto found = std::find_if(all.begin(), all.end(), [&](const codecs::Storage& s) {
    return s.kind == kind && !s.rival && s.codec == to_string(keeping.storage) && s.rounding == keeping.rounding;
  });
  return found == all.end() ? nullptr : &*found;
}

// One slot of state of one tensor.
class Store {
 public:
  Store(const Problem& problem, const SlotInfo& slot)
      : kind_(slot.momentum ? codecs::StateKind::momentum : codecs::StateKind::second_moment),
        keeping_(problem.keeping(slot.slot)),
        codec_(codec_of(keeping_, kind_)),
        seed_(uint32_t(problem.seed)),
        slot_(uint32_t(slot.slot)) {}

  // `resolution`: one step of the codes of every value, where it is asked for and there are even codes; else emptied.
  void operator()(Tensor& x, Tensor* resolution = nullptr) {
    if (resolution) *resolution = {};
    if (!codec_ || x.size() == 0) return;
    if (resolution && has_codes(keeping_.storage)) *resolution = x;
    const bool rows = kind_ == codecs::StateKind::momentum || x.shape.size() == 2;  // (slices, m) of an average
    const int64_t length = rows ? x.shape.back() : x.size();
    const int64_t block = keeping_.block > 0 ? keeping_.block : codec_->block;
    const auto codec = codec_->make();
    for (int64_t first = 0; first < x.size(); first += length) {
      // rows have random numbers of their own
      const reference::RoundingStream stream{seed_, uint32_t(16 * (first / length)) + slot_, writes_};
      for (int64_t column = 0; column < length; column += block) {
        const std::span<double> part(x.data.data() + first + column, size_t(std::min(block, length - column)));
        codec->begin(part, {stream, column / block, column});
        if (resolution && resolution->size() > 0)
          resolution->data.segment(first + column, int64_t(part.size())) =
              codecs::step_at_zero(*codec, codec_->rounding);
        for (size_t i = 0; i < part.size(); ++i) part[i] = codec->stored(part[i], int64_t(i));
      }
    }
    ++writes_;
  }

 private:
  codecs::StateKind kind_;
  Keeping keeping_;
  const codecs::Storage* codec_;
  uint32_t seed_, slot_, writes_ = 0;
};

class StoredSession final : public Session {
 public:
  StoredSession(const Problem& problem, std::span<const std::byte> parameter, bool raised)
      : problem_(problem),
        momentum_(problem, info(Slot::momentum)),
        optimizer_(reference::make_plumbline(problem.options, problem.shape,
                                             [this, raised](Tensor& m, Tensor& resolution) {
                                               momentum_(m, &resolution);
                                               if (!raised) resolution = {};
                                             })),
        parameter_(problem.shape),
        gradient_(problem.shape) {
    load(problem.parameter, parameter.data(), {parameter_.data.data(), size_t(parameter_.size())});
    for (const SlotInfo& slot : slot_table())
      if (!slot.momentum && optimizer_.state(slot.slot)) averages_.emplace_back(slot.slot, Store(problem, slot));
  }

  void step(std::span<const std::byte> gradient, Observation& out) override {
    load(problem_.gradient, gradient.data(), {gradient_.data.data(), size_t(gradient_.size())});
    gradient_.data *= problem_.gradient_scale;
    optimizer_.step(parameter_, gradient_);
    for (auto& [slot, store] : averages_) store(*optimizer_.state(slot));
    const auto n = size_t(parameter_.size());
    out.parameter.resize(n * size_of(problem_.parameter));
    plumbline::harness::store(problem_.parameter, {parameter_.data.data(), n}, out.parameter.data());
    load(problem_.parameter, out.parameter.data(), {parameter_.data.data(), n});
    out.steps_taken = optimizer_.step_count();
  }
  Arithmetic arithmetic() const override { return {}; }

 private:
  Problem problem_;
  Store momentum_;
  reference::Optimizer optimizer_;
  std::vector<std::pair<Slot, Store>> averages_;
  Tensor parameter_, gradient_;
};

class StoredReference final : public Subject {
 public:
  explicit StoredReference(bool raised) : raised_(raised) {}
  std::string name() const override { return "reference"; }
  std::string cannot_run(const Problem& problem) const override {
    if (problem.path() == reference::Path::projected) return "the stored reference has no projection";
    return {};
  }
  std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter) const override {
    return std::make_unique<StoredSession>(problem, parameter, raised_);
  }

 private:
  bool raised_;
};

}  // namespace

std::unique_ptr<Subject> make_stored_reference(bool raised) { return std::make_unique<StoredReference>(raised); }

}  // namespace plumbline::harness
