// States to store: drawn from stated distributions, or made by recorded trainings.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/codecs/storage.h"

namespace plumbline::harness::codecs {

enum class SampleOrigin : uint8_t { drawn, recorded };

struct Sample {
  std::string name;     // "wide", "gpt_bytes: row averages"
  std::string meaning;  // one line
  StateKind kind = StateKind::second_moment;
  SampleOrigin origin = SampleOrigin::drawn;
  bool factored = false;  // averages over rows or columns
  // Tensors or matrices that no block may cross, one after the other; gradients beside second moments: u = g/sqrt(v).
  std::vector<std::vector<double>> values, gradients;
  std::vector<std::vector<double>> second_moments = {};  // of momentum, element by element; empty where not known
};

// Log-normal of three widths, outliers, two modes, sparse, averages of squared gradients, row averages from dense to
// cold; momentum: normal, heavy-tailed, sparse, of rows of different scale, averages of gradients. 16,384 values each.
std::vector<Sample> drawn_samples(uint64_t seed);

// Second moment, row and column averages and momentum (beta1 = 0.9) after the last step of a trace of gradients; or
// every state slot of a recorded optimizer after its last step. Throws InputError for a trace that cannot be read or
// that has neither. Slots that hold a NaN or an infinity are left out.
std::vector<Sample> recorded_samples(const std::filesystem::path& trace);

}  // namespace plumbline::harness::codecs
