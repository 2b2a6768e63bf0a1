// Flows of control with stacks of their own that switch directly from one to another.
#pragma once
#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <memory>

namespace plumbline::emulator {

// Where a flow of control stands while another runs. AddressSanitizer is told of every switch, so the distribution's
// Boost, built without ucontext, works under it.
struct Context {
  boost::context::detail::fcontext_t handle = nullptr;
  const void* stack = nullptr;  // lowest address; of the host it is known once something has switched away from it
  size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // sanitizer's handle
  void (*main)(void*) = nullptr;
  void* argument = nullptr;
};

// Goes on at `to`; returns when something switches back to `from`.
void switch_context(Context& from, Context& to);

// A stack on which main(argument) runs, begun by the first switch to it. main must not return and must not throw. The
// destructor frees the stack as it stands, unwinding nothing: what runs there owns nothing.
class Fiber {
 public:
  // index: of all fibers that run together; it staggers the stacks
  Fiber(int index, void (*main)(void*), void* argument);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  Context& context() { return context_; }
  bool stack_intact() const;  // nothing was written at its very end

 private:
  std::unique_ptr<std::byte[]> stack_;
  Context context_;
};

}  // namespace plumbline::emulator
