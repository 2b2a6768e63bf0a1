// Hashes of words. Hash and position make a term, terms are added modulo 2^64, so that any order gives the same sum and
// one wrong word always shows: mix64 is a bijection.
#pragma once
#include "cuda/core/platform.h"

namespace plumbline::diagnostics {

// The finalizer of SplitMix64.                                                  [Steele, Lea & Flood 2014; Stafford]
PLUMBLINE_HD uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
// That of MurmurHash3, likewise a bijection.
PLUMBLINE_HD uint32_t mix32(uint32_t z) {
  z = (z ^ (z >> 16)) * 0x85ebca6bu;
  z = (z ^ (z >> 13)) * 0xc2b2ae35u;
  return z ^ (z >> 16);
}
// The term of a 32-bit word at an index below 2^32 of a sequence.
PLUMBLINE_HD uint64_t word_term(uint64_t index, uint32_t word) { return mix64(index << 32 | word); }

}  // namespace plumbline::diagnostics
