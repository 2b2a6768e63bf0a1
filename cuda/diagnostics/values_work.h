// The work of one element, for device and host.
#pragma once
#include "cuda/diagnostics/codec_points.h"
#include "cuda/diagnostics/ieee.h"
#include "cuda/diagnostics/scan_step.h"

namespace plumbline::diagnostics {

struct IeeeWork {
  using Argument = Operands;
  Operation operation;
  bool wide;
  const Operands* arguments;
  PLUMBLINE_HD uint64_t operator()(int64_t i) const { return apply_ieee(operation, wide, arguments[i]); }
};
struct CodecWork {
  using Argument = core::BlockScale;
  CodecRow row;
  const core::BlockScale* arguments;
  PLUMBLINE_HD uint64_t operator()(int64_t i) const {
    return codec_point(row, arguments[i / row.codes], int(i % row.codes), mix32(uint32_t(i)) & 0xffffu);
  }
};
template <Function F>
struct FunctionWork {
  int shift;
  float divisor;
  PLUMBLINE_HD uint64_t operator()(int64_t i) const {
    return evaluate<F>(core::from_bits(scan_input(uint32_t(i), shift)), divisor);
  }
};

}  // namespace plumbline::diagnostics
