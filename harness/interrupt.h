// Ctrl-C and SIGTERM as a request to stop: what runs ends what it has begun and reports it.
#pragma once
#include <string>

namespace plumbline::harness {

// While one of these lives, the first SIGINT or SIGTERM is noted and said on standard error; a second one ends the
// program at once.
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;
};

// The signal that was noted since the watch began; 0: none. From any thread.
int interrupt_signal();

// "stopped by Ctrl-C", "stopped by SIGTERM"; empty: nothing was noted.
std::string interrupt_reason();

}  // namespace plumbline::harness
