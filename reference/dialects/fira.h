// fira AdamW: projected Adam plus the limited residual; the projection is the leading singular vectors of the gradient.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

enum class FiraProjectionType : uint8_t { std };

struct FiraOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0;
  bool correct_bias = true;
  int64_t rank = 0;  // 0: plain AdamW
  int64_t update_proj_gap = 200;
  double alpha = 1;  // scale of the way back from the low-rank space
  FiraProjectionType proj_type = FiraProjectionType::std;
  bool operator==(const FiraOptions&) const = default;
};

template <>
struct OptionTable<FiraOptions> {
  static std::span<const OptionField<FiraOptions>> fields();
};

// Takes matrices where there is a rank.
Optimizer make_fira(const FiraOptions& options, const Shape& shape, bool recorded_projection);
extern const Dialect kFira;

}  // namespace plumbline::reference
