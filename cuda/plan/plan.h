// A description of tensors turned into tables: geometry, and where every byte of state and scratch lies. The table
// entries are plain data, so that kernels read them from device memory.
#pragma once
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/core/geometry.h"
#include "cuda/core/step.h"

namespace plumbline {

enum class Path : uint8_t {
  factored,   // last two axes, the rest a batch
  full,       // a second moment of every element
  projected,  // one matrix of shape[0] rows; moments of its random projection
};

// Slots of state; a tensor has those whose count is not 0. The number takes part in the key of a slot's random numbers.
enum class SlotKind : uint8_t {
  row,
  col,
  second_moment,
  momentum,
  confidence_row,
  confidence_col,
  low_rank_momentum,
  low_rank_second_moment,
  low_rank_row,
  low_rank_col,
};
constexpr int kSlots = 10;
std::string_view slot_name(SlotKind kind);
constexpr int kSliceSums = 5;  // of TensorPlan::slice_sums

// One slot of a tensor. Offsets are bytes from the start of the state arena, multiples of 16. Values lie slice by slice
// and row by row, every row on a byte of its own; a second moment has one row a slice.
struct SlotPlan {
  int64_t values = 0;      // count float32 values, or count codes
  int64_t scales = 0;      // scale_words(storage) float32 per block, blocks of one row after the other
  int64_t count = 0;       // slices x matrix
  int64_t matrix = 0;      // values per slice
  int64_t row = 0;         // values per row: blocks never cross it
  int64_t row_bytes = 0;   // of values
  int64_t row_blocks = 0;  // blocks per row
  int64_t blocks = 0;      // blocks per slice
  int32_t block = 0;       // values per block
  Storage storage = Storage::fp32;
  Rounding rounding = Rounding::nearest;
  uint32_t seed = 0, stream = 0;  // key of its random numbers

  PLUMBLINE_HD int64_t rows() const { return matrix / row; }  // per slice
};

// Offsets are bytes from the start of the state or the scratch arena, multiples of 16 (`work` areas: of 256).
struct TensorPlan {
  Path path = Path::factored;
  Type parameter = Type::float32, gradient = Type::float32;
  Nonfinite nonfinite = Nonfinite::zero;
  Rounding parameter_rounding = Rounding::nearest;  // nearest where the parameter is float32
  uint32_t seed = 0, stream = 0;                    // key of the parameter's random numbers
  int64_t size = 0;                                 // elements
  int64_t slices = 1;                               // matrices of the batch
  int64_t slice = 0;                                // elements per matrix
  int32_t rows = 1, cols = 1;                       // factored and projected: of one matrix
  core::Hyper hyper = {};
  // projected
  int32_t rank = 0;
  bool reduces_columns = false;             // rows >= cols: channels are rows
  int32_t channels = 0, reduced = 0;        // the axis that keeps its extent, and the one that becomes `rank`
  int32_t low_rows = 0, low_cols = 0;       // shape of G_low
  int64_t refresh = 1;                      // steps between projections
  uint32_t projection_seed = 0, index = 0;  // key of P: index is the tensor's place among the specs

  // state
  int64_t lr = 0;          // double: the group's lr
  int64_t multiplier = 0;  // float32: of every gradient
  int64_t clock = 0;       // core::TensorClock
  SlotPlan slot[kSlots];

