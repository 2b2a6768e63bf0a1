// The references of the scans beside MPFR.
#include "cuda/diagnostics/exact.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <cmath>
#include <functional>
#include <random>

#include "cuda/core/certificates.h"
#include "cuda/diagnostics/judge.h"

namespace plumbline::diagnostics {
namespace {

class Mpfr {
 public:
  explicit Mpfr(double x = 0) {
    mpfr_init2(x_, 300);
    mpfr_set_d(x_, x, MPFR_RNDN);
  }
  ~Mpfr() { mpfr_clear(x_); }
  Mpfr(const Mpfr&) = delete;
  Mpfr& operator=(const Mpfr&) = delete;
  mpfr_ptr get() { return x_; }

 private:
  mpfr_t x_;
};

// log2 |got/truth - 1|
double relative_error(DoubleDouble got, Mpfr& truth) {
  Mpfr error(got.hi);
  mpfr_add_d(error.get(), error.get(), got.lo, MPFR_RNDN);
  mpfr_sub(error.get(), error.get(), truth.get(), MPFR_RNDN);
  mpfr_div(error.get(), error.get(), truth.get(), MPFR_RNDN);
  if (mpfr_zero_p(error.get()) != 0) return -1000;
  mpfr_log2(error.get(), (mpfr_abs(error.get(), error.get(), MPFR_RNDN), error.get()), MPFR_RNDN);
  return mpfr_get_d(error.get(), MPFR_RNDN);
}

std::mt19937 seeded() {
  const auto seed = std::random_device{}();
  testing::Test::RecordProperty("seed", int(seed));
  std::printf("seed %u\n", seed);
  return std::mt19937(seed);
}

TEST(Exact, LogarithmsAreWithinTheirStatedErrorOfMpfr) {
  auto random = seeded();
  double quick = -1000, full = -1000;
  for (int i = 0; i < 40000; ++i) {
    // all of float32, and a good share beside 1, where the logarithm is small
    const uint32_t bits = i % 4 == 0 ? 0x3f800000u + uint32_t(random() % 2000000) - 1000000u
                                     : 0x00800000u + uint32_t(random()) % 0x7f000000u;
    if (bits == 0x3f800000u) continue;
    const float v = core::from_bits(bits);
    Mpfr truth(static_cast<double>(v));
    mpfr_log2(truth.get(), truth.get(), MPFR_RNDN);
    quick = std::max(quick, relative_error(log2_quick(v), truth));
    full = std::max(full, relative_error(log2_full(v), truth));
  }
  EXPECT_LE(quick, -56);
  EXPECT_LE(full, -90);
}

TEST(Exact, PowersAreWithinTheirStatedErrorOfMpfr) {
  auto random = seeded();
  double quick = -1000, full = -1000;
  for (int i = 0; i < 40000; ++i) {
    const float f = std::ldexp(float(random()) * 0x1p-32f - 0.5f, -int(random() % 30));
    Mpfr truth(static_cast<double>(f));
    mpfr_exp2(truth.get(), truth.get(), MPFR_RNDN);
    quick = std::max(quick, relative_error(exp2_quick(f), truth));
    full = std::max(full, relative_error(exp2_full(f), truth));
  }
  EXPECT_LE(quick, -56);
  EXPECT_LE(full, -90);
}

// error of y in ulps of the truth, by MPFR
double mpfr_ulps(float y, uint32_t input, int (*function)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t)) {
  Mpfr truth(static_cast<double>(core::from_bits(input)));
  function(truth.get(), truth.get(), MPFR_RNDN);
  const double size = mpfr_get_d(truth.get(), MPFR_RNDZ);
  mpfr_sub_d(truth.get(), truth.get(), static_cast<double>(y), MPFR_RNDN);
  mpfr_div_d(truth.get(), truth.get(), ulp32(size), MPFR_RNDN);
  return std::fabs(mpfr_get_d(truth.get(), MPFR_RNDN));
}

TEST(Certificates, AreMetAtTheirWorstInputsByMpfrToo) {
  const auto log2_at = [](uint32_t x) { return core::log2(core::from_bits(x)); };
  const auto exp2_at = [](uint32_t x) { return exp2_of(core::from_bits(x)); };
  const double log2_worst = mpfr_ulps(log2_at(core::kLog2WorstInput), core::kLog2WorstInput, mpfr_log2);
  const double exp2_worst = mpfr_ulps(exp2_at(core::kExp2WorstInput), core::kExp2WorstInput, mpfr_exp2);
  const double subnormal =
      mpfr_ulps(exp2_at(core::kExp2SubnormalWorstInput), core::kExp2SubnormalWorstInput, mpfr_exp2);
  EXPECT_LE(log2_worst, core::kLog2Ulps);
  EXPECT_GE(log2_worst, 0.999 * core::kLog2Ulps) << "the certificate is not tight";
  EXPECT_LE(exp2_worst, core::kExp2Ulps);
  EXPECT_GE(exp2_worst, 0.999 * core::kExp2Ulps) << "the certificate is not tight";
  EXPECT_LE(subnormal, core::kExp2SubnormalUlps);
  EXPECT_NEAR(subnormal, 0.756172419, 1e-6);
}

}  // namespace
}  // namespace plumbline::diagnostics
