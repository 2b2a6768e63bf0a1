#include "harness/environment.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <cfenv>
#include <string>

#include "harness/error.h"

namespace plumbline::harness {

void check_floating_point() {
  constexpr unsigned kRounding = 0x6000, kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  const unsigned control = _mm_getcsr();
  std::string wrong;
  if ((control & kRounding) != 0 || std::fegetround() != FE_TONEAREST) wrong = "does not round to nearest";
  if ((control & (kFlushToZero | kDenormalsAreZero)) != 0)
    wrong += std::string(wrong.empty() ? "" : " and ") + "makes subnormal numbers zero";
  if (!wrong.empty())
    throw InputError(
        fmt::format("the floating-point mode of this process {}: expected IEEE arithmetic; a library that is loaded "
                    "into it has changed the mode (see LD_PRELOAD)",
                    wrong));
}

}  // namespace plumbline::harness
