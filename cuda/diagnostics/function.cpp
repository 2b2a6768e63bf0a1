#include "cuda/diagnostics/function.h"

#include <fmt/format.h>

#include "cuda/core/certificates.h"

namespace plumbline::diagnostics {
namespace {

constexpr FunctionRow kTable[] = {
    {Function::log2, "log2", Promise::certified, core::kLog2Ulps, core::kLog2WorstInput, core::kLog2Checksum, false,
     70},
    {Function::exp2, "exp2", Promise::certified, core::kExp2Ulps, core::kExp2WorstInput, core::kExp2Checksum, false,
     70},
    {Function::exp2_subnormal, "exp2, subnormal results", Promise::certified, core::kExp2SubnormalUlps,
     core::kExp2SubnormalWorstInput, core::kExp2SubnormalChecksum, false, 70},
    {Function::sqrt, "sqrt", Promise::nearest, 0.5, 0, 0, false, 70},
    {Function::reciprocal, "reciprocal", Promise::nearest, 0.5, 0, 0, false, 70},
    {Function::divide, "divide", Promise::nearest, 0.5, 0, 0, false, 70},
    {Function::to_bfloat16, "to bfloat16", Promise::nearest, 0.5, 0, 0, false, 70},
    {Function::to_float16, "to float16", Promise::nearest, 0.5, 0, 0, false, 70},
    {Function::to_e4m3, "to FP8 e4m3", Promise::nearest, 0.5, 0, 0, false, 89},
    {Function::to_e5m2, "to FP8 e5m2", Promise::nearest, 0.5, 0, 0, false, 89},
    {Function::chip_rsqrt, "rsqrt.approx", Promise::information, 0, 0, 0, true, 70},
    {Function::chip_exp2, "ex2.approx", Promise::information, 0, 0, 0, true, 70},
    {Function::chip_log2, "lg2.approx", Promise::information, 0, 0, 0, true, 70},
};
static_assert(std::size(kTable) == kFunctions);

}  // namespace

std::span<const FunctionRow> function_table() { return kTable; }
const FunctionRow& row_of(Function function) { return kTable[int(function)]; }

std::string to_string(const ScanSubject& subject) {
  const FunctionRow& row = row_of(subject.function);
  if (subject.function != Function::divide) return std::string(row.name);
  return fmt::format("divide by {:.9g}", subject.divisor);
}

}  // namespace plumbline::diagnostics
