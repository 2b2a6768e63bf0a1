#include "cuda/twin/parameter.h"

#include <algorithm>

#include "cuda/state/draws.h"

namespace plumbline::twin {

void Parameter::close(int64_t first, const SlotRange& at, const float* updated) const {
  if (t.parameter_rounding == Rounding::nearest) return close_row(data, t.parameter, first, at.count, updated);
  constexpr int64_t kPiece = 2048;
  uint32_t bits[kPiece];
  const uint32_t slot = core::is_mutant(core::Mutant::parameter_stream_shared) ? t.index * 16u : t.stream;
  const core::RoundingStream stream = {{t.seed, slot}, writes};
  for (int64_t i = 0; i < at.count; i += kPiece) {
    const int64_t n = std::min(kPiece, at.count - i);
    draw_row(stream, at.slice, at.row, at.first + i, n, bits);
    close_row_stochastic(data, t.parameter, first + i, n, updated + i, bits);
  }
}

}  // namespace plumbline::twin
