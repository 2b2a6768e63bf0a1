// Compares what a subject shows with what the reference says, element by element, within bounds. Knows no subject.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "harness/format.h"
#include "harness/result.h"

namespace plumbline::harness {

// Reference and subject have both left the numbers of a type, in an admissible way: NaN for NaN; where the reference is
// at or beyond `overflow`, an infinity of a sign that expected +- bound reaches, and NaN where the reference is a
// number beyond float32 too (then terms of it may have been infinities of both signs) or its bound is none.
bool out_of_range(double got, double expected, double bound, double overflow = largest_finite(DType::float32));

// error / bound of one element; <= 1 accepts. 0 / 0 is 0; what is out of range is 0; another NaN is +inf; an infinite
// reference wants the same infinity, and an infinity is also admissible where expected +- bound reaches `overflow` on
// its side.
double error_ratio(double got, double expected, double bound, double overflow = largest_finite(DType::float32));

// Collects one quantity of one case.
class QuantityJudge {
 public:
  explicit QuantityJudge(Quantity quantity) { result_.quantity = quantity; }
  // What is out of range, and what has no bound (an infinite one accepts every number), counts apart. Gives the ratio
  // of what was compared, 0 of what was not.
  double element(int64_t step, int64_t index, double got, double expected, double bound,
                 double overflow = largest_finite(DType::float32));
  // Where the distance that counts is not |got - expected| (a code, a stored rounding).
  void record(int64_t step, int64_t index, double got, double expected, double bound, double ratio);
  void array(int64_t step, std::span<const float> got, std::span<const double> expected, std::span<const double> bound);
  void array(int64_t step, std::span<const double> got, std::span<const double> expected,
             std::span<const double> bound);
  // Values stored in a parameter type: accepted when they are the rounding of some value within the bound.
  void stored(int64_t step, DType type, std::span<const std::byte> got, std::span<const double> expected,
              std::span<const double> bound);

  // From now on judges nothing, but notes the elements first..last of what it is given.
  void watch(int64_t first, int64_t last) {
    watched_.emplace();
    watched_->quantity = result_.quantity;
    first_watched_ = first;
    last_watched_ = last;
  }
  const std::optional<ElementWindow>& watched() const { return watched_; }

  const QuantityResult& result() const { return result_; }
  bool touched() const { return touched_ || result_.unbounded > 0 || result_.out_of_range > 0; }
  bool broken() const { return result_.outside > 0; }
  int64_t first_broken_step() const { return first_broken_step_; }

 private:
  template <class Got>
  void whole(int64_t step, std::span<const Got> got, std::span<const double> expected, std::span<const double> bound);
  // Counts an element that is not compared; false for one that is.
  bool apart(double got, double expected, double bound, double overflow);
  QuantityResult result_;
  bool touched_ = false;
  int64_t first_broken_step_ = 0;
  std::optional<ElementWindow> watched_;
  int64_t first_watched_ = 0, last_watched_ = -1;
};

}  // namespace plumbline::harness
