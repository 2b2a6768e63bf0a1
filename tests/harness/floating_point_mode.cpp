// A library that changes the floating-point mode when it is loaded, as one built with fast-math does: by what
// PLUMBLINE_TEST_MODE names.
#include <immintrin.h>

#include <cfenv>
#include <cstdlib>
#include <cstring>

namespace {

[[gnu::constructor]] void change_mode() {
  const char* mode = std::getenv("PLUMBLINE_TEST_MODE");
  if (mode == nullptr) return;
  if (std::strcmp(mode, "flush") == 0) _mm_setcsr(_mm_getcsr() | 0x8000u);
  if (std::strcmp(mode, "denormals") == 0) _mm_setcsr(_mm_getcsr() | 0x0040u);
  if (std::strcmp(mode, "upward") == 0) std::fesetround(FE_UPWARD);
}

}  // namespace
