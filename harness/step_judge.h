// The judge of one tensor for who drives its subject: lives, in which several tensors step together and operations come
// between steps. A step is judged as in a case: from the subject's own state before it, within the derived bounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "harness/case.h"

namespace plumbline::harness {

// What an operation between steps keeps of the state.
enum class Kept : uint8_t {
  bits,    // every byte, and the number of writes
  values,  // slots whose form changed, or that were written once more, hold the values of before as their storage
           // rounds them; the others every byte
  codes,   // codes and scales: the clock and the number of writes were set
};

class StepJudge {
 public:
  explicit StepJudge(const Problem& problem);  // throws InputError as run_case does
  ~StepJudge();
  StepJudge(StepJudge&&) noexcept;

  const std::vector<std::byte>& initial_parameter() const;  // in the problem's type
  void set_arithmetic(const Arithmetic& arithmetic);        // before the first step
  // For step `step`, from 1 on in the order of the data, as the subject gets it. `poisoned`: one element is NaN.
  std::span<const std::byte> gradient(int64_t step, bool poisoned = false);
  // Where the subject's observation goes before either of the next two is called.
  Observation& observed();
  void judge_step(int64_t step);
  // After an operation that came behind `step`; `now` is the problem from here on.
  void judge_kept(int64_t step, const Problem& now, Kept kept);  // codes: the clock is what `observed` says
  int64_t clock() const;                                         // t after what was judged last
  bool broken() const;
  void finish(CaseResult& out) const;  // quantities and verdict

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plumbline::harness
