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

// How a slot of second-moment state (R, C or V) is kept between steps; the formats are in cuda/core/codec.h.
enum class Storage : uint8_t { fp32, al8, log_u8, linear_u8 };

// What happens to a gradient element that is not finite or has |g| >= 2^50 (its square would overflow a sum).
enum class Nonfinite : uint8_t {
  propagate,  // it enters the sums as it is
  zero,       // it counts as 0
  skip,       // the tensor is left as it was, its clock too
};

enum class DecayScale : uint8_t { step_size, lr };      // k in p <- p (1 - weight_decay * k)
enum class ParameterNorm : uint8_t { fresh, carried };  // carried: the caller promises not to touch p between steps

// One group's options; defaults are the library's. See option_table() for ranges.
struct GroupOptions {
  double lr = 1e-2;             // step size rho, or its cap when relative_step
  bool relative_step = false;   // rho_t = min(lr, 1/sqrt(t))
  bool scale_parameter = true;  // alpha_t = rho_t * max(eps2, RMS(p))
  double beta2_decay = -0.8;    // weight of the new sample w_t = t^beta2_decay
  std::optional<double> beta2;  // fixed w = 1 - beta2 instead of the schedule
  double eps1 = 1e-30;          // added to g^2 inside the averages; used as float32
  double eps2 = 1e-3;           // floor of RMS(p) in the step size
  double clip = 1.0;            // d in u <- u / max(1, RMS(u)/d); 0 switches it off
  double weight_decay = 0.0;    // lambda
  DecayScale weight_decay_by = DecayScale::step_size;
  bool maximize = false;  // ascend: g is negated
  bool factored = true;   // false: a full second moment also for matrices
  Nonfinite nonfinite = Nonfinite::zero;
  Storage storage = Storage::al8;     // of R, C, V
  int block = 2048;                   // values per quantization block: a power of two, 64..2048
  int64_t min_quantized_size = 4096;  // tensors with fewer elements keep fp32 state
  ParameterNorm parameter_norm = ParameterNorm::fresh;
  bool operator==(const GroupOptions&) const = default;
};

// An option, a shape or a combination that the library does not take; what() names it, the value and what is valid.
class OptionError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

struct OptionRow {
  std::string_view name;
  std::string_view default_value;  // as get_option prints it
  std::string_view valid;          // "[0, inf)", "fp32|al8|log_u8|linear_u8", ...
};

// Every option in declaration order.
const std::vector<OptionRow>& option_table();
// Sets one option from text; throws OptionError naming option, value and valid range, and then changes nothing.
void set_option(GroupOptions& options, std::string_view name, std::string_view value);
// Prints one option so that set_option reads it back exactly; throws OptionError for an unknown name.
std::string get_option(const GroupOptions& options, std::string_view name);
// Throws OptionError where values exclude each other or leave the numeric domain
// (eps1 in [2^-100, 1]; eps1 * w_t >= 2^-126 at every step up to 2^31).
void validate(const GroupOptions& options);

}  // namespace plumbline
