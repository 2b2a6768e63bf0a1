// A life of an optimizer as a value: several tensors in groups whose options differ, and what is done to them, command
// after command. It prints itself as one line and parses that line back to an equal value:
//
//   life seed=7 / group lr=0.02 storage=al16 / group beta1=0.9 weight_decay=0.1 / tensor shape=8x9 grad=bf16
//   data=wide:-3
//        / tensor group=1 shape=5 / step 2 / lr group=1 0.03 / scale 1024 / step / scale off / resume / step
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/problem.h"

namespace plumbline::harness {

enum class Act : uint8_t {
  step,        // `count` steps of every tensor
  nonfinite,   // a step in which one tensor's gradient holds a NaN
  lr,          // of a group
  multiplier,  // of every gradient from now on
  scale,       // of the loss, read at every step: every gradient is multiplied by fl(1/value)
  unscale,     // no such scale any more: back to the multiplier
  precision,   // of a group: how its state is kept
  decoded,     // every tensor's state out and in again as values
  raw,         // the same as bytes
  resume,      // a checkpoint to the disk, and on in a new optimizer on another number of threads or another schedule
  stream,      // on another stream from now on (a GPU's)
  graph,       // steps are captured once and replayed from now on (a GPU's)
  clock,       // every tensor's t, and the number of writes of its slots with it, at `count`
};
inline constexpr int kActs = 13;
const char* to_string(Act act);

struct LifeCommand {
  Act act = Act::step;
  int64_t count = 1;  // step, clock
  int group = 0;      // lr, precision; of nonfinite: the tensor
  double value = 0;   // lr; multiplier, scale: a float32
  Problem precision;  // precision: storage, block and rounding of both kinds of slot, min_quantized_size
  bool operator==(const LifeCommand&) const = default;
};

struct LifeTensor {
  int group = 0;
  std::vector<int64_t> shape = {8, 8};
  DType parameter = DType::float32, gradient = DType::float32;
  Data data;
  bool operator==(const LifeTensor&) const = default;
};

struct Life {
  std::vector<Problem> groups;  // options and storage alone: shape, types, data, steps and seed are the tensors'
  std::vector<LifeTensor> tensors;
  std::vector<LifeCommand> commands;
  uint64_t seed = 1;  // of the data; its lower 32 bits seed the subject's random roundings

  bool operator==(const Life&) const = default;
  int64_t steps() const;     // in all commands
  int64_t elements() const;  // of all tensors
  // Tensor i, as its group's options stand at the start. Its data has a seed of its own.
  Problem problem(int i) const;
};

std::string to_string(const Life& life);
Life parse_life(std::string_view line);  // throws InputError, as parse_problem does
void validate(const Life& life);         // likewise, for what cannot be

// What of a problem `precision` changes.
void keep_as(const Problem& precision, Problem& of);

}  // namespace plumbline::harness
