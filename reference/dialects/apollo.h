// apollo_torch AdamW: Adam statistics of the projected gradient scale the gradient itself; limiter; decay after the
// update.
#pragma once
#include "reference/dialects/dialect.h"
#include "reference/transforms/low_rank.h"

namespace plumbline::reference {

enum class ApolloProjection : uint8_t { random, svd };
enum class ProjectionType : uint8_t { std };  // the side that the shape chooses

struct ApolloOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0;
  bool correct_bias = true;
  bool scale_front = false;  // sqrt(scale) before the limiter instead of after it
  bool disable_nl = false;   // no limiter
  int64_t rank = 0;          // 0: plain AdamW
  int64_t update_proj_gap = 200;
  double scale = 1;
  ApolloProjection proj = ApolloProjection::random;
  ProjectionType proj_type = ProjectionType::std;
  ScaleType scale_type = ScaleType::tensor;
  bool operator==(const ApolloOptions&) const = default;
};

template <>
struct OptionTable<ApolloOptions> {
  static std::span<const OptionField<ApolloOptions>> fields();
};

// Takes matrices where there is a rank. random needs a recorded projection.
Optimizer make_apollo(const ApolloOptions& options, const Shape& shape, bool recorded_projection);
extern const Dialect kApollo;

}  // namespace plumbline::reference
