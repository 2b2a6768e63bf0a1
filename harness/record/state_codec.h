// How a peer keeps a slot of state in codes: one description for every codec, which a recording can carry itself
// (FORMAT.md). A block of values has one extent s and, logarithmic, one lowest exponent lo; with y = code/steps:
//   linear       sign(y) (|y| s)^power, with softsign y/(2 - |y|) in the place of y
//   table        table[code] s
//   logarithmic  2^((code - low) s/steps + lo); with zero_code, code 0 stands for 0 alone
// s = max |value|^(1/power), at least `smallest`; of logarithms the highest minus lo, 1 where all are equal. Stored
// divided by `divisor`. A code is the nearest in the codec's own scale: linear, of the y of a value; logarithmic, of
// its log2; in a table the value lies nearer to no other level.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/contracts/bounded.h"

namespace plumbline::harness {

// What one block's codes are read with.
struct BlockScale {
  double extent = 1;  // s, the divisor multiplied back
  double lowest = 0;  // lo
};

// A peer's arithmetic as far as codes need it.
struct CodecArithmetic {
  double unit = 0x1p-24;
  double log2_ulps = 1, exp2_ulps = 2, division_ulps = 0.5;
};

struct StateCodec {
  enum class Levels : uint8_t { linear, table, logarithmic };
  std::string name = "own";
  Levels levels = Levels::linear;
  int bits = 8;            // of a code: 4, 8 or 16; two of 4 share a byte
  bool high_first = true;  // the first of them in the high half
  int64_t zero = 0;        // subtracted from what is stored
  int64_t low = 0, high = 255;
  double steps = 255;
  double power = 1;
  bool softsign = false;
  bool zero_code = false;
  std::optional<double> lowest{};  // lo of every block; none: an array holds it
  double divisor = 1;
  double shrunk = 1;  // the extent is stored this many times too small, and read so: a bug of the peer
  double smallest = 1e-12;
  std::vector<double> table;   // levels, ascending, none twice
  std::vector<int32_t> ranks;  // of a code's level in the table; -1: the code is no number
  bool keeps_sign = false;     // a value may take the next code that has its sign
  bool stochastic = false;     // either code around the value, not the nearest
  int64_t block = 0;           // values of a block; 0: as many as there are codes for a scale

  bool needs_lowest() const { return levels == Levels::logarithmic && !lowest; }
  void set_table(std::span<const double> by_code);  // levels that are no number are left out

  // What a code stands for, and how far float arithmetic may be from it; NaN for a code outside low..high.
  Bounded decode(int64_t code, const BlockScale& scale, const CodecArithmetic& arithmetic) const;
  // Where among the codes a value lies: whole at what a code stands for, in a table the rank of its level. Monotone,
  // not clamped to low..high.
  double position(double value, const BlockScale& scale) const;
  // How far a peer's arithmetic may move that.
  double position_error(double value, const BlockScale& scale, const CodecArithmetic& arithmetic) const;
  // The position at which a code stands: itself, or its rank in the table; none for a code that is no number.
  std::optional<double> place_of(int64_t code) const;
  double first_place() const { return levels == Levels::table ? 0 : double(low); }
  double last_place() const { return levels == Levels::table ? double(table.size()) - 1 : double(high); }
  // The codes that these stored numbers hold.
  std::vector<int64_t> unpack(std::span<const int64_t> stored) const;
};

// Throws InputError listing the known ones.
StateCodec built_in_codec(std::string_view name);
std::vector<std::string> built_in_codecs();

// Where a slot's codes are: names of arrays after "state/<tensor>/".
struct CodedSlot {
  std::string slot;  // the peer's name, as its dialect knows it
  std::string codes, scales;
  std::string lowest;  // empty: the codec needs none
  std::string table;   // an array that holds the levels; empty: the codec has them
  StateCodec codec;
};
// The header's word "codecs", a JSON object. Throws InputError "<where>: ..." for what is unknown or wrong.
std::vector<CodedSlot> parse_coded_slots(const std::string& where, const std::string& json);

}  // namespace plumbline::harness
