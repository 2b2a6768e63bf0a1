// What driver and worker say to each other: fixed messages over a socket of packets, texts and tensors in shared
// memory. Both ends are on one machine; numbers are in its byte order. harness/python/plumbline/worker.py speaks the
// same.
#pragma once
#include <cstdint>

namespace plumbline::harness::live {

inline constexpr uint32_t kProtocol = 0x31424c50;    // "PLB1"
inline constexpr int64_t kTextCapacity = 256 << 10;  // texts begin at offset 0 of the memory, tensors behind them

enum class Kind : uint32_t {
  hello = 1,  // worker, first: status, and what describe() says or why the subject cannot be loaded
  start,      // text: {"dialect", "steps", "seed", "alignment", "tensors": [{"name", "shape", "parameter", "gradient",
              // "group", "parameter_at", "gradient_at"}], "groups": [{option: value}]}; offsets are into the memory
  step,       // t, state_at; text: nothing, or {"absent": [tensors without a gradient in this step]}. Gradients are in
              // place. The reply leaves parameters in place and state from state_at on
  state,      // once more the state of the last step, in memory that has grown
  reload,     // what save() gives, through load() into a new session
  finish,     // ends the session
  reply,      // worker: status, and the text that belongs to it
};

enum Status : int64_t {
  kOk = 0,      // text of a step: [{"name", "type", "shape", "at", "tensor"}] of the state
  kCannot = 1,  // text: why not
  kFailed = 2,  // text: what failed; the worker can go on
  kBroken = 3,  // text: what was found; the worker's memory is not to be trusted any more
};

struct Message {
  uint32_t protocol = kProtocol;
  Kind kind{};
  int64_t status = 0;
  int64_t text = 0;      // bytes of the text
  int64_t t = 0;         // 1, 2, ...
  int64_t state_at = 0;  // offset of the state
  int64_t memory = 0;    // bytes of the shared memory; of a reply: bytes that the state needs, nothing written if more
  int64_t skipped = 0;   // of a reply: bit i: tensor i was left as it was
  int64_t reserved = 0;
};
static_assert(sizeof(Message) == 64);

}  // namespace plumbline::harness::live
