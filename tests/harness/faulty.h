// Subjects that do something wrong: the host twin, asked for another problem than the case's, or with what it shows
// corrupted.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "harness/subject.h"

namespace plumbline::harness {

class FaultySubject final : public Subject {
 public:
  // Changes what step `step` (1, 2, ...) left, given what it left after the step before (empty before the first).
  using Corrupt = std::function<void(int64_t step, Observation& now, const Observation& before)>;
  using Alter = std::function<void(Problem&)>;

  explicit FaultySubject(Corrupt corrupt, Alter alter = {}) : corrupt_(std::move(corrupt)), alter_(std::move(alter)) {}

  std::string name() const override { return "faulty"; }
  std::string cannot_run(const Problem&) const override { return {}; }
  std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter) const override {
    Problem altered = problem;
    if (alter_) alter_(altered);
    return std::make_unique<FaultySession>(host_->start(altered, parameter), corrupt_);
  }

 private:
  class FaultySession final : public Session {
   public:
    FaultySession(std::unique_ptr<Session> inner, const Corrupt& corrupt)
        : inner_(std::move(inner)), corrupt_(corrupt) {}
    void step(std::span<const std::byte> gradient, Observation& out) override {
      inner_->step(gradient, out);
      if (corrupt_) corrupt_(++step_, out, before_);
      before_ = out;
    }
    Arithmetic arithmetic() const override { return inner_->arithmetic(); }

   private:
    std::unique_ptr<Session> inner_;
    const Corrupt& corrupt_;
    Observation before_;
    int64_t step_ = 0;
  };

  std::unique_ptr<Subject> host_ = make_subject("host");
  Corrupt corrupt_;
  Alter alter_;
};

}  // namespace plumbline::harness
