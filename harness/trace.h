// Recorded runs: format optimizer-trace/1 or /2, in one safetensors file or in several with an index (FORMAT.md in
// harness/record). Arrays are param/<tensor>@t (t = 0 initial), grad/<tensor>@t, state/<tensor>/<slot>@t,
// projection/<tensor>@t.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/format.h"
#include "harness/record/run_header.h"
#include "harness/record/safetensors.h"
#include "reference/tensor.h"

namespace plumbline::harness {

class Trace {
 public:
  using TensorInfo = RunHeader::Tensor;
  // A file, or the index (*.index.json) of several.
  static Trace read(const std::filesystem::path& path);
  // Reads each file once per process, however many cases use it.
  static std::shared_ptr<const Trace> shared(const std::filesystem::path& path);
  explicit Trace(SafeTensors file);

  const std::string& file() const { return name_; }
  const RunHeader& header() const { return header_; }
  const std::string& peer() const { return header_.peer(); }          // dialect, "none" for gradients alone
  std::string options_json() const { return header_.options(0, 1); }  // the peer's own names; group 0, first step
  const std::string& release() const { return header_.release(); }    // of the peer's package; empty: not said
  const std::vector<std::string>& defects() const { return header_.defects(); }  // bugs that the run is said to have
  int64_t steps() const { return header_.steps(); }
  const std::vector<TensorInfo>& tensors() const { return header_.tensors(); }
  // Throws InputError listing the known ones, or saying what is wrong with this one.
  const TensorInfo& tensor(std::string_view name) const;

  bool has(std::string_view array) const { return arrays_.contains(array); }
  // Of a floating-point array; throws InputError when it is missing or has another type.
  DType dtype(std::string_view array) const;
  bool is_float(std::string_view array) const;
  const std::string& stored_type(std::string_view array) const;     // "U8", ...; throws InputError when it is missing
  const std::vector<int64_t>& shape(std::string_view array) const;  // as stored; throws InputError when missing
  // Values of an array in double; throws InputError when it is missing, empty or has another type than a float.
  reference::Tensor load(std::string_view array) const;
  // Values of an array of whole numbers, or the bit patterns of an array of 8-bit floats.
  std::vector<int64_t> load_codes(std::string_view array) const;
  reference::Tensor parameter(std::string_view tensor, int64_t step) const;
  reference::Tensor gradient(std::string_view tensor, int64_t step) const;
  bool has_gradient(std::string_view tensor, int64_t step) const;
  // Names of the state slots recorded for a tensor.
  std::vector<std::string> slots(std::string_view tensor) const;

 private:
  struct Place {
    const SafeTensors* file;
    const SafeTensors::Array* array;
  };
  Trace(std::string name, std::vector<std::shared_ptr<const SafeTensors>> files,
        const std::map<std::string, std::string>& metadata, std::map<std::string, Place, std::less<>> arrays);
  static Trace read_index(const std::filesystem::path& path);
  static std::map<std::string, Place, std::less<>> places_of(const SafeTensors& file);
  Trace(const std::shared_ptr<const SafeTensors>& file);
  const Place& place(std::string_view array) const;
  std::string shape_error(const TensorInfo& tensor) const;

  std::string name_;
  std::vector<std::shared_ptr<const SafeTensors>> files_;
  std::map<std::string, Place, std::less<>> arrays_;
  RunHeader header_;
  std::map<std::string, std::string, std::less<>> tensor_errors_;
};

// Files of `files` that an index beside them lists as its parts: they are no recordings of their own.
std::vector<std::filesystem::path> without_parts(const std::vector<std::filesystem::path>& files);

}  // namespace plumbline::harness
