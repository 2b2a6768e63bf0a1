// Where projections come from.
#pragma once
#include <cstdint>

#include "reference/transforms/projection.h"

namespace plumbline::reference {

// Plumbline's own: entry (popcount(w) - 16)/sqrt(8 rank), w a Philox4x32-10 word: a centred binomial of 32 coins,
// variance 8, so that E |P x|^2 = |x|^2. Key (seed, stream); the entry of rank index k at position j along the long
// axis is word j % 4 of counter (j / 4, k, 0, refresh).
ProjectionSource popcount_projection(uint32_t seed, uint32_t stream);

// Leading singular vectors of the gradient: rows of V^T for m >= n, columns of U otherwise; signs are arbitrary.
//                                                            [Zhao et al. 2024, GaLore, sec. 4]
ProjectionSource singular_vectors();

}  // namespace plumbline::reference
