// What a covering design leaves out. Tests hold every line to its word: classes that are said to have no meaning are
// never those of a problem, what is said to be refused is refused, and cases that are said to be idle are vacuous.
#include "properties/factors.h"

namespace plumbline::properties {
namespace {

using Kind = Exclusion::Kind;

constexpr Exclusion kExclusions[] = {
    {Kind::meaning, "shape=vector moment!=full", "a vector has no rows and columns to factor or project"},
    {Kind::meaning, "moment=channel|tensor low_rank=-", "a projection has a low-rank moment"},
    {Kind::meaning, "moment=factored|full low_rank!=-", "without a projection there is no low-rank moment"},
    {Kind::meaning, "storage=fp32 rounding!=-", "fp32 averages are kept as they are"},
    {Kind::meaning, "storage!=fp32 rounding=-", "codes are rounded"},
    {Kind::meaning, "storage=fp32 block!=-", "fp32 averages have no blocks"},
    {Kind::meaning, "storage!=fp32 block=-", "codes have blocks"},
    {Kind::meaning, "momentum=none momentum_storage!=-", "there is no momentum to keep"},
    {Kind::meaning, "momentum!=none momentum_storage=-", "a momentum is kept"},
    {Kind::meaning, "momentum_storage=fp32|- momentum_rounding!=-", "nothing is rounded"},
    {Kind::meaning, "momentum_storage=bf16|uf8|uf4 momentum_rounding=-", "codes are rounded"},
    {Kind::meaning, "momentum_storage=fp32|bf16|- momentum_block!=-", "there are no blocks"},
    {Kind::meaning, "momentum_storage=uf8|uf4 momentum_block=-", "codes have blocks"},
    {Kind::meaning, "param=f32 parameter_rounding!=-", "float32 parameters are the result itself"},
    {Kind::meaning, "param!=f32 parameter_rounding=-", "16-bit parameters are rounded"},
    {Kind::meaning, "scale_parameter=false parameter_norm!=-", "no stage reads RMS(p)"},
    {Kind::meaning, "scale_parameter=true parameter_norm=-", "a stage reads RMS(p)"},
    {Kind::meaning, "data!=nonfinite nonfinite!=-", "no element is for the policy"},
    {Kind::meaning, "data=nonfinite nonfinite=-", "elements fall under a policy"},
    {Kind::meaning, "momentum=confident moment=full", "confidence has rows and columns"},
    {Kind::refused, "momentum=update|confident moment=channel|tensor",
     "a projection keeps the momentum of its gradient"},
    {Kind::refused, "storage=linear_u8 rounding=dither", "an even grid from zero is not dithered"},
    {Kind::refused, "momentum_storage=bf16 momentum_rounding=dither", "bfloat16 has no code to shift"},
    {Kind::refused, "storage=log_u8 rounding=dither", "its noise multiplies over a hundred octaves"},
    {Kind::refused, "momentum=gradient|confident momentum_storage=uf8|uf4 momentum_rounding=dither",
     "zero is read as a residue, and divided"},
    {Kind::idle, "data=constant storage!=fp32", "averages of one value have one code"},
    {Kind::idle, "data=constant momentum_storage=uf8|uf4", "momentum of one value has one code"},
    {Kind::idle, "data=subnormal grad!=f16 storage!=fp32", "eps1 outweighs g^2: averages of one value"},
    {Kind::idle, "data=subnormal grad!=f16 momentum_storage=uf8|uf4", "below the smallest block scale, 2^-100"},
    {Kind::idle, "data=subnormal grad!=f16 param=f16", "parameters that such steps move are zeros in float16"},
    {Kind::idle, "data=subnormal grad!=f16 moment=channel|tensor", "the low-rank moment is all eps"},
    {Kind::unsure, "data=frozen moment=full momentum=update momentum_storage=uf8|uf4", "the update is the sign of g"},
    {Kind::unsure, "data=frozen shape=row|column moment=factored momentum=update|confident momentum_storage=uf8|uf4",
     "the update is the sign of g"},
    {Kind::unsure, "data=frozen shape=row|column momentum=confident storage!=fp32", "(u - M)^2 is one value"},
    {Kind::unsure, "nonfinite=propagate moment=full momentum=update momentum_storage=uf8|uf4",
     "before the NaN, the update is the sign of g"},
    {Kind::unsure,
     "nonfinite=propagate shape=row|column moment=factored momentum=update|confident momentum_storage=uf8|uf4",
     "before the NaN, the update is the sign of g"},
    {Kind::unsure, "nonfinite=propagate shape=row|column momentum=confident storage!=fp32",
     "before the NaN, (u - M)^2 is one value"},
};

}  // namespace

std::span<const Exclusion> exclusions() { return kExclusions; }

}  // namespace plumbline::properties
