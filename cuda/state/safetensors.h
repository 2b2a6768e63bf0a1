// Safetensors files: 8 bytes of header length, a JSON header, the arrays without gaps. Written through a temporary file
// and with a checksum at the end; read array by array, after every length in it was checked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline {

// Bytes of an element of a safetensors type; 0 for an unknown name.
size_t dtype_bytes(std::string_view dtype);

struct ArrayEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;

  uint64_t bytes() const;
};

// One array to write: its bytes are asked for when their turn comes, so that one array is in memory at a time.
struct ArraySource {
  ArrayEntry entry;
  std::function<std::vector<std::byte>()> read;
};

// Writes the arrays, wide elements first, then `crc32`; replaces `path` when all of it is on the disk. Throws
// CheckpointError::unwritable, and whatever a source throws; then `path` is as it was.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata,
                       std::vector<ArraySource> arrays);

// An open file whose header is consistent and whose checksum is right.
class SafetensorsFile {
 public:
  // Throws CheckpointError: unreadable, not_a_checkpoint, truncated, altered; version where metadata `format` is not
  // `format` but starts with the same name. `format` is "name/number".
  SafetensorsFile(std::filesystem::path path, std::string_view format);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }
  std::vector<const ArrayEntry*> entries() const;
  // Throws CheckpointError::altered where there is no such array.
  std::vector<std::byte> read(const std::string& name) const;
  // The same for an array of this type and these many elements.
  std::vector<std::byte> read(const std::string& name, std::string_view dtype, int64_t elements) const;
  bool contains(const std::string& name) const { return arrays_.contains(name); }

 private:
  struct Placed {
    ArrayEntry entry;
    uint64_t begin;  // in the data
  };
  void parse(std::string_view header, uint64_t file_size, std::string_view format);
  void check_checksum(uint64_t file_size) const;
  void read_at(uint64_t offset, std::span<std::byte> to) const;

  std::filesystem::path path_;
  int file_ = -1;
  uint64_t data_ = 0;  // where the arrays start
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Placed> arrays_;
};

}  // namespace plumbline
