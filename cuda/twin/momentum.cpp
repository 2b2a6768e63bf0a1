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

}  // namespace plumbline::twin
