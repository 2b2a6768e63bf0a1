// State in a file: all that a run needs to go on with the same bits, and that other programs can read.
//
// The file is safetensors. Metadata: `format` = plumbline-optimizer/1; `groups`, a JSON list of every option by name,
// lr as it stood; `tensors`, a JSON list of name, shape, types, group, steps (t) and the form of each slot;
// `gradient_multiplier`, as it was set (a loss scale is the program's own); `notes`, the program's own, a JSON object.
// Arrays:
//   state/<tensor>/<slot>       F32, decoded, in the slot's shape (cuda/api/state.h): all that most readers want
//   raw/<tensor>/<slot>/codes   quantized slots, one row of codes a row: U8, U16 (al16), I8 (uf8), BF16 (bf16); uf4 U8,
//                               two a byte, the first in the high nibble. A float32 slot is in state/ alone
//   raw/<tensor>/<slot>/scales  F32 (rows, blocks a row, 1 or 2): scale, or lo and r
//   raw/<tensor>/<norm>         F64 (1): previous_norm, parameter_norm
//   program/<name>              the program's own: parameters, its place in the data
//   crc32                       U8 (4): CRC-32 of every byte of the file before it, little endian
// All little endian. What codes mean: cuda/core/codec.h, uniform.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/api/optimizer.h"

namespace plumbline {

// A file that cannot be written or taken; what() names the file, what is wrong and what was expected.
class CheckpointError : public std::runtime_error {
 public:
  enum class Kind : uint8_t {
    unreadable,        // no such file, or the system's error
    unwritable,        // the system's error; a file that was there before is as it was
    not_a_checkpoint,  // safetensors of something else, or none at all
    version,           // of a format that this library does not know
    truncated,         // shorter than its header says
    altered,           // other bytes than were written
    mismatch,          // a good checkpoint of other tensors, shapes or options than the optimizer's
  };
  CheckpointError(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

// One array of the program.
struct ProgramArray {
  std::string dtype = "F32";  // safetensors' names: F64, F32, BF16, F16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;  // little endian, row-major
  bool operator==(const ProgramArray&) const = default;
};

// What a program keeps beside the optimizer's state, in the same file, so that both are of the same step.
struct ProgramData {
  std::map<std::string, ProgramArray> arrays;
  std::map<std::string, std::string> notes;  // UTF-8
  bool operator==(const ProgramData&) const = default;
};

// Writes a checkpoint: to a temporary file beside `path`, which replaces it once all is on the disk, so that `path` is
// at every moment a whole checkpoint or what it was before. Waits for the stream. Without `decoded`, state/ has float32
// slots alone: a quarter of the size or less, for bits only. Throws CheckpointError (unwritable), and OptionError for
// tensors without a name or of the same, arrays whose bytes are not what shape and type say, and text that is not
// UTF-8.
void save_checkpoint(const Optimizer& optimizer, const std::filesystem::path& path, const ProgramData& program = {},
                     Stream stream = nullptr, bool decoded = true);

enum class Restore : uint8_t {
  // Every byte: the run goes on with the bits of one that was never interrupted. The optimizer has to have the tensors
  // of the file in its order and all options of the file but lr, which is set to the file's; any backend.
  bits,
  // Decoded values, encoded as the optimizer's options say: with other options, another storage, or tensors in another
  // order. They are found by name; the file may have more. Sets t and the limiter's norm; lr and multiplier stay.
  values,
};

// Reads a checkpoint into an optimizer and returns what the program gave. Checks the whole file first: where it throws
// CheckpointError, nothing has changed. Needs host memory for the state while it runs; waits for the stream.
ProgramData load_checkpoint(Optimizer& optimizer, const std::filesystem::path& path, Restore restore = Restore::bits,
                            Stream stream = nullptr);

}  // namespace plumbline
