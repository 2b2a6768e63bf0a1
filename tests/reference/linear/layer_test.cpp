#include "reference/linear/layer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace plumbline::reference {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

Matrix matrix(std::initializer_list<std::initializer_list<double>> rows) {
  Matrix m(int64_t(rows.size()), int64_t(rows.begin()->size()));
  int64_t i = 0;
  for (const auto& row : rows) {
    int64_t k = 0;
    for (const double x : row) m(i, k++) = x;
    ++i;
  }
  return m;
}

TEST(Int8Rows, ScaleIsTheLargestMagnitudeOver127WithAFloor) {
  EXPECT_EQ(int8_scale(std::vector<double>{1, -254, 3}), 2);
  EXPECT_EQ(int8_scale(std::vector<double>{0, 0}), 1e-30);
  EXPECT_EQ(int8_scale(std::vector<double>{1e-29}), 1e-30);
  EXPECT_TRUE(std::isnan(int8_scale(std::vector<double>{1, kNan})));
  EXPECT_TRUE(std::isnan(int8_scale(std::vector<double>{1, -kInfinity})));
}

TEST(Int8Rows, TiesGoToEvenAndCodesStayWithin127) {
  EXPECT_EQ(int8_code(0.5, 1), 0);
  EXPECT_EQ(int8_code(1.5, 1), 2);
  EXPECT_EQ(int8_code(2.5, 1), 2);
  EXPECT_EQ(int8_code(-2.5, 1), -2);
  EXPECT_EQ(int8_code(-3.5, 1), -4);
  EXPECT_EQ(int8_code(-128, 1), -127);
  EXPECT_EQ(int8_code(1e30, 1), 127);
  EXPECT_EQ(int8_code(5, kNan), 0);
}

TEST(Int8Rows, ATieIsOneOfTheFloat32Quotient) {
  // half of the largest magnitude is 63.5 codes; the float32 scale is not absmax/127 and a double quotient says 63
  const double absmax = 0.7001953125, scale = double(float(absmax / 127));
  EXPECT_NE(0.5 * absmax / scale, 63.5);
  EXPECT_EQ(int8_code(0.5 * absmax, scale), double(float(0.5 * absmax / scale)) == 63.5 ? 64 : 63);
}

TEST(Int8Rows, ErrorsAreWithinHalfAStep) {
  const Matrix x = Matrix::Random(20, 50);
  const QuantizedRows q = quantize_rows(x);
  const Matrix back = dequantize_rows(q);
  for (int64_t i = 0; i < x.rows(); ++i)
    for (int64_t k = 0; k < x.cols(); ++k)
      EXPECT_LE(std::fabs(back(i, k) - x(i, k)), q.scales[size_t(i)] * (0.5 + 128 * 0x1p-24));
}

TEST(Fp8Weight, TakesItsScaleFromTheTensorTheChannelOrTheBlock) {
  Fp8Matrix w{2, 4, {0x38, 0x38, 0x38, 0x38, 0xb8, 0xb8, 0xb8, 0xb8}, Fp8ScaleKind::tensor, {3}};
  EXPECT_TRUE((dequantize_fp8(w) == matrix({{3, 3, 3, 3}, {-3, -3, -3, -3}})).all());
  w.kind = Fp8ScaleKind::channel;
  w.scales = {2, 5};
  EXPECT_TRUE((dequantize_fp8(w) == matrix({{2, 2, 2, 2}, {-5, -5, -5, -5}})).all());
  w.kind = Fp8ScaleKind::block;
  w.scales = {1, 2, 3, 4};
  EXPECT_TRUE((dequantize_fp8(w) == matrix({{1, 1, 2, 2}, {-3, -3, -4, -4}})).all());
}

TEST(Fp8Weight, RefusesScalesThatDoNotFit) {
  Fp8Matrix w{2, 4, std::vector<uint8_t>(8), Fp8ScaleKind::tensor, {1, 2}};
  EXPECT_THROW(dequantize_fp8(w), std::invalid_argument);
  w.kind = Fp8ScaleKind::channel;
  w.scales = {1};
  EXPECT_THROW(dequantize_fp8(w), std::invalid_argument);
  w.kind = Fp8ScaleKind::block;
  for (const size_t count : {0, 1, 3, 6, 16}) {
    w.scales.assign(count, 1);
    EXPECT_THROW(dequantize_fp8(w), std::invalid_argument) << count;
  }
}

TEST(LinearLayerReference, QuantizesActivationsOfMoreThan16TokensOnly) {
  const Matrix weight = Matrix::Random(6, 40), x = Matrix::Random(17, 40);
  const Vector bias = Vector::Random(6);
  const LinearLayer layer = LinearLayer::quantized(weight, bias);
  const Matrix exact = linear(x, layer.dequantized, bias);
  EXPECT_TRUE((layer.forward(x.topRows(16)) == exact.topRows(16)).all());
  EXPECT_FALSE((layer.forward(x) == exact).any());
  EXPECT_LT((layer.forward(x) - exact).abs().maxCoeff(), 40 * 0.5 / 127);
}

TEST(LinearLayerReference, Fp8KeepsItsWeight) {
  Fp8Matrix w{3, 8, {}, Fp8ScaleKind::channel, {0.5, 1, 2}};
  for (int i = 0; i < 24; ++i) w.codes.push_back(uint8_t(40 + i));
  const LinearLayer layer = LinearLayer::fp8(w, {});
  const Matrix x = Matrix::Random(20, 8);
  EXPECT_TRUE((layer.forward(x) == linear(x, dequantize_fp8(w), {})).all());
}

TEST(LinearLayerReference, GradientIsTheTransposeOfTheForward) {
  // <g, x wᵀ> = <g w, x>
  const LinearLayer layer = LinearLayer::quantized(Matrix::Random(7, 30), {});
  const Matrix x = Matrix::Random(5, 30), g = Matrix::Random(5, 7);
  EXPECT_NEAR((g * layer.forward(x)).sum(), (layer.backward(g) * x).sum(), 1e-12);
}

TEST(LinearLayerReference, OneTokenThatIsNotFiniteLeavesTheOthers) {
  Matrix x = Matrix::Random(20, 10);
  const LinearLayer layer = LinearLayer::quantized(Matrix::Random(4, 10), {});
  const Matrix before = layer.forward(x);
  x(3, 2) = kInfinity;
  const Matrix after = layer.forward(x);
  for (int64_t t = 0; t < 20; ++t)
    for (int64_t o = 0; o < 4; ++o) {
      if (t == 3)
        EXPECT_TRUE(std::isnan(after(t, o)));
      else
        EXPECT_EQ(after(t, o), before(t, o));
    }
}

}  // namespace
}  // namespace plumbline::reference