  // scratch that lasts until the tensor's next step
  int64_t scalars = 0;                             // core::StepScalars
  int64_t row = 0, col = 0;                        // float32: R (slices x rows), C (slices x cols), unquantized
  int64_t confidence_row = 0, confidence_col = 0;  // CAME: float32, likewise
  int64_t low_rank_gradient = 0;                   // projected: float32 (low_rows x low_cols)
  int64_t low_rank_row = 0, low_rank_col = 0;      // projected, factored: float32 (low_rows), (low_cols)
  int64_t channel_scale = 0;                       // projected: float32 s (channels), or one by tensor
  int64_t nonfinite_count = 0;  // devices: uint64, counted while the gradient is swept; 0 between steps
  int64_t norm_pending = 0;     // devices: uint32, a carried norm is still in parameter_sums and not in the clock
  bool settles = false;         // devices: such a norm goes into the clock at the end of its step
  int64_t done = 0;             // uint32 (slices + 1): tiles finished per slice, slices finished; 0 between steps
  // devices, where small matrices are stepped whole (kernels/packed.cuh)
  bool packed = false;
  int32_t pack = 0;   // matrices that a block takes at once: a power of two
  int64_t packs = 0;  // of the batch
  // devices, where a tensor is stepped by tickets (Plan::waves)
  bool ticketed = false;
  int32_t ring_order = 0;  // its number in the wave
  int32_t ring_after = 0;  // tensors of the wave that must have left the ring before this one's partial sums enter it
  int64_t tickets = 0;     // TicketCounters of the plan; 0 between launches
  int64_t arrivals = 0;    // uint32 (2): strips swept, tiles finished; 0 between steps
  // only where they are recorded, else -1: float32, as this step formed them before they became codes
  int64_t second_moment = -1;           // V (size)
  int64_t momentum = -1;                // (size)
  int64_t low_rank_momentum = -1;       // (low_rows x low_cols)
  int64_t low_rank_second_moment = -1;  // likewise

  // scratch of the tensor's wave: R and C as they divide (core/resolution.h), else where the averages are
  int64_t row_used = 0, confidence_row_used = 0;         // float32 (slices x rows)
  int64_t low_rank_row_used = 0, low_rank_col_used = 0;  // float32 (low_rows), (low_cols)
  int64_t panel_resolution = 0;                          // devices: like panel_rows, sum_j (b q_ij)^2 in parts
  int64_t partial_resolution = 0;                        // float32 (chunk x strips x pitch/8): sum_i (b q_ij)^2 of
                                                         // a strip, of eight columns each

  // scratch of the tensor's wave (Plan::waves): tensors of one wave do not share it, waves do
  int64_t parameter_sums = 0;  // double: factored, projected: sum_j p^2 (slices x rows; devices: x panels); by tickets:
                               // sum p^2 (slices x groups of kNormRows rows); full: per tile (slices x flat_tiles);
                               // packed: per pack.
                               // Lasts like the above where a carried norm stays in it.
  int64_t slice_sums = 0;  // double (kSliceSums x slices): mean(R); sum u^2; sum p^2; mean(SR); sum M^2 or of M/sqrt(S)
  int64_t slice_step = 0;  // float32 (slices): k of each slice
  // factored
  int32_t strips = 0, strip_rows = 0;       // of one slice; also projected
  int32_t pitch = 0;                        // floats of one row of partials: cols rounded up to kColumnTile
  int32_t column_tiles = 0, row_tiles = 0;  // per slice; also projected
  int32_t panels = 0;                       // of kPanel columns, per slice; also projected
  int64_t chunk = 0;                        // slices whose partials are in scratch at once
  int64_t panel_rows = 0;        // devices: float32 (chunk x rows x panels): sum_j g^2 in parts; CAME: then of S
  int64_t partial_col = 0;       // float32 (chunk x strips x pitch): sum_i g^2 of a strip; CAME: then of S
  int64_t partial_weighted = 0;  // float32 likewise: sum_i x^2/R_i; CAME: then sum_i M^2/SR_i
  int64_t col_scale = 0;         // float32 (slices x pitch): b_j
  int64_t confidence_scale = 0;  // CAME: float32 likewise, of SC
  int64_t norm_tiles = 0;        // double (slices x column_tiles): sum_j (sum_i x^2/R_i)/C_j per tile
  int64_t row_tile_sums = 0;     // double (2 x slices x row_tiles): sum_i R_i per tile; devices: sum p^2 per tile
  int64_t momentum_sums =
      0;  // momentum of the update with a limiter: double (slices x rows; devices: x panels): sum_j M^2
  // full
  int64_t flat_tiles = 0;   // per slice
  int64_t update_sums = 0;  // double (slices x flat_tiles): sum u^2 per tile; then sum M^2; packed: per pack
  // projected
  int64_t channel_sums = 0;        // double (3 x channels): sum of g^2, of N^2, of G_low^2
  int64_t channel_largest = 0;     // uint32, bits of the largest |g|: like channel_panels or channel_strips
  int64_t projection_entries = 0;  // devices: int8, P as its product reads it
  int64_t low_rank_update = 0;     // float32 (low_rows x low_cols): what N divides, then N
  int64_t channel_step = 0;        // float32 (channels): e
  int64_t channel_panels = 0;      // devices, channels are rows: double (rows x panels): sum_j g^2 of a panel
  int64_t channel_strips = 0;      // channels are columns: double (strips x cols): sum_i g^2 of a strip

