#include "cuda/twin/momentum.h"

#include <algorithm>

#include "cuda/twin/rows.h"

namespace plumbline::twin {

void Momentum::update(const SlotRange& range, const float* x, float* m) const {
  constexpr int64_t kPiece = 2048;  // whole blocks that stay in the first cache
  for (int64_t first = 0; first < range.count; first += kPiece) {
    const SlotRange piece = {range.slice, range.row, range.first + first, std::min(kPiece, range.count - first)};
    float* old = m + first;
    decode_slot(slot, state, piece, scalars.writes, old);
    momentum_row(old, x + first, hyper.b1, hyper.c1, piece.count);
    if (record != nullptr)
      copy_canonical(old, record + piece.slice * slot.matrix + piece.row * slot.row + piece.first, piece.count);
    encode_slot(slot, state, piece, scalars.writes, old);
    if (!core::is_mutant(core::Mutant::momentum_unstored)) read(piece, old);
  }
}

void Momentum::resolve(const SlotRange& range, float* squares) const {
  const int64_t row = range.slice * slot.rows() + range.row;
  const float* scales = core::at<const float>(state, slot.scales) + row * slot.row_blocks;
  for (int64_t i = 0; i < range.count;) {
    const int64_t at = range.first + i, block = at / slot.block;
    const int64_t n = std::min((block + 1) * slot.block - at, range.count - i);
    std::fill_n(squares + i, n, core::resolution_square(scales[block], scalars.resolution));
    i += n;
  }
}

}  // namespace plumbline::twin
