// A stranger's optimizer as a subject: workers that run its library or class, what it says of itself, and what it did
// with one problem.
#pragma once
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "harness/live/capabilities.h"
#include "harness/live/data.h"
#include "harness/live/fault.h"
#include "harness/live/process.h"
#include "harness/subject.h"

namespace plumbline::harness::live {

// An array of state as the subject shows it.
struct LiveState {
  std::string name;  // the dialect's
  DType type{};
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

// What a subject did with one problem.
struct LiveRun {
  std::string cannot;  // why it does not take the problem; then nothing else is here
  LiveInput start;
  struct Step {
    LiveInput gradient;
    std::vector<std::byte> parameter;  // after the step
    std::vector<LiveState> state;
    bool skipped = false;  // the subject says that it left the tensor as it was
  };
  std::vector<Step> steps;
  uint64_t bits = 0;   // checksum of all that it left behind
  double seconds = 0;  // that the subject took, the way there and back included
};

struct LiveOptions {
  WorkerOptions worker;
  std::string dialect;  // where describe() does not say; empty: it has to
};

class LiveSubject final : public Subject {
 public:
  // Starts a worker and asks what the subject is. Throws InputError for what is no subject.
  LiveSubject(std::string name, const LiveOptions& options);
  std::string name() const override { return name_; }
  std::string cannot_run(const Problem&) const override { return "a live subject takes live problems"; }
  std::unique_ptr<Session> start(const Problem&, std::span<const std::byte>) const override;

  const Capabilities& capabilities() const { return capabilities_; }
  // All steps of a problem, in a worker that is free or a new one. A fault is put between subject and judge. With
  // `reload` the subject is saved and loaded before every step from the second on. Throws WorkerFault for
  // whatever the subject does wrong before its numbers are looked at.
  LiveRun run(const LiveProblem& problem, const LiveFault& fault = {}, bool reload = false) const;
  // Whether the subject takes the problem: starts a session and ends it. Empty, or why not.
  std::string ask(const LiveProblem& problem) const;
  // Names of state that it showed and the dialect does not have.
  std::vector<std::string> unjudged_state() const;

 private:
  class Lease;
  std::unique_ptr<WorkerProcess> acquire() const;
  Message begin(WorkerProcess& worker, const LiveProblem& problem, const LiveFault& fault) const;
  void take_state(WorkerProcess& worker, const Message& answer, const LiveProblem& problem, LiveRun::Step& step) const;

  std::string name_;
  LiveOptions options_;
  Capabilities capabilities_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<WorkerProcess>> free_;
  mutable std::set<std::string> unjudged_;
};

}  // namespace plumbline::harness::live
