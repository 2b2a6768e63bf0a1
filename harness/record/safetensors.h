// safetensors files: eight bytes that say how long the header is, a header in JSON, the bytes of the arrays without
// gaps.                                                              [github.com/huggingface/safetensors, "Format"]
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline::harness {

// A file, read whole. Every offset, shape and length is checked against the file before use: arrays lie one behind the
// other, none over another, nothing behind the last. An array of a type that is not known is kept: nobody need read it.
class SafeTensors {
 public:
  struct Array {
    std::string dtype;  // "F64", "F32", "BF16", "F16", "U8", "I8", "I32", ...
    std::vector<int64_t> shape;
    size_t begin = 0, end = 0;  // within the data section
    int64_t elements() const;
  };
  // Throws InputError naming the file, what is wrong and what was expected; another known format by its name.
  static SafeTensors read(const std::filesystem::path& path);
  // The same for bytes in memory; `name` stands for the path in messages.
  static SafeTensors parse(std::vector<std::byte> bytes, const std::string& name);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::map<std::string, Array>& arrays() const { return arrays_; }
  const Array* find(std::string_view name) const;
  const std::byte* data(const Array& array) const { return bytes_.data() + data_begin_ + array.begin; }
  const std::string& name() const { return name_; }

 private:
  void check_layout(size_t data_size) const;

  std::string name_;
  std::vector<std::byte> bytes_;
  size_t data_begin_ = 0;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Array> arrays_;
};

// A file's bytes. Throws InputError where it cannot be read.
std::vector<std::byte> read_bytes(const std::filesystem::path& path);
// What the bytes are that are no safetensors file: "a PyTorch checkpoint", ...; empty where they are nothing known.
std::string known_format(const std::vector<std::byte>& bytes);

}  // namespace plumbline::harness
