// A worker: a process that runs a stranger's code. It may crash, hang, write where it should not or never stop talking:
// each is a WorkerFault, and the driver lives.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "harness/live/protocol.h"

namespace plumbline::harness::live {

// "./libmine.so" (a path with a slash, or a name that ends in .so), or "python:package.module:Class".
bool names_live_subject(std::string_view name);

struct WorkerOptions {
  double step_seconds = 20;    // for one answer
  double start_seconds = 120;  // until the subject is loaded: an import of a framework, a compiler
};

// The worker is gone, or was ended: a new one has to take its place.
class WorkerFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class WorkerProcess {
 public:
  // Starts the worker and waits until the subject is loaded. Throws InputError, in one line, for a subject that cannot
  // be.
  WorkerProcess(const std::string& subject, const WorkerOptions& options);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  const std::string& description() const { return description_; }  // what describe() said
  // Shared memory of at least so many bytes behind the text; never shrinks, but may move.
  std::span<std::byte> memory(size_t bytes);
  std::span<std::byte> memory() { return {memory_, size_}; }
  // Sends a message with its text and waits for the answer; `doing` names it in what is thrown: "in step 2".
  Message ask(Message message, std::string_view text, std::string_view doing);
  std::string text(const Message& answer) const;

 private:
  void spawn(const std::string& subject);
  Message receive(double seconds, std::string_view doing);
  void drain();
  [[noreturn]] void fault(const std::string& what);
  std::string ended(std::string_view doing);
  void end();

  WorkerOptions options_;
  std::string description_;
  pid_t pid_ = -1;
  int socket_ = -1, file_ = -1, out_ = -1, err_ = -1;
  std::byte* memory_ = nullptr;
  size_t size_ = 0;
  size_t written_ = 0;          // bytes of output since the last message
  std::string said_, printed_;  // the end of standard error, the begin of standard output
};

}  // namespace plumbline::harness::live
