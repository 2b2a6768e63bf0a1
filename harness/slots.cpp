#include "harness/slots.h"

namespace plumbline::harness {

std::span<const SlotInfo, kSlots> slot_table() {
  using R = reference::StepRecord;
  using O = Observation;
  static constexpr std::array<SlotInfo, kSlots> table{{
      {Slot::row, "row", false, Quantity::row, Quantity::row_scale, Quantity::row_drift, &R::row, &O::row},
      {Slot::col, "col", false, Quantity::col, Quantity::col_scale, Quantity::col_drift, &R::col, &O::col},
      {Slot::second_moment, "second_moment", false, Quantity::second_moment, Quantity::second_moment_scale,
       Quantity::second_moment_drift, &R::second_moment, &O::second_moment},
      {Slot::momentum, "momentum", true, Quantity::momentum, Quantity::momentum_scale, Quantity::momentum_drift,
       &R::momentum, &O::momentum},
      {Slot::confidence_row, "confidence_row", false, Quantity::confidence_row, Quantity::confidence_row_scale,
       Quantity::confidence_row_drift, &R::confidence_row, &O::confidence_row},
      {Slot::confidence_col, "confidence_col", false, Quantity::confidence_col, Quantity::confidence_col_scale,
       Quantity::confidence_col_drift, &R::confidence_col, &O::confidence_col},
      {Slot::low_rank_momentum, "low_rank_momentum", true, Quantity::low_rank_momentum,
       Quantity::low_rank_momentum_scale, Quantity::low_rank_momentum_drift, &R::low_rank_momentum,
       &O::low_rank_momentum},
      {Slot::low_rank_second_moment, "low_rank_second_moment", false, Quantity::low_rank_second_moment,
       Quantity::low_rank_second_moment_scale, Quantity::low_rank_second_moment_drift, &R::low_rank_second_moment,
       &O::low_rank_second_moment},
      {Slot::low_rank_row, "low_rank_row", false, Quantity::low_rank_row, Quantity::low_rank_row_scale,
       Quantity::low_rank_row_drift, &R::low_rank_row, &O::low_rank_row},
      {Slot::low_rank_col, "low_rank_col", false, Quantity::low_rank_col, Quantity::low_rank_col_scale,
       Quantity::low_rank_col_drift, &R::low_rank_col, &O::low_rank_col},
  }};
  return table;
}

const SlotInfo* find_slot(std::string_view name) {
  for (const SlotInfo& slot : slot_table())
    if (name == slot.name) return &slot;
  return nullptr;
}

}  // namespace plumbline::harness
