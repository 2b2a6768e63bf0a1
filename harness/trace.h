// Recorded runs: safetensors files with format = optimizer-trace/1. Arrays are param/<tensor>@t (t = 0 initial),
// grad/<tensor>@t, state/<tensor>/<slot>@t, projection/<tensor>@t.
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
#include "reference/tensor.h"

namespace plumbline::harness {

// A safetensors file, read whole; every offset, shape and length is checked against the file before use.
class SafeTensors {
 public:
  struct Array {
    std::string dtype;  // "F64", "F32", "BF16", "F16", "U8", "I8", "I32", ...
    std::vector<int64_t> shape;
    size_t begin = 0, end = 0;  // within the data section
    int64_t elements() const;
  };
  // Throws InputError naming the file, what is wrong and what was expected.
  static SafeTensors read(const std::filesystem::path& path);
  // The same for bytes in memory; `name` stands for the path in messages.
  static SafeTensors parse(std::vector<std::byte> bytes, const std::string& name);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::map<std::string, Array>& arrays() const { return arrays_; }
  const Array* find(std::string_view name) const;
  const std::byte* data(const Array& array) const { return bytes_.data() + data_begin_ + array.begin; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::vector<std::byte> bytes_;
  size_t data_begin_ = 0;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Array> arrays_;
};

// One recorded run.
class Trace {
 public:
  struct TensorInfo {
    std::string name;
    std::vector<int64_t> shape;
    std::string regime;
  };
  static Trace read(const std::filesystem::path& path);
  // Reads each file once per process, however many cases use it.
  static std::shared_ptr<const Trace> shared(const std::filesystem::path& path);
  explicit Trace(SafeTensors file);

  const std::string& file() const { return file_.name(); }
  const std::string& peer() const { return peer_; }             // dialect, "none" for gradients alone
  const std::string& options_json() const { return options_; }  // the peer's own names
  const std::string& release() const { return release_; }       // version of the peer's package; empty: not said
  const std::vector<std::string>& defects() const { return defects_; }  // bugs that the run is said to have
  int64_t steps() const { return steps_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo& tensor(std::string_view name) const;  // throws InputError listing the known ones

  bool has(std::string_view array) const { return file_.find(array) != nullptr; }
  DType dtype(std::string_view array) const;
  // Values of an array in double; throws InputError when it is missing or has another type than a float.
  reference::Tensor load(std::string_view array) const;
  reference::Tensor parameter(std::string_view tensor, int64_t step) const;
  reference::Tensor gradient(std::string_view tensor, int64_t step) const;
  // Names of the state slots recorded for a tensor.
  std::vector<std::string> slots(std::string_view tensor) const;

 private:
  SafeTensors file_;
  std::string peer_, options_, release_;
  std::vector<std::string> defects_;
  int64_t steps_ = 0;
  std::vector<TensorInfo> tensors_;
};

}  // namespace plumbline::harness
