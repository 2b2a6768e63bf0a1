#include "harness/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace plumbline::harness {
namespace {

std::atomic<int> noted = 0;
static_assert(std::atomic<int>::is_always_lock_free);  // a signal may write it

extern "C" void note_interrupt(int signal) {
  noted = signal;
  constexpr char kSaid[] = "\nplumbline: stopping; what has ended is reported (once more: stop at once)\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kSaid, sizeof kSaid - 1);
}

struct sigaction previous_interrupt, previous_termination;

}  // namespace

InterruptWatch::InterruptWatch() {
  noted = 0;
  struct sigaction action = {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESTART | int(SA_RESETHAND);  // the second signal has its usual effect
  sigaction(SIGINT, &action, &previous_interrupt);
  sigaction(SIGTERM, &action, &previous_termination);
  // What was ignored stays ignored: a job in the background of a shell without job control.
  if (previous_interrupt.sa_handler == SIG_IGN) sigaction(SIGINT, &previous_interrupt, nullptr);
}

InterruptWatch::~InterruptWatch() {
  sigaction(SIGINT, &previous_interrupt, nullptr);
  sigaction(SIGTERM, &previous_termination, nullptr);
}

int interrupt_signal() { return noted; }

std::string interrupt_reason() {
  switch (noted) {
    case 0:
      return {};
    case SIGINT:
      return "stopped by Ctrl-C";
    default:
      return "stopped by SIGTERM";
  }
}

}  // namespace plumbline::harness
