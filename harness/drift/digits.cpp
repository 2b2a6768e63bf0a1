#include "harness/drift/digits.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "harness/data_folder.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

constexpr Eigen::Index kImages = 1797, kPixels = 64;
constexpr int kBrightest = 16, kLargestLabel = 9;

}  // namespace

Digits read_digits(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(fmt::format("{}: cannot be read", path.string()));
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  constexpr size_t kBytes = size_t(kImages * (kPixels + 1));
  if (bytes.size() != kBytes)
    throw InputError(fmt::format("{}: {} bytes, expected {} (1,797 images of 64 pixels and a label)", path.string(),
                                 bytes.size(), kBytes));
  Digits digits{Eigen::MatrixXd(kImages, kPixels), Eigen::VectorXi(kImages)};
  for (Eigen::Index i = 0; i < kImages; ++i) {
    const auto* row = reinterpret_cast<const unsigned char*>(bytes.data()) + i * (kPixels + 1);
    if (*std::max_element(row, row + kPixels) > kBrightest || row[kPixels] > kLargestLabel)
      throw InputError(fmt::format("{}: image {}: expected pixels up to {} and a label up to {}", path.string(), i,
                                   kBrightest, kLargestLabel));
    for (Eigen::Index j = 0; j < kPixels; ++j) digits.images(i, j) = double(row[j]) / kBrightest;
    digits.labels[i] = row[kPixels];
  }
  return digits;
}

const Digits& shared_digits() {
  static const Digits digits = read_digits(data_file("digits/digits.u8"));
  return digits;
}

}  // namespace plumbline::harness
