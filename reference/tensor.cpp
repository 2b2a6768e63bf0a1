#include "reference/tensor.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace plumbline::reference {
namespace {

int64_t product(const std::vector<int64_t>& extents) {
  int64_t size = 1;
  for (const int64_t extent : extents) {
    if (extent < 1) throw std::invalid_argument("shape: extent " + std::to_string(extent) + ", valid: at least 1");
    if (__builtin_mul_overflow(size, extent, &size)) throw std::invalid_argument("shape: more than 2^63 elements");
  }
  return size;
}

}  // namespace

Tensor::Tensor(std::vector<int64_t> extents) : shape(std::move(extents)), data(Vector::Zero(product(shape))) {}

Tensor::Tensor(std::vector<int64_t> extents, Vector values) : shape(std::move(extents)), data(std::move(values)) {
  if (data.size() != product(shape))
    throw std::invalid_argument("tensor: " + std::to_string(data.size()) + " values, the shape has " +
                                std::to_string(product(shape)));
}

int64_t Tensor::slices() const { return rows() * cols() == 0 ? 0 : size() / (rows() * cols()); }
int64_t Tensor::rows() const { return shape.size() < 2 ? 1 : shape[shape.size() - 2]; }
int64_t Tensor::cols() const { return shape.empty() ? size() : shape.back(); }

double rms(const Tensor& x) { return std::sqrt(x.data.square().mean()); }

}  // namespace plumbline::reference
