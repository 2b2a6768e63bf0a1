#include "cuda/twin/rows.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "cuda/core/tree.h"
#include "tests/cuda/straight_line.h"

namespace plumbline::twin {
namespace {

std::vector<float> values(int64_t n) {
  std::mt19937 random(unsigned(n) + 1);
  std::vector<float> x;
  for (int64_t i = 0; i < n; ++i) x.push_back(std::ldexp(float(random() >> 8), -24 - int(random() % 20)));
  return x;
}

TEST(Trees, EqualTheCanonicalTreeForEveryLength) {
  for (int64_t n = 1; n < 3000; n += n < 70 ? 1 : n < 600 ? 13 : 101) {
    const std::vector<float> x = values(n);
    std::vector<double> doubles(x.begin(), x.end()), squares;
    for (float v : x) squares.push_back(double(v) * double(v));
    ASSERT_EQ(tree_sum(x.data(), n), straight_line::tree(x)) << n;
    ASSERT_EQ(tree_sum_double(x.data(), n), straight_line::tree(doubles)) << n;
    ASSERT_EQ(tree_sum_squares(x.data(), n), straight_line::tree(squares)) << n;
    std::vector<float> copy = x;
    ASSERT_EQ(core::tree_in_place(copy.data(), n), straight_line::tree(x)) << n;
  }
  for (int64_t n : {256 * 16, 256 * 16 + 1, 256 * 31, 256 * 31 + 255, 100003}) {
    const std::vector<float> x = values(n);
    ASSERT_EQ(tree_sum(x.data(), n), straight_line::tree(x)) << n;
  }
}

TEST(Trees, DifferFromAPlainSum) {  // or the test above would prove nothing
  const std::vector<float> x = values(2048);
  float plain = 0;
  for (float v : x) plain += v;
  EXPECT_NE(tree_sum(x.data(), 2048), plain);
}

TEST(Trees, PiecesAgreeWithTheTree) {
  const std::vector<float> x = values(8);
  EXPECT_EQ(core::oct(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]), straight_line::tree(x));
  EXPECT_EQ(core::pair(x[0], x[1]), straight_line::tree(std::vector<float>{x[0], x[1]}));
}

}  // namespace
}  // namespace plumbline::twin
