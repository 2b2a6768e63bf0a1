// The example library, but for what $PLUMBLINE_MISBEHAVE names, in the second step of tensors of three elements.
#define plumbline_subject sound_subject
#include "harness/subjects/examples/adafactor.cpp"
#undef plumbline_subject

#include <unistd.h>

#include <stdexcept>

namespace {

std::string wanted() {
  const char* name = std::getenv("PLUMBLINE_MISBEHAVE");
  return name ? name : "";
}

float* last_parameter = nullptr;

plumbline_status misbehave(void* session, const plumbline_step* s) {
  const plumbline_status status = step(session, s);
  const std::string name = wanted();
  auto* p = static_cast<float*>(s->parameters->data);
  float* const previous = last_parameter;
  last_parameter = p;
  if (s->t != 2 || s->parameters->bytes != 12) return status;
  if (name == "crash") *static_cast<volatile int*>(nullptr) = 1;
  if (name == "abort") std::abort();
  if (name == "hang")
    for (;;) ::sleep(1);
  if (name == "exit") std::exit(0);
  if (name == "before") p[-1] = 1;
  if (name == "earlier") previous[0] = 1;
  if (name == "gradient") static_cast<float*>(s->gradients->data)[1] = 1;
  if (name == "talk")
    for (;;) std::fprintf(stderr, "still here\n");
  if (name == "print") std::printf("step %d\n", int(s->t));
  if (name == "throw") throw std::runtime_error("no luck");
  if (name == "fail") return say(s->why, PLUMBLINE_FAILED, "out of luck");
  if (name == "status") return 7;
  if (name == "flaky") {
    static int calls = 0;
    p[0] += 0.01f * float(++calls);
  }
  return status;
}

plumbline_status misshow(void* session, void* stream, const plumbline_array** arrays, uint64_t* count,
                         plumbline_message* why) {
  const plumbline_status status = state(session, stream, arrays, count, why);
  static const int64_t two = 2;
  auto* first = const_cast<plumbline_array*>(*arrays);
  if (wanted() == "size") first->shape = &two;
  if (wanted() == "bytes") first->bytes = 4;
  if (wanted() == "type") first->type = 99;
  if (wanted() == "count") *count = 1u << 30;
  return status;
}

const char* misdescribe() {
  const std::string name = wanted();
  if (name == "no json") return "torch, please";
  if (name == "contradiction") return R"({"dialect": "torch", "rank": [3, 1]})";
  if (name == "unknown dialect") return R"({"dialect": "sgd"})";
  if (name == "unknown option") return R"({"dialect": "torch", "options": {"momentum": {}}})";
  if (name == "unknown member") return R"({"dialect": "torch", "types": ["f32"]})";
  if (name == "print at start") std::printf("hello\n");
  if (name == "empty") return "{}";
  return R"({"dialect": "torch"})";
}

}  // namespace

extern "C" const plumbline_subject_v1* plumbline_subject(void) {
  static plumbline_subject_v1 table = *sound_subject();
  table.describe = misdescribe;
  table.step = misbehave;
  table.state = misshow;
  if (wanted() == "abi") table.abi = 2;
  if (wanted() == "short") table.size = 16;
  if (wanted() == "oldest") table.size = offsetof(plumbline_subject_v1, state);
  if (wanted() == "null") return nullptr;
  return &table;
}
