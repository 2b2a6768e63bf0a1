// Types in which some programs keep momentum, and take the update that goes into it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace plumbline::reference {

enum class MomentumType : uint8_t {
  bfloat16,
  float16,
  float32,
  float64,
  torch_bfloat16,
  torch_float16,
  torch_float32,
  torch_float64,
};
inline constexpr std::array<std::string_view, 8> kMomentumTypes{
    "bfloat16", "float16", "float32", "float64", "torch.bfloat16", "torch.float16", "torch.float32", "torch.float64"};

// Relative half ulp; of types no shorter than a parameter's, nothing.
constexpr double unit_of(MomentumType type) {
  switch (type) {
    case MomentumType::bfloat16:
    case MomentumType::torch_bfloat16:
      return 0x1p-8;
    case MomentumType::float16:
    case MomentumType::torch_float16:
      return 0x1p-11;
    default:
      return 0;
  }
}

}  // namespace plumbline::reference
