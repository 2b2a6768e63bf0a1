// Handwritten digits: 1,797 images of 8 x 8 pixels with 17 grey levels (tests/data/digits).
#pragma once
#include <Eigen/Dense>
#include <filesystem>

namespace plumbline::harness {

struct Digits {
  Eigen::MatrixXd images;  // (1797, 64), pixels in [0, 1]
  Eigen::VectorXi labels;  // (1797), 0 to 9
};

// Throws InputError when the file is missing or not of 1,797 x 65 bytes with pixels up to 16 and labels up to 9.
Digits read_digits(const std::filesystem::path& path);
// The project's own (digits/ of data_folder()), read once.
const Digits& shared_digits();

}  // namespace plumbline::harness
