// The public optimizers once more, as straight-line code in short arithmetic: a recorded float64 run is recast to
// another type and replayed, with a fault if one is asked for. Only shapes and options are read through the harness.
#pragma once
#include <string>
#include <vector>

#include "harness/format.h"
#include "harness/trace.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {

enum class Fault : uint8_t {
  none,
  step_skipped,  // the third step is not taken
  beta1,         // each: off by `size`
  beta2,         // of a schedule: 1 - w_t, from the second step on
  beta3,
  eps1_tenfold,
  column_stale,  // V^ is made of the column averages of the step before
  decay_left_out,
  code_off,          // in the third step, every code of the first block is one too high, or too low where that is not
  neighbours_scale,  // in the third step, the first block has the scale of the second, or twice its own where it is
                     // alone
  row_times_column,  // not a fault of the mathematics: R C before the division by mean R, which may overflow
};

enum class Summation : uint8_t { forward, backward, pairwise };

struct Replay {
  DType results = DType::float32;  // every operation is rounded to it; sums of 16-bit results accumulate in float32
  DType parameter = DType::float32, state = DType::float32;  // types of what outlives a step
  Summation summation = Summation::forward;
  bool float32_hyperparameters = false;  // betas are rounded first, and 1 - beta is taken from that
  bool record_state = true;
  Fault fault = Fault::none;
  double size = 1e-4;              // of a beta's fault
  std::string averages, momentum;  // codecs of state; empty: kept as numbers
  int64_t block = 8;
};

// A trace of the same peer.
TraceFile replay(const Trace& recorded, const Replay& how);

}  // namespace plumbline::harness
