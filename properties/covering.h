// Covering designs of strength t: rows of classes in which every valid combination of t values of different factors
// occurs [Cohen, Dalal, Fredman & Patton 1997, greedy rows; validity by search under the exclusions].
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "properties/factors.h"

namespace plumbline::properties {

// Exclusions, a bit each in the order of exclusions().
using ExclusionSet = uint64_t;
ExclusionSet exclusions_of(Exclusion::Kind kind);

// The chosen values completed to a row that no exclusion forbids; empty where there is none: the search is exhaustive.
std::optional<Classes> complete(const Classes& chosen, ExclusionSet but = 0);

// Combinations of `strength` (2 or 3) counted values.
class Tuples {
 public:
  // Every valid one, none covered. What is unsure is valid.
  explicit Tuples(int strength);
  int strength() const { return strength_; }
  int64_t valid() const { return valid_; }
  int64_t covered() const { return covered_; }
  int64_t refused() const { return refused_; }  // no completion exists
  // Marks the row's tuples, but those with a value that is not in `counts` (a flag per factor); returns how many were
  // new.
  int64_t cover(const Classes& row, const std::array<bool, kFactors>& counts);
  int64_t cover(const Classes& row);
  // Which of the valid ones are covered, as hexadecimal digits of four each, in an order of their own.
  std::string digits() const;
  // Covers what others' digits say. Throws InputError for what is not digits of as many tuples.
  void join(std::string_view digits);
  // By name, at most so many.
  std::vector<std::string> missing(size_t most) const;

 private:
  friend class Designer;
  enum State : uint8_t { kInvalid, kMissing, kCovered };
  size_t place(int a, int b, int c) const;
  template <class Visit>
  void for_each(const Classes& row, const std::array<bool, kFactors>& counts, Visit&& visit);
  int strength_;
  int64_t valid_ = 0, covered_ = 0, refused_ = 0;
  std::vector<uint8_t> state_;  // by the numbers of the values, in the order of their factors
};

// Depends on strength and seed alone.
std::vector<Classes> covering_design(int strength, uint64_t seed);

}  // namespace plumbline::properties
