// The host's own arithmetic on the hard operands, beside MPFR: what a GPU is compared with.
#include "cuda/diagnostics/ieee.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <mpfr.h>

#include <array>
#include <bit>
#include <cmath>

namespace plumbline::diagnostics {
namespace {

// One operation rounded once to a format of `precision` bits, subnormals included.
class Rounder {
 public:
  explicit Rounder(bool wide) : wide_(wide) {
    mpfr_set_emin(wide ? -1073 : -148);
    mpfr_set_emax(wide ? 1024 : 128);
    for (mpfr_ptr x : {a_, b_, c_}) mpfr_init2(x, 53);
    mpfr_init2(y_, wide ? 53 : 24);
  }
  ~Rounder() {
    for (mpfr_ptr x : {a_, b_, c_, y_}) mpfr_clear(x);
    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
  }
  Rounder(const Rounder&) = delete;
  Rounder& operator=(const Rounder&) = delete;

  double apply(Operation operation, double a, double b, double c) {
    mpfr_set_d(a_, a, MPFR_RNDN);
    mpfr_set_d(b_, b, MPFR_RNDN);
    mpfr_set_d(c_, c, MPFR_RNDN);
    int ternary = 0;
    switch (operation) {
      case Operation::add:
        ternary = mpfr_add(y_, a_, b_, MPFR_RNDN);
        break;
      case Operation::multiply:
        ternary = mpfr_mul(y_, a_, b_, MPFR_RNDN);
        break;
      case Operation::fused:
        ternary = mpfr_fma(y_, a_, b_, c_, MPFR_RNDN);
        break;
      case Operation::divide:
        ternary = mpfr_div(y_, a_, b_, MPFR_RNDN);
        break;
      case Operation::sqrt:
        ternary = mpfr_sqrt(y_, a_, MPFR_RNDN);
        break;
      case Operation::narrow:
        // outside the narrow range a double has to be set with the wide one
        mpfr_set_emin(-1073);
        mpfr_set_emax(1024);
        mpfr_set_d(a_, a, MPFR_RNDN);
        mpfr_set_emin(-148);
        mpfr_set_emax(128);
        ternary = mpfr_set(y_, a_, MPFR_RNDN);
        ternary = mpfr_check_range(y_, ternary, MPFR_RNDN);
        break;
    }
    mpfr_subnormalize(y_, ternary, MPFR_RNDN);
    return mpfr_get_d(y_, MPFR_RNDN);
  }

 private:
  bool wide_;
  mpfr_t a_, b_, c_, y_;
};

uint64_t bits_of(double y, bool wide) {
  if (std::isnan(y)) return wide ? 0x7ff8000000000000u : core::kCanonicalNan;
  return wide ? std::bit_cast<uint64_t>(y) : uint64_t(std::bit_cast<uint32_t>(float(y)));
}

void expect_mpfr_agrees(Operation operation, bool wide) {
  const IeeeVectors vectors = ieee_vectors(operation, wide);
  const std::vector<uint64_t> results = run_ieee(vectors, Backend::host, 0);
  const bool wide_result = wide && operation != Operation::narrow;
  const auto value = [&](uint64_t bits) {
    return wide ? std::bit_cast<double>(bits) : double(std::bit_cast<float>(uint32_t(bits)));
  };
  Rounder rounder(wide_result);
  uint64_t wrong = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const Operands& x = vectors.operands[i];
    const uint64_t expected = bits_of(rounder.apply(operation, value(x.a), value(x.b), value(x.c)), wide_result);
    if (results[i] == expected) continue;
    if (wrong++ == 0)
      ADD_FAILURE() << to_string(vectors) << ", " << to_string(vectors.hardness[i]) << std::hex << ": " << x.a << ", "
                    << x.b << ", " << x.c << " gave " << results[i] << ", MPFR " << expected;
  }
  EXPECT_EQ(wrong, 0u) << to_string(vectors);
}

TEST(Ieee, HostIsCorrectlyRoundedOnEveryHardOperandByMpfr) {
  for (const bool wide : {false, true})
    for (int o = 0; o < kOperations; ++o)
      if (Operation(o) != Operation::narrow || wide) expect_mpfr_agrees(Operation(o), wide);
}

TEST(Ieee, VectorsAreHard) {
  // Each kind does what its name says, by the host's results.
  const IeeeVectors multiply = ieee_vectors(Operation::multiply, false);
  const std::vector<uint64_t> y = run_ieee(multiply, Backend::host, 0);
  std::array<uint64_t, kHardnesses> all{}, subnormal{}, infinite{}, ties{};
  for (size_t i = 0; i < y.size(); ++i) {
    const auto kind = size_t(multiply.hardness[i]);
    const auto value = std::bit_cast<float>(uint32_t(y[i]));
    const double exact = double(std::bit_cast<float>(uint32_t(multiply.operands[i].a))) *
                         double(std::bit_cast<float>(uint32_t(multiply.operands[i].b)));
    ++all[kind];
    subnormal[kind] += std::fpclassify(value) == FP_SUBNORMAL;
    infinite[kind] += std::isinf(value);
    const float up = std::nextafter(value, INFINITY), down = std::nextafter(value, -INFINITY);
    ties[kind] += exact - double(value) == double(up) - exact || double(value) - exact == exact - double(down);
  }
  for (const uint64_t n : all) EXPECT_GT(n, 2000u);
  EXPECT_GT(subnormal[size_t(Hardness::subnormal)], all[size_t(Hardness::subnormal)] / 2);
  EXPECT_GT(infinite[size_t(Hardness::overflow)], all[size_t(Hardness::overflow)] / 10);
  EXPECT_GT(ties[size_t(Hardness::tie)], all[size_t(Hardness::tie)] / 4);
}

TEST(Ieee, UnderTheEmulatorIsTheHosts) {
  const IeeeVectors vectors = ieee_vectors(Operation::fused, false);
  EXPECT_EQ(run_ieee(vectors, Backend::emulator, 1), run_ieee(vectors, Backend::host, 0));
}

TEST(FlushToZero, IsOffAndIsSeenWhereItIsOn) {
  for (const bool wide : {false, true})
    for (int o = 0; o < kOperations; ++o) {
      if (Operation(o) == Operation::narrow && !wide) continue;
      const FlushToZero off = detect_flush(Operation(o), wide, Backend::host, 0);
      EXPECT_FALSE(off.operands || off.results) << to_string(Operation(o));
    }
  // two operands are worked on in this thread, whose mode this is
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  const FlushToZero on = detect_flush(Operation::multiply, false, Backend::host, 0);
  _mm_setcsr(before);
  EXPECT_TRUE(on.operands);
  EXPECT_TRUE(on.results);
}

}  // namespace
}  // namespace plumbline::diagnostics
