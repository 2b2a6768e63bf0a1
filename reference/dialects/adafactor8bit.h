// adafactor8bit (PyTorch path), by version: its rules, options and defaults changed from one to the next. Options that
// only say how state is stored, or which implementation runs, are read and change nothing but what is said below.
#pragma once
#include "reference/dialects/dialect.h"
#include "reference/transforms/low_rank.h"

namespace plumbline::reference {

enum class MomentumCode : uint8_t { uf4, uf8, d4, d8, fp32 };
enum class VarianceCode : uint8_t { al8, al16, fp32 };
enum class ConfidenceCode : uint8_t { as_variance, al8, al16, fp32 };

// Of all versions; the defaults are those of 0.3.0.
struct Adafactor8bitOptions {
  double lr = 1e-2;                          // rho, or its cap when relative
  std::optional<double> beta1{};             // momentum of the gradient; of the clipped update with beta3
  std::optional<double> beta2{};             // fixed w = 1 - beta2
  std::optional<double> beta2_decay = -0.8;  // none, and no beta2: descent by momentum alone
  std::optional<double> beta3{};             // confidence (CAME); needs beta1
  double eps_came = 1e-8;                    // added to its squares
  std::optional<double> eps1 = 1e-30;        // none: an epsilon that depends on the version
  double eps2 = 1e-3;                        // floor of RMS(p)
  double weight_decay = 0;                   // lambda
  double d = 1;                              // clip of RMS(u); 0 is off from 0.4
  bool maximize = false;                     // descend along -g
  bool relative_step = true;                 // rho = min(lr, 1/sqrt(t))
  bool scale_parameter = true;               // alpha = rho max(eps2, RMS(p))
  bool factored = true;                      // R and C instead of V where there are two axes
  bool quantize = true;                      // state in codes, of tensors that reach
  int64_t min_8bit_size = 4096;              //   so many elements
  int64_t block_size = 2048;                 // of second moments
  int64_t m_block_size = 128;                // of momentum
  MomentumCode m_quant_type = MomentumCode::uf8;
  VarianceCode v_quant_type = VarianceCode::al8;
  ConfidenceCode c_quant_type = ConfidenceCode::as_variance;
  bool use_cuda_kernel = true;              // an implementation
  bool stochastic_round_writeback = false;  // how a parameter is stored
  int64_t apollo_rank = 0;                  // above 0: projection of tensors with two axes or more
  double apollo_beta1 = 0.9;                // read by no version that has it
  int64_t apollo_update_proj_gap = 200;     // steps between projections
  ScaleType apollo_scale_type = ScaleType::channel;
  double apollo_scale = 1;                 // its root scales the update
  bool apollo_scale_front = false;         //   before the limiter
  double apollo_eps = 1e-6;                // added to the root of low-rank moments
  bool apollo_factorize = false;           // low-rank moments factored
  bool apollo_cache_proj = false;          // an implementation
  bool enable_fira_for_apollo = true;      // limiter where there is a projection
  bool scale_weight_decay = true;          // decay by alpha_t instead of rho_t
  bool enable_fira_for_adafactor = false;  // limiter where there is none
  double fira_margin = 0.01;               // gamma of both
  bool lag_norm = false;                   // CUDA path alone
  std::optional<bool> momentum_only_1d{};  // vectors take the momentum of the clipped u, not M/sqrt(V)
  std::optional<bool> bias_correction{};   // none: as the version has it
  double warmup_multiplier = 0;            // of the allocator
  bool operator==(const Adafactor8bitOptions&) const = default;
};

template <>
struct OptionTable<Adafactor8bitOptions> {
  static std::span<const OptionField<Adafactor8bitOptions>> fields();
};

// The rule of one version. Projections are Gaussians of the program's own generator: recorded, or there are none.
Optimizer make_adafactor8bit(const Version& version, const Adafactor8bitOptions& options, const Shape& shape,
                             const PeerContext& context = {});
// What the version calls its options, with its defaults.
Adafactor8bitOptions adafactor8bit_defaults(const Version& version);
bool adafactor8bit_has(const Version& version, std::string_view option);

extern const Dialect kAdafactor8bit01;  // 0.1.0 under the name that recordings without a version use
std::span<const Dialect> adafactor8bit_dialects();

}  // namespace plumbline::reference
