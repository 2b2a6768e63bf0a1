// Which storage for which state: computed from the rows of a study, each entry with the rows that back it. What breaks
// its promise in any row is not recommended, however small its errors.
#pragma once
#include <string>
#include <vector>

#include "harness/codecs/study.h"

namespace plumbline::harness::codecs {

// "S12": the twelfth row of Study::stores; "A7": of Study::averages. From 1.
std::string store_id(size_t index);
std::string average_id(size_t index);

struct Recommendation {
  std::string state;    // "rows and columns", "second moment", "momentum"
  int bits = 0;         // of a code: the memory class
  std::string storage;  // of production, of that class, whose largest error is least
  double bits_per_value = 0;
  double megabytes = 0;      // for a matrix of 4096 x 11008
  double store_error = 0;    // largest error of the update after one store, over the samples of the state
  std::string store_row;     // where
  double average_error = 0;  // the same after the 5,000 steps of the scenarios of the state
  std::string average_row;
  std::string rival;       // of the same class or below, the one whose largest error is least; may be empty
  double rival_error = 0;  // its larger one
  bool chosen = false;     // the smallest class whose larger error is at most kTolerable, or else the best
  double error() const { return store_error > average_error ? store_error : average_error; }
};

// A change of the update that is drowned by the noise of gradients: CODECS.md, "What is tolerable".
inline constexpr double kTolerable = 0.05;

std::vector<Recommendation> recommend(const Study& study);

// Why a storage is not to be recommended, with the state that shows it; empty where it keeps its promise. Momentum:
// PromiseRow::broken. Averages: a value above zero is read as zero, or the error of the update is larger than the
// update.
std::string broken_promise(const Study& study, const Storage& storage);

}  // namespace plumbline::harness::codecs
