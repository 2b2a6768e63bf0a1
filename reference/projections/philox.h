// Philox4x32-10, a counter-based generator: a keyed bijection of 128-bit counters, good as random words.
//                                                            [Salmon et al. 2011, SC'11, sec. 3.3]
#pragma once
#include <array>
#include <cstdint>

namespace plumbline::reference {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace plumbline::reference
