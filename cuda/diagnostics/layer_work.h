// Fixed work of the linear layer in eight bits, for the fingerprint.
#pragma once
#include <functional>
#include <span>
#include <string>

#include "cuda/diagnostics/workload.h"
#include "cuda/linear/layer.h"

namespace plumbline::diagnostics {

struct LayerRow {
  linear::Mode mode;
  Type type;
  int inputs, outputs, tokens;
  bool bias;
};
std::span<const LayerRow> layer_table();
std::string to_string(const LayerRow& row);
// One forward and one backward call.
void run_layer(const LayerRow& row, Backend backend, int device, const std::function<void(Stage&&)>& take);

}  // namespace plumbline::diagnostics
