// A case as a value: optimizer options, storage, shape, types, data, steps and seed. It prints itself as one line and
// parses that line back to an equal value.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/format.h"
#include "reference/codecs/rounding.h"
#include "reference/dialects/plumbline.h"

namespace plumbline::harness {

// How a slot of state is kept between steps: averages of squares in the first five, momentum in fp32 and the last
// three.
enum class Storage : uint8_t { fp32, al8, log_u8, linear_u8, al16, bf16, uf8, uf4 };
inline constexpr int kStorages = 8;
inline constexpr int kAverageStorages = 5;
const char* to_string(Storage storage);
inline bool keeps_averages(Storage s) { return int(s) < kAverageStorages; }
inline bool has_codes(Storage s) { return s != Storage::fp32 && s != Storage::bf16; }
inline bool keeps_momentum(Storage s) { return s == Storage::fp32 || int(s) >= kAverageStorages; }

using reference::Rounding;
const char* to_string(Rounding rounding);  // nearest, stochastic, dither

// Statistics of the gradient.
enum class Regime : uint8_t {
  gaussian,     // bell-shaped, one scale
  wide,         // as gaussian; row and column scales spread over 2^-12 .. 2^12
  heavy_tail,   // a few elements thousands of times larger
  sparse_rows,  // nine rows of ten are zero, others in every step, never all
  zero_rows,    // some rows are zero in every step
  constant,     // one value
  rank_one,     // outer product
  spike,        // one element of the second step 2^10 times larger
  growing,      // each step 4 times larger than the one before
  frozen,       // the same gradient in every step
  subnormal,    // exponents around the smallest numbers of the type
  extreme,      // exponents from 2^-58 to 2^4 side by side, subnormals, signed zeros
  nonfinite,    // gaussian; every second step a few NaN, infinities and |g| >= 2^50 (NaN alone where they propagate)
  zero_cols,    // some columns are zero in every step
  rare_rows,    // a row is seen in every step, or in every second, fourth or eighth, as rows of embeddings are
  paused,       // no gradient at all in two steps of three, as of a layer that is frozen for a while
  vanishing,    // each step 2^12 times smaller than the one before, down to nothing
  outlier,      // one element of each 64 is 2^10 times larger, in every step
};
inline constexpr int kRegimes = 18;
const char* to_string(Regime regime);

// Where gradients and the initial parameter come from: a generator, or a tensor of a recorded training.
struct Data {
  Regime regime = Regime::gaussian;
  int exponent = -6;            // gradients are about 2^exponent
  int parameter_exponent = -4;  // initial parameters are about 2^parameter_exponent; one in sixteen is 0
  std::string trace;            // path of a trace file; empty: generated
  std::string tensor;           // its tensor
  bool repeat = false;          // when the recording ends, its gradients begin again
  bool operator==(const Data&) const = default;
};

// Options that a case is about. A case in which its feature never acted is vacuous.
enum class Feature : uint8_t {
  clip,
  eps1,
  eps2,
  weight_decay,
  relative_step,
  scale_parameter,
  maximize,
  nonfinite,
  beta2,
  momentum,
  momentum_of,
  confidence,
  eps_came,
  bias,
  limiter,
  projection,
  projection_refresh,
  projection_scale_by,
  projection_scale,
  projection_scale_first,
  projection_eps,
  projection_factored,
  projection_seed,
  rounding,
  momentum_rounding,
  parameter_rounding,
  gradient_scale,
};
inline constexpr int kFeatures = 27;
const char* to_string(Feature feature);

// How one slot of a problem is kept.
struct Keeping {
  Storage storage = Storage::fp32;
  int block = 0;
  Rounding rounding = Rounding::nearest;
  bool operator==(const Keeping&) const = default;
};

struct Problem {
  reference::PlumblineOptions options;
  Storage storage = Storage::al8;  // of averages of squares
  Rounding rounding = Rounding::nearest;
  int block = 2048;
  Storage momentum_storage = Storage::uf8;
  Rounding momentum_rounding = Rounding::stochastic;
  int momentum_block = 0;                           // 0: 128 for uf4, 256 for uf8
  Rounding parameter_rounding = Rounding::nearest;  // of 16-bit parameters
  double gradient_scale = 1;                        // multiplies gradients before anything sees them; a float32
  int64_t min_quantized_size = 4096;
  bool carried_norm = false;
  std::vector<int64_t> shape = {64, 64};
  DType parameter = DType::float32;
  DType gradient = DType::float32;
  Data data;
  int64_t steps = 3;
  uint64_t seed = 1;  // of the data; its lower 32 bits seed the subject's random rounding
  int place = 0;      // of the tensor in its optimizer: so many others come before it
  std::vector<Feature> focus;

  bool operator==(const Problem&) const = default;
  int64_t elements() const;
  reference::Path path() const { return reference::path_of(options, shape); }
  bool factored() const { return path() == reference::Path::factored; }
  // CAME acts on the factored path alone.
  bool confident() const { return options.beta3 && factored(); }
  bool of_update() const { return options.momentum_of == reference::MomentumOf::update; }
  // The storage that its averages really have: fp32 below min_quantized_size.
  Storage effective_storage() const { return elements() < min_quantized_size ? Storage::fp32 : storage; }
  Keeping keeping(reference::Slot slot) const;
};

// "shape=37x129 grad=bf16 storage=al8 clip=0.5 steps=3 seed=7": what differs from the defaults, and always shape,
// steps, seed.
std::string to_string(const Problem& problem);
// Throws InputError naming the word, what was expected, and the known names for an unknown one.
Problem parse_problem(std::string_view line);
// Throws InputError for an impossible problem (empty tensor, steps < 1, regime that needs more steps, ...).
void validate(const Problem& problem);

}  // namespace plumbline::harness
