// Small trainings in double, for closed loops: the gradient of a step depends on the parameter that the optimizer left.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reference/tensor.h"

namespace plumbline::harness {

struct TrainingTensor {
  std::string name;
  std::vector<int64_t> shape;
};

class Training {
 public:
  virtual ~Training() = default;
  virtual const std::vector<TrainingTensor>& tensors() const = 0;
  // Initial parameters, from the seed alone.
  virtual std::vector<reference::Tensor> initial() const = 0;
  // Gradients of step t = 1, 2, ... at `parameters`: the same sample of data (or noise) for everybody who asks for t.
  virtual void gradients(int64_t t, const std::vector<reference::Tensor>& parameters,
                         std::vector<reference::Tensor>& out) const = 0;
  // The whole objective, without noise.
  virtual double loss(const std::vector<reference::Tensor>& parameters) const = 0;
};

// "quadratic", "logistic", "net"
const std::vector<std::string>& training_names();
// Throws InputError for an unknown name, and where the digits cannot be read.
std::unique_ptr<Training> make_training(const std::string& name, uint64_t seed);

}  // namespace plumbline::harness
