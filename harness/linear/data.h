// Inputs of a case of the linear layer, generated or recorded.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "harness/linear/subject.h"

namespace plumbline::harness {

// A recorded layer (safetensors, format w8a8-linear/1) by path, or by bare name from the project's own data
// (w8a8/ of data_folder()).
std::filesystem::path layer_path(const std::string& name);
// The names of the project's recorded layers, sorted. Throws InputError where their folder cannot be read.
std::vector<std::string> recorded_layers();
// The problem that a recorded layer poses; throws InputError where the file is not one.
LinearProblem recorded_problem(const std::string& name);

// Throws InputError where a recorded layer cannot be read or does not fit the problem.
LinearInputs make_inputs(const LinearProblem& problem);

// The same values in double.
struct LinearValues {
  reference::Matrix x, grad_output;  // tokens x inputs, tokens x outputs
  reference::Vector bias;            // empty: none
  reference::Matrix weight;          // what the source says: floats, code * scale or E4M3 * scale
};
LinearValues load_values(const LinearProblem& problem, const LinearInputs& inputs);

}  // namespace plumbline::harness
