// Problems for a live subject: every pair of values of options, types, shapes, data and steps that the dialect and the
// subject take, and draws at random beyond these.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "harness/live/levels.h"
#include "harness/live/subject.h"

namespace plumbline::harness::live {

struct Factor {
  std::string name;
  std::vector<std::string> values;
};

class LivePlan {
 public:
  // Asks the subject which types, shapes and values of options it takes. Throws InputError, with its reasons, where it
  // takes nothing.
  LivePlan(const LiveSubject& subject, size_t cases, uint64_t seed);

  const std::vector<LiveProblem>& problems() const { return problems_; }
  const std::vector<LeftOut>& left_out() const { return left_out_; }
  const std::vector<Factor>& factors() const { return factors_; }
  const std::vector<OptionLevels>& options() const { return options_; }
  // The value of each factor in a problem, by index.
  const std::vector<int>& row(size_t problem) const { return rows_[problem]; }
  int64_t possible_pairs() const { return possible_; }
  // How many of the possible pairs the problems of these indices hold.
  int64_t pairs_in(const std::vector<size_t>& problems) const;

 private:
  class Draw;
  void ask(const LiveSubject& subject);
  void design(size_t cases, uint64_t seed);
  bool make(const std::vector<int>& row, uint64_t seed, LiveProblem& out) const;
  size_t place(size_t f, int a, size_t g, int b) const;
  template <class F>
  void for_each_pair(const std::vector<int>& row, F f) const;

  std::string dialect_;
  int64_t largest_;
  bool shows_projection_;
  const Capabilities& capabilities_;
  std::vector<OptionLevels> options_;
  std::vector<Factor> factors_;  // types, shape, data, exponent, parameter_exponent, steps, beside, then the options
  std::vector<int> starts_;      // of the factors' values in the table of pairs
  int values_ = 0;
  std::vector<LeftOut> left_out_;
  std::vector<LiveProblem> problems_;
  std::vector<std::vector<int>> rows_;
  enum PairState : uint8_t { kExcluded, kOpen, kPending, kCovered };
  std::vector<uint8_t> pairs_;
  int64_t possible_ = 0;
};

}  // namespace plumbline::harness::live
