#include "cuda/emulator/fiber.h"

#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace plumbline::emulator {
namespace {

namespace boost_context = boost::context::detail;

constexpr size_t kStackBytes = 64 * 1024;
constexpr unsigned char kCanary = 0xC5;
constexpr size_t kCanaryBytes = 64;

// What a switch tells the flow that it wakes; lies on the stack of the one that sleeps.
struct Passage {
  Context *from, *to;
};

// Now on passage->to.
Context& arrive(boost_context::transfer_t arrival) {
  const Passage& passage = *static_cast<const Passage*>(arrival.data);
  passage.from->handle = arrival.fctx;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(passage.to->fake_stack, &passage.from->stack, &passage.from->stack_bytes);
#endif
  return *passage.to;
}

void begin(boost_context::transfer_t arrival) {
  const Context& self = arrive(arrival);
  self.main(self.argument);
}

}  // namespace

void switch_context(Context& from, Context& to) {
  Passage passage{&from, &to};
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_bytes);
#endif
  arrive(boost_context::jump_fcontext(to.handle, &passage));
}

// Stacks differ in length: else every thread's frames would fall into the same few cache sets.
Fiber::Fiber(int index, void (*main)(void*), void* argument) {
  const size_t bytes = kStackBytes + size_t(index % 61) * 64;
  stack_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
  std::memset(stack_.get(), kCanary, kCanaryBytes);
  context_ = {
      boost_context::make_fcontext(stack_.get() + bytes, bytes, begin), stack_.get(), bytes, nullptr, main, argument};
}

bool Fiber::stack_intact() const {
  for (size_t i = 0; i < kCanaryBytes; ++i)
    if (stack_[i] != std::byte{kCanary}) return false;
  return true;
}

}  // namespace plumbline::emulator
