// The finite classes of values that a problem's options, types, shape and data fall into: what a covering design
// combines, and what its coverage is counted in.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/problem.h"

namespace plumbline::properties {

enum class Factor : uint8_t {
  shape,
  moment,  // how averages of squares are kept, and where: of a projection, by what it scales
  low_rank,
  storage,
  rounding,
  block,
  momentum,
  momentum_storage,
  momentum_rounding,
  momentum_block,
  param,
  parameter_rounding,
  grad,
  gradient_scale,
  clip,
  limiter,
  scale_parameter,
  parameter_norm,
  relative_step,
  beta2,
  weight_decay,
  maximize,
  data,
  nonfinite,
};
inline constexpr int kFactors = 24;

struct FactorInfo {
  Factor factor;
  const char* name;
  std::vector<const char*> values;  // "-": the factor has no part in the problem; not counted
};
std::span<const FactorInfo, kFactors> factor_table();
inline int values_of(int factor) { return int(factor_table()[size_t(factor)].values.size()); }
bool is_counted(int factor, int value);
std::string value_name(int factor, int value);  // "clip=on"

// A value of every factor; kOpen: not chosen yet.
using Classes = std::array<int8_t, kFactors>;
inline constexpr int8_t kOpen = -1;
inline int8_t& at(Classes& c, Factor f) { return c[size_t(f)]; }
inline int at(const Classes& c, Factor f) { return c[size_t(f)]; }

// Of a generated problem; empty for one on a recorded trace, whose data has no class.
std::optional<Classes> classify(const harness::Problem& problem);
// "clip=on storage=al8": the chosen ones. parse_classes throws InputError.
std::string to_string(const Classes& classes);

// A combination that cannot be, or cannot be judged: all of its literals at once.
struct Exclusion {
  enum class Kind : uint8_t {
    meaning,  // values have no part in each other: no problem is of these classes
    refused,  // validate() refuses every such problem
    idle,     // such cases are vacuous: there is nothing to judge
    unsure,   // some of them are: a design takes other values, and no pair or triple is less valid for it
  };
  Kind kind;
  const char* combination;  // "data=constant|subnormal storage!=fp32"
  const char* reason;
};
std::span<const Exclusion> exclusions();

// A combination as values allowed per factor (a bit each).
struct Literals {
  std::vector<std::pair<int, uint32_t>> of;  // factor, values
};
Literals parse_literals(std::string_view combination);  // throws InputError for unknown names
// Whether all literals hold; an open factor makes none hold.
bool holds(const Literals& literals, const Classes& classes);

}  // namespace plumbline::properties
