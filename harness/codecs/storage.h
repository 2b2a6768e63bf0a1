// Every way of storing optimizer state that the study compares, production's and rivals, behind one interface: a block
// of values goes in, what would be read back comes out, beside an interval that must contain it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "reference/codecs/rounding.h"

namespace plumbline::harness::codecs {

// What state is stored: averages of squares are non-negative, averages of gradients have signs.
enum class StateKind : uint8_t { second_moment, momentum };
const char* to_string(StateKind kind);

// Where a block stands, for its random numbers.
struct BlockPlace {
  reference::RoundingStream stream;
  int64_t block = 0;
  int64_t column = 0;  // of the block's first value
};

// One block at a time. Block scales are rounded to float32, as they are stored.
class BlockCodec {
 public:
  virtual ~BlockCodec() = default;
  // Fixes the scale (and, for dither, the offset) of the block.
  virtual void begin(std::span<const double> values, const BlockPlace& place) = 0;
  // What a value of the block is read back as; i is its index in the block.
  virtual double stored(double value, int64_t i) const = 0;
  // Contains stored(value, i), whatever the draw.
  virtual reference::Interval reach(double value) const = 0;
  // Distance of the codes around a value, which is also the width of the values that nearest rounding gives one code.
  virtual reference::Interval cell(double value) const = 0;
};

// One step of the codes around zero, of a block that has begun.
double step_at_zero(const BlockCodec& codec, reference::Rounding rounding);

struct Storage {
  std::string name;   // "al8", "al8 stochastic"
  std::string codec;  // without the rounding
  StateKind kind = StateKind::second_moment;
  reference::Rounding rounding = reference::Rounding::nearest;
  bool rival = false;    // no storage of production
  int code_bits = 8;     // a value
  int scale_words = 0;   // float32 a block
  int64_t block = 2048;  // by default
  std::shared_ptr<const BlockCodec> prototype;
  std::unique_ptr<BlockCodec> (*clone)(const BlockCodec&) = nullptr;

  std::unique_ptr<BlockCodec> make() const { return clone(*prototype); }
  double bits_per_value(int64_t block_size) const { return code_bits + 32.0 * scale_words / double(block_size); }
};

// All of them, production's first.
const std::vector<Storage>& storages();
// By kind, production's first.
std::vector<Storage> storages(StateKind kind);

// A whole tensor in blocks: decoded values and, where asked for, the interval of each.
struct StoredValues {
  std::vector<double> decoded;
  std::vector<reference::Interval> reach;
};
StoredValues store_in_blocks(const Storage& storage, std::span<const double> values, int64_t block,
                             const reference::RoundingStream& stream);

}  // namespace plumbline::harness::codecs