  // Whether the averages that follow momentum of the gradient, or CAME's, divide by no less than the momentum's steps.
  PLUMBLINE_HD bool resolves_moment() const { return hyper.levels > 0.0f && !hyper.momentum_of_update; }
  PLUMBLINE_HD bool resolves_confidence() const { return hyper.levels > 0.0f && hyper.has_confidence; }

  // The parameter_sums of so many rows, in groups of them; how many sums a row or group has, and how many a slice has.
  PLUMBLINE_HD int norm_groups(int of_rows) const {
    return ticketed ? int(core::ceil_div(of_rows, core::kNormRows)) : of_rows;
  }
  PLUMBLINE_HD int norm_panels() const { return ticketed ? 1 : panels; }
  PLUMBLINE_HD int64_t norm_sums() const { return int64_t(norm_groups(rows)) * norm_panels(); }
};
// What blocks of a launch by tickets share: the next ticket, tensors that have left the ring, blocks that have ended;
// the next tile where tiles are claimed apart.
struct TicketCounters {
  uint32_t next, left_ring, ended, next_tile;
};
static_assert(std::is_trivially_copyable_v<TensorPlan> && std::is_trivially_copyable_v<core::StepScalars>);

// Tensors order[first] ... order[last - 1] of one kind, whose work areas do not overlap: a device steps them together.
//
// Where several tensors of a kind are factored, without momentum and with rows that one block sweeps, they are one wave
// by tickets, whatever their number (kernels/tickets.cuh): what a launch over all of them hands on to the next lasts
// for all, partial sums lie in a ring of six times the largest. Batches of small matrices without momentum are one wave
// of packs, whatever their types. All others are waves of bounded work areas.
struct Wave {
  int first = 0, last = 0;
};

// Batches whose matrices are stepped whole, several a block: of so many matrices at least, elements, rows and columns
// of one at most. A pack has no more elements, rows, columns and matrices than that.
constexpr int64_t kPackedSlices = 4;
constexpr int kPackedElements = 512, kPackedExtent = 64;
constexpr int kPackElements = 4096, kPackLines = 1024, kPackMatrices = 512;

struct Plan {
  std::vector<TensorPlan> tensors;
  std::vector<std::string> names;  // of the tensors
  std::vector<int> order;          // tensors by kind
  std::vector<Wave> waves;
  std::vector<double> lr;        // per group; kept as double at the start of the state arena
  int64_t multiplier = 0;        // float32, after them: what gradients are multiplied by
  int64_t given_multiplier = 0;  // float32: the one that was set; a loss scale replaces it while there is one
  size_t state_bytes = 0, scratch_bytes = 0;

  // Bytes that the state arena starts with: clocks at 0, every slot as zeros are stored. Scratch starts as zeros.
  std::vector<std::byte> initial_state() const;
};

// Throws OptionError for shapes, groups or combinations that are not valid. `sweep_columns`: the longest row that one
// block of the backend sweeps; 0: the backend knows no tickets.
Plan make_plan(std::span<const TensorSpec> tensors, std::span<const GroupOptions> groups, bool record_second_moment,
               int sweep_columns = 0);

}  // namespace plumbline
