// Compares what a subject shows with what the reference says, element by element, within bounds. Knows no subject.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "harness/format.h"
#include "harness/result.h"

namespace plumbline::harness {

// error / bound of one element; <= 1 accepts. 0 / 0 is 0; a NaN is +inf unless the reference is NaN too; an infinite
// reference wants the same infinity, and an infinity is also admissible where expected +- bound reaches `overflow` on
// its side.
double error_ratio(double got, double expected, double bound, double overflow = largest_finite(DType::float32));

// Collects one quantity of one case.
class QuantityJudge {
 public:
  explicit QuantityJudge(Quantity quantity) { result_.quantity = quantity; }
  void element(int64_t step, int64_t index, double got, double expected, double bound) {
    record(step, index, got, expected, bound, error_ratio(got, expected, bound));
  }
  // An infinite bound accepts every number: such an element counts apart.
  void where_bounded(int64_t step, int64_t index, double got, double expected, double bound);
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
  bool touched() const { return touched_; }
  bool broken() const { return result_.outside > 0; }
  int64_t first_broken_step() const { return first_broken_step_; }

 private:
  template <class Got>
  void whole(int64_t step, std::span<const Got> got, std::span<const double> expected, std::span<const double> bound);
  QuantityResult result_;
  bool touched_ = false;
  int64_t first_broken_step_ = 0;
  std::optional<ElementWindow> watched_;
  int64_t first_watched_ = 0, last_watched_ = -1;
};

}  // namespace plumbline::harness
