// Options of the production optimizer. One table names every option, its default and its range, so that programs,
// bindings and error messages agree.
#pragma once
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline {

enum class Type : uint8_t { float32, bfloat16, float16 };

// How a slot of state is kept between steps. Second moments (R, C, V, confidence, low-rank moments) take the first five
// (cuda/core/codec.h), momentum takes fp32, bf16, uf8 or uf4 (cuda/core/uniform.h).
enum class Storage : uint8_t { fp32, al8, log_u8, linear_u8, al16, bf16, uf8, uf4 };

// How a value becomes a code. Nearest keeps what moves by less than half a step where it is; the others are unbiased.
enum class Rounding : uint8_t {
  nearest,     // ties to even
  stochastic,  // up with the probability of the remainder, in decoded values
  dither,      // subtractive: one random offset a block, taken out again by the reader
};

// What happens to a gradient element that is not finite or has |g| >= 2^50 (its square would overflow a sum).
enum class Nonfinite : uint8_t {
  propagate,  // it enters the sums as it is
  zero,       // it counts as 0
  skip,       // the tensor is left as it was, its clock too
};

enum class MomentumOf : uint8_t { gradient, update };      // what the first moment averages
enum class ProjectionScale : uint8_t { channel, tensor };  // APOLLO, APOLLO-Mini
enum class DecayScale : uint8_t { step_size, lr };         // k in p <- p (1 - weight_decay * k)
enum class ParameterNorm : uint8_t { fresh, carried };     // carried: the caller promises not to touch p between steps

// One group's options; defaults are the library's. In brackets what is valid. p: parameter, g: gradient, u: update.
struct GroupOptions {
  double lr = 1e-2;  // [0, 1e6]: step size rho, or its cap with relative_step     [Shazeer & Stern 2018, section 8]
  bool relative_step = false;   // rho_t = min(lr, 1/sqrt(t)); else lr
  bool scale_parameter = true;  // alpha_t = rho_t max(eps2, RMS(p)) in p <- p - alpha_t u; else rho_t

  // second moment V <- (1 - w_t) V + w_t (g^2 + eps1), of matrices by rows and columns; u = g/sqrt(V)  [there, 3 to 7]
  double beta2_decay = -0.8;    // [-1, 0]: weight of the new sample w_t = t^beta2_decay
  std::optional<double> beta2;  // none or [0, 1): fixed w = 1 - beta2 instead of the schedule
  double eps1 = 1e-30;          // [2^-100, 1] and eps1 w_t >= 2^-126; used as float32
  double eps2 = 1e-3;           // [0, 1e6]: floor of RMS(p) in the step size
  double clip = 1.0;            // 0 (off) or [1e-6, 1e6]: d in u <- u / max(1, RMS(u)/d)
  double weight_decay = 0.0;    // [0, 1e6]: lambda in p <- p (1 - lambda k) before u  [Loshchilov & Hutter 2019]
  DecayScale weight_decay_by = DecayScale::step_size;
  bool maximize = false;  // ascend: the final update changes its sign, statistics and momentum do not
  bool factored = true;   // false: a full second moment also for matrices

  // first moment M <- beta1 M + (1 - beta1) x; with it, and without relative_step, the step size is bias-corrected:
  // alpha sqrt(1 - beta2^t)/(1 - beta1^t), the root 1 where beta2 is a schedule       [Kingma & Ba 2015]
  std::optional<double> beta1;                    // none or [0, 1)
  MomentumOf momentum_of = MomentumOf::gradient;  // x = g, so that u = M/sqrt(V); or x = u after the clip
  // CAME: M divided by the root of a factored average of (u - M)^2; needs beta1, momentum_of = update, factored and no
  // projection. Full second moments of such a group take momentum alone.          [Luo et al. 2023]
  std::optional<double> beta3;  // none or [0, 1)
  double eps_came = 1e-8;       // [2^-100, 1] and eps_came (1 - beta3) >= 2^-126: added to (u - M)^2; used as float32

  // the norm of the update grows at most by 1 + margin from step to step             [Chen et al. 2024]
  std::optional<double> limiter_margin;  // none or [0, 1e6]

  // APOLLO: one scale per channel from moments of a random projection of the gradient, for tensors of two or more axes,
  // read as shape[0] x rest, that are no narrower than the rank; others as without.   [Zhu et al. 2024]
  int projection_rank = 0;           // 0 (off) or [1, 4096]
  int64_t projection_refresh = 200;  // [1, 2^31]: steps between new projections
  ProjectionScale projection_scale_by = ProjectionScale::channel;
  double projection_scale = 1.0;       // (0, 1e6]: its square root multiplies the update
  bool projection_scale_first = true;  // the norm that clip and limiter see has it, too
  double projection_eps = 1e-6;        // [1e-30, 1]: added to the root of the low-rank second moment; used as float32
  bool projection_factored = false;    // factor the low-rank second moment
  int64_t projection_seed = 0;         // [0, 2^32); projections differ from tensor to tensor, too

  Nonfinite nonfinite = Nonfinite::zero;

  // how state is kept; what codes mean: cuda/core/codec.h, uniform.h; what that costs: reference/CODECS.md
  Storage storage = Storage::al8;  // of second moments: fp32, al8, log_u8, linear_u8 or al16
  int block = 2048;                // values per scale of these: a power of two in [64, 2048]
  // Of these. linear_u8 and log_u8 take no dither, al8 where new samples weigh at least 0.02 at every step.
  Rounding rounding = Rounding::nearest;
  // fp32, bf16, uf8 or uf4. Costly: uf4 costs a training up to 2 % of its loss (reports/published/host/drift.md).
  Storage momentum_storage = Storage::uf8;
  int momentum_block = 0;  // 0 (128 for uf4, 256 for uf8) or as block
  // bf16 takes no dither, and nearest while 1 - beta1 > 2^-8. uf8 and uf4 of what is divided (momentum of the gradient,
  // CAME) take no dither, which leaves a residue where there was no gradient, and nearest while beta1 <= 1/2: above, it
  // never lets go. Costly, momentum of the update alone: nearest uf4 never moves a coordinate below about 5 % of its
  // block's peak and goes on moving what it once moved; dither moves what never had a gradient by up to half a step.
  Rounding momentum_rounding = Rounding::stochastic;
  // Of 16-bit parameters: nearest or stochastic. Costly: to nearest, bfloat16 loses weight decay and steps below half
  // an ulp, 2^-9 of the parameter.
  Rounding parameter_rounding = Rounding::nearest;
  int64_t seed = 0;                   // [0, 2^32): of all stochastic roundings and dither
  int64_t min_quantized_size = 4096;  // [0, 2^53]: tensors with fewer elements keep fp32 state
  ParameterNorm parameter_norm = ParameterNorm::fresh;
  bool operator==(const GroupOptions&) const = default;
};

// The options that say how state is kept; set_precision takes them while a run goes on.
struct Precision {
  Storage storage = Storage::al8;
  int block = 2048;
  Rounding rounding = Rounding::nearest;
  Storage momentum_storage = Storage::uf8;
  int momentum_block = 0;
  Rounding momentum_rounding = Rounding::stochastic;
  int64_t min_quantized_size = 4096;
  bool operator==(const Precision&) const = default;
};
Precision precision_of(const GroupOptions& options);
// The same options with another precision; not yet validated.
GroupOptions with_precision(GroupOptions options, const Precision& precision);

// An option, a shape or a combination that the library does not take; what() names it, the value and what is valid.
class OptionError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

struct OptionRow {
  std::string_view name;
  std::string_view default_value;  // as get_option prints it
  std::string_view valid;          // "[0, inf)", "fp32|al8|log_u8|linear_u8|al16", ...
};

// Every option in declaration order.
const std::vector<OptionRow>& option_table();
// Sets one option from text; throws OptionError naming option, value and valid range, and then changes nothing.
void set_option(GroupOptions& options, std::string_view name, std::string_view value);
// Prints one option so that set_option reads it back exactly; throws OptionError for an unknown name.
std::string get_option(const GroupOptions& options, std::string_view name);
// Throws OptionError where values exclude each other or leave the numeric domain
// (eps1 in [2^-100, 1]; eps1 * w_t >= 2^-126 at every step up to 2^31; likewise eps_came * (1 - beta3)).
void validate(const GroupOptions& options);

}  // namespace plumbline
