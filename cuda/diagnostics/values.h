// One function over many independent arguments, on any backend: what device and host must agree on element by element.
#pragma once
#include <span>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/diagnostics/codec_points.h"
#include "cuda/diagnostics/function.h"
#include "cuda/diagnostics/ieee.h"

namespace plumbline::diagnostics {

std::vector<uint64_t> evaluate_ieee(Operation operation, bool wide, const std::vector<Operands>& operands,
                                    Backend backend, int device);
std::vector<uint64_t> evaluate_codec(const CodecRow& row, const std::vector<core::BlockScale>& scales, Backend backend,
                                     int device);
// Results of the inputs of a sampled scan.
std::vector<uint64_t> evaluate_function(const ScanSubject& subject, int shift, Backend backend, int device);

}  // namespace plumbline::diagnostics
