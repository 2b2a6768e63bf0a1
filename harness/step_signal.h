// Whether a step of one tensor could have been judged wrong: its change against the bounds. What is beyond the range of
// its type is judged by kind alone, and left out.
#pragma once
#include <cmath>
#include <cstdint>

namespace plumbline::harness {

class Signal {
 public:
  void add(double before, double after, double bound, double overflow) {
    if (!(std::fabs(after) < overflow) || !std::isfinite(before)) return;
    if (values_++ == 0) first_ = after;
    constant_ &= after == first_;
    zeros_ += after == 0;
    still_ &= after == before;
    if (!(bound < kNone)) return;
    ++bounded_;
    bounds_ += bound * bound;
    changes_ += (after - before) * (after - before);
  }
  bool in_range() const { return values_ > 0; }
  // A change that is larger than its bound, in norm, where most values have one.
  bool exceeds_bound() const { return 2 * bounded_ >= values_ && bounds_ < changes_; }
  // Neither constant nor mostly zero.
  bool varies() const { return values_ > 0 && !(constant_ && values_ > 1) && double(zeros_) <= 0.9 * double(values_); }
  // Most values have a bound.
  bool bounded() const { return values_ > 0 && 2 * bounded_ >= values_; }
  // Nothing was to change, exactly.
  bool still() const { return values_ > 0 && bounded_ == values_ && still_; }

 private:
  static constexpr double kNone = HUGE_VAL;
  int64_t values_ = 0, bounded_ = 0, zeros_ = 0;
  double first_ = 0, bounds_ = 0, changes_ = 0;
  bool constant_ = true, still_ = true;
};

}  // namespace plumbline::harness
