// The slots of state that a step reads and leaves, as one table: what names them and where their quantities are.
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "harness/result.h"
#include "harness/subject.h"
#include "reference/transform.h"

namespace plumbline::harness {

using reference::Slot;

// Everything but the projection, which is made anew, and the previous norm, which is one float64. The number of a slot
// is its place here.
inline constexpr int kSlots = 10;

struct SlotInfo {
  Slot slot;
  const char* name;  // "row", as it is exported
  bool momentum;     // read as stored in the step that makes it; else used unquantized
  Quantity used;     // value before storage
  Quantity scale;    // block scales; codes given those scales and decoded values follow
  Quantity drift;
  reference::Tensor reference::StepRecord::*recorded;        // before storage
  std::optional<std::vector<float>> Observation::*observed;  // likewise, as the subject shows it

  Quantity code() const { return static_cast<Quantity>(int(scale) + 1); }
  Quantity stored() const { return static_cast<Quantity>(int(scale) + 2); }
};
std::span<const SlotInfo, kSlots> slot_table();
inline const SlotInfo& info(Slot slot) { return slot_table()[size_t(slot)]; }
// Null for a name that no slot has.
const SlotInfo* find_slot(std::string_view name);

// One value per slot.
template <class T>
struct PerSlot {
  std::array<T, kSlots> all{};
  T& operator[](Slot slot) { return all[size_t(slot)]; }
  const T& operator[](Slot slot) const { return all[size_t(slot)]; }
};

}  // namespace plumbline::harness
