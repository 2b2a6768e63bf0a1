// Inputs of a case, rounded to storage precision ("realized"): reference and subject read exactly these.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <vector>

#include "harness/problem.h"
#include "harness/trace.h"
#include "reference/tensor.h"

namespace plumbline::harness {

// A trace by path, or by bare name from the project's own data (traces/ of data_folder()).
std::filesystem::path trace_path(const std::string& name);

// One tensor of inputs in storage precision, and the same values in double.
struct Realized {
  std::vector<std::byte> bytes;
  reference::Tensor values;
};

// Gives the initial parameter and the gradient of each step of one problem.
class DataSource {
 public:
  // Opens the trace, where there is one; throws InputError when it lacks the tensor, the steps or the shape of the
  // problem.
  explicit DataSource(const Problem& problem);
  void initial_parameter(Realized& out) const;
  void gradient(int64_t step, Realized& out) const;  // step = 1, 2, ...

 private:
  void generate(int64_t step, std::vector<double>& out) const;
  Problem problem_;
  std::shared_ptr<const Trace> trace_;
};

}  // namespace plumbline::harness
