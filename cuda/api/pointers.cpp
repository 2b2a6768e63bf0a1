#include "cuda/api/pointers.h"

#include <fmt/format.h>

#include <algorithm>

namespace plumbline {
namespace {

size_t element_bytes(Type type) { return type == Type::float32 ? 4 : 2; }

struct Range {
  uintptr_t begin, end;
  int tensor;
  bool written;  // a parameter
  const char* name() const { return written ? "parameter" : "gradient"; }
};

[[noreturn]] void reject(const Plan& plan, int tensor, const std::string& what) {
  throw OptionError(fmt::format("tensor '{}': {}", plan.names[size_t(tensor)], what));
}

void check_one(const Plan& plan, const Engine& engine, const Range& range) {
  constexpr uintptr_t kAlignment = 16;
  if (range.begin == 0) reject(plan, range.tensor, fmt::format("{} pointer is null", range.name()));
  if (range.begin % kAlignment != 0)
    reject(plan, range.tensor, fmt::format("{} pointer is not aligned to {} bytes", range.name(), kAlignment));
  const std::string fault = engine.address_fault(reinterpret_cast<const void*>(range.begin));
  if (!fault.empty()) reject(plan, range.tensor, fmt::format("{} pointer: {}", range.name(), fault));
}

[[noreturn]] void reject_overlap(const Plan& plan, const Range& a, const Range& b) {
  if (a.tensor == b.tensor) reject(plan, a.tensor, "parameter and gradient overlap");
  reject(plan, b.tensor,
         fmt::format("{} overlaps the {} of tensor '{}'", b.name(), a.name(), plan.names[size_t(a.tensor)]));
}

}  // namespace

void PointerCheck::check(std::span<const TensorPointers> pointers, const Plan& plan, const Engine& engine) {
  if (std::equal(pointers.begin(), pointers.end(), good_.begin(), good_.end())) return;
  if (pointers.size() != plan.tensors.size())
    throw OptionError(fmt::format("pointers: {} given, expected {}", pointers.size(), plan.tensors.size()));
  std::vector<Range> ranges;
  ranges.reserve(2 * pointers.size());
  for (int i = 0; i < int(pointers.size()); ++i) {
    const TensorPlan& t = plan.tensors[size_t(i)];
    const auto parameter = reinterpret_cast<uintptr_t>(pointers[size_t(i)].parameter);
    const auto gradient = reinterpret_cast<uintptr_t>(pointers[size_t(i)].gradient);
    ranges.push_back({parameter, parameter + size_t(t.size) * element_bytes(t.parameter), i, true});
    ranges.push_back({gradient, gradient + size_t(t.size) * element_bytes(t.gradient), i, false});
  }
  for (const Range& range : ranges) check_one(plan, engine, range);
  // In order of addresses, a range meets an earlier one if it starts before the furthest end so far: of any if it is
  // written, else of those that are.
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  const Range *furthest = nullptr, *furthest_written = nullptr;
  for (const Range& range : ranges) {
    const Range* before = range.written ? furthest : furthest_written;
    if (before != nullptr && range.begin < before->end) reject_overlap(plan, *before, range);
    if (furthest == nullptr || range.end > furthest->end) furthest = &range;
    if (range.written && (furthest_written == nullptr || range.end > furthest_written->end)) furthest_written = &range;
  }
  good_.assign(pointers.begin(), pointers.end());
}

}  // namespace plumbline
