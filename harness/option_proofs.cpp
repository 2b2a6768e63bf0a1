#include "harness/option_proofs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "harness/error.h"
#include "harness/judge.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;
using reference::Optimizer;
using reference::Slot;
using reference::Tensor;

// They choose how a step is computed, and not what: nothing of them is to be seen.
constexpr std::array<std::string_view, 5> kImplementations{"foreach", "fused", "capturable", "differentiable",
                                                           "use_cuda_kernel"};

// "none", as the tables print it, is JSON's null; what is no JSON is a string.
json value_of(const std::string& text) {
  if (text == "none") return nullptr;
  json value = json::parse(text, nullptr, false);
  return value.is_discarded() ? json(text) : value;
}

// Values that tell whether an option acts, the most telling first.
std::vector<json> others_than(const json& value, const std::string& standard) {
  std::vector<json> out = {value_of(standard)};
  if (value.is_number()) out.emplace_back(value.get<double>() == 0 ? 1e-3 : 2 * value.get<double>());
  if (value.is_boolean()) out.emplace_back(!value.get<bool>());
  return out;
}

bool outside(const reference::Vector& other, const reference::Vector& expected, const BoundedVector& bounds,
             DType type) {
  const double overflow = largest_finite(type);
  for (int64_t i = 0; i < expected.size(); ++i)
    if (std::fabs(expected[i]) < overflow &&
        !(error_ratio(other[i], expected[i], bounds[size_t(i)].error, overflow) <= 1))
      return true;
  return false;
}

}  // namespace

OptionProofs::OptionProofs(const StepsHead& head, Hyperparameters held) : head_(head), held_(held) {
  change(head.options);
}

std::optional<Optimizer> OptionProofs::without(const std::string& options, const std::string& name) const {
  const json given = json::parse(options);
  if (!given.contains(name) ||
      std::find(kImplementations.begin(), kImplementations.end(), name) != kImplementations.end())
    return std::nullopt;
  const auto rows = dialect_of(head_).options();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.name == name; });
  if (row == rows.end() || given[name] == value_of(row->default_value)) return std::nullopt;
  for (const json& value : others_than(given[name], row->default_value)) try {
      json changed = given;
      changed[name] = value;
      return make_reference(head_, changed.dump(), held_);
    } catch (const InputError&) {  // not beside the others
    }
  return std::nullopt;
}

void OptionProofs::change(const std::string& options) {
  const json given = json::parse(options);
  for (const auto& [name, value] : given.items()) {
    auto at = std::find(names_.begin(), names_.end(), name);
    std::optional<Optimizer> other = without(options, name);
    if (at == names_.end()) {
      if (!other) continue;
      names_.push_back(name);
      proofs_.push_back(
          {fmt::format("{}={}", name, value.is_string() ? value.get<std::string>() : value.dump()), false});
      others_.push_back(std::move(other));
    } else if (const auto k = size_t(at - names_.begin()); !proofs_[k].proved) {
      others_[k] = std::move(other);
    }
  }
}

void OptionProofs::start(const Optimizer& reference, const Tensor& parameter) {
  before_ = parameter;
  for (auto& other : others_)
    for (int s = 0; other && s <= int(Slot::previous_norm); ++s) {
      Tensor* to = other->state(static_cast<Slot>(s));
      const Tensor* from = reference.state(static_cast<Slot>(s));
      if (to && from && to->shape == from->shape) *to = *from;
    }
}

void OptionProofs::step(int64_t t, const StepShown& shown, const std::vector<KnownSlot>& slots,
                        const Optimizer& reference, const Tensor& parameter, const BoundedVector& parameter_bounds,
                        BoundedChain& bounds, const StoredTypes& types) {
  for (size_t k = 0; k < others_.size(); ++k) {
    if (!others_[k]) continue;
    Optimizer& other = *others_[k];
    Tensor p = before_;
    other.set_step_count(t - 1);
    other.step(p, *shown.gradient);
    bool noticed = outside(p.data, parameter.data, parameter_bounds, head_.parameter);
    for (const KnownSlot& slot : slots) {
      const Tensor *a = other.state(slot.slot), *b = reference.state(slot.slot);
      if (noticed || !shown.state[slot.index].shown || head_.slots[slot.index].codec) continue;
      noticed =
          !a || a->size() != b->size() || outside(a->data, b->data, *bounds.state(slot.slot), types.of(slot.slot));
    }
    if (!noticed) continue;
    proofs_[k].proved = true;
    others_[k].reset();
  }
}

}  // namespace plumbline::harness
