// The published controlled study of adaptive and fixed-floor logarithmic codes, cell A1, again from its own inputs.
//                                                                                     [Wang 2026, arXiv 2608.22322]
// 8192 values of a second moment in four distributions, blocks of 2048, float32 arithmetic throughout: l = log2 v in
// float32, the code rounded to even, the value 2^(...) in float32. Only sums of squares are double.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace plumbline::harness::codecs {

// In percent, as printed: three decimals.
struct PublishedRow {
  std::string distribution, codec;
  double values = 0, update = 0;                    // of the publication
  double measured_values = 0, measured_update = 0;  // here, unrounded
  bool reproduced() const;                          // to the last printed digit
};

// The project's own copy of the inputs (codec_study/ of data_folder()).
std::filesystem::path published_inputs();
// Throws InputError where the file cannot be read or lacks an array.
std::vector<PublishedRow> reproduce_published(const std::filesystem::path& inputs);

}  // namespace plumbline::harness::codecs
