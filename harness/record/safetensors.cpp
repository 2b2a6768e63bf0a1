#include "harness/record/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/error.h"
#include "harness/record/strict_json.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;

constexpr uint64_t kLongestHeader = 100'000'000;  // the format's own limit

struct ElementType {
  const char* name;
  size_t bytes;
};
constexpr std::array<ElementType, 16> kElementTypes = {{{"F64", 8},
                                                        {"F32", 4},
                                                        {"BF16", 2},
                                                        {"F16", 2},
                                                        {"F8_E4M3", 1},
                                                        {"F8_E5M2", 1},
                                                        {"I64", 8},
                                                        {"I32", 4},
                                                        {"I16", 2},
                                                        {"I8", 1},
                                                        {"U64", 8},
                                                        {"U32", 4},
                                                        {"U16", 2},
                                                        {"U8", 1},
                                                        {"BOOL", 1},
                                                        {"C64", 8}}};

// 0: a type that is not known here.
size_t element_bytes(const std::string& dtype) {
  for (const ElementType& type : kElementTypes)
    if (dtype == type.name) return type.bytes;
  return 0;
}

SafeTensors::Array parse_array(const std::string& file, const std::string& name, const json& entry, size_t data_size) {
  auto fail = [&](const std::string& what) -> InputError {
    return InputError(fmt::format("{}: array {}: {}", file, name, what));
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets") ||
      !entry["dtype"].is_string() || !entry["shape"].is_array() || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2)
    throw fail("expected dtype, shape and two data_offsets");
  SafeTensors::Array array;
  array.dtype = entry["dtype"].get<std::string>();
  const size_t known = element_bytes(array.dtype), width = std::max<size_t>(known, 1);
  size_t bytes = width;
  for (const json& extent : entry["shape"]) {
    if (!extent.is_number_unsigned()) throw fail("expected a shape of non-negative integers");
    const auto e = extent.get<uint64_t>();
    const size_t room = known ? data_size : 8 * data_size;  // a type of less than a byte may have more elements
    if (e > room + 1 || (e != 0 && bytes > (room + width) / e)) throw fail("shape is larger than the file");
    bytes *= e;
    array.shape.push_back(static_cast<int64_t>(e));
  }
  for (const json& offset : entry["data_offsets"])
    if (!offset.is_number_unsigned()) throw fail("expected non-negative data_offsets");
  array.begin = entry["data_offsets"][0].get<uint64_t>();
  array.end = entry["data_offsets"][1].get<uint64_t>();
  if (array.begin > array.end || array.end > data_size)
    throw fail(
        fmt::format("data_offsets [{}, {}) leave the data section of {} bytes", array.begin, array.end, data_size));
  if (known && array.end - array.begin != bytes)
    throw fail(fmt::format("{} bytes stored, shape and type say {}", array.end - array.begin, bytes));
  return array;
}

}  // namespace

int64_t SafeTensors::Array::elements() const {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::error_code ignored;
  if (!in || std::filesystem::is_directory(path, ignored))
    throw InputError(fmt::format("{}: cannot be read", path.string()));
  const std::streamoff size = in.tellg();
  if (size < 0) throw InputError(fmt::format("{}: cannot be read", path.string()));
  std::vector<std::byte> bytes(static_cast<size_t>(size));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  if (!in) throw InputError(fmt::format("{}: cannot be read", path.string()));
  return bytes;
}

std::string known_format(const std::vector<std::byte>& bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 4096));
  // The length of a header has zeros here.
  if (text.size() < 8 || text.substr(4, 4) == std::string_view("\0\0\0\0", 4)) return {};
  const auto holds = [&](std::string_view part) { return text.find(part) != text.npos; };
  if (text.starts_with("PK\x03\x04"))
    return holds(".npy")       ? "a NumPy archive (.npz)"
           : holds("data.pkl") ? "a PyTorch checkpoint (.pt)"
                               : "a zip archive (a PyTorch checkpoint or a NumPy archive?)";
  if (text.starts_with("\x93NUMPY")) return "a NumPy array (.npy)";
  if (text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) return "a Python pickle (.pkl, .pt, .bin)";
  if (text.starts_with("\x89HDF\r\n")) return "an HDF5 file (.h5)";
  if (text.starts_with("GGUF")) return "a GGUF file";
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '{') return holds("\"weight_map\"") ? "an index (.index.json)" : "JSON";
  return {};
}

SafeTensors SafeTensors::read(const std::filesystem::path& path) { return parse(read_bytes(path), path.string()); }

SafeTensors SafeTensors::parse(std::vector<std::byte> bytes, const std::string& name) {
  SafeTensors file;
  file.name_ = name;
  if (const std::string other = known_format(bytes); !other.empty())
    throw InputError(fmt::format("{}: {}, not safetensors: record_torch.py records a run as one", name, other));
  if (bytes.size() < 8) throw InputError(fmt::format("{}: {} bytes: expected a safetensors file", name, bytes.size()));
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  if (header > bytes.size() - 8)
    throw InputError(fmt::format("{}: header of {} bytes in a file of {}: truncated, or not safetensors", name, header,
                                 bytes.size()));
  if (header > kLongestHeader)
    throw InputError(fmt::format("{}: header of {} bytes: expected at most {}", name, header, kLongestHeader));
  file.data_begin_ = 8 + header;
  const size_t data_size = bytes.size() - file.data_begin_;
  const json root = parse_strict_json(name, "header", {reinterpret_cast<const char*>(bytes.data()) + 8, header});
  if (!root.is_object()) throw InputError(fmt::format("{}: header is not a JSON object", name));
  for (const auto& [key, entry] : root.items()) {
    if (key == "__metadata__") {
      if (!entry.is_object()) throw InputError(fmt::format("{}: __metadata__ is not a JSON object", name));
      for (const auto& [k, v] : entry.items()) {
        if (!v.is_string()) throw InputError(fmt::format("{}: metadata {}: expected a string", name, k));
        file.metadata_[k] = v.get<std::string>();
      }
    } else {
      file.arrays_[key] = parse_array(name, key, entry, data_size);
    }
  }
  file.check_layout(data_size);
  file.bytes_ = std::move(bytes);
  return file;
}

void SafeTensors::check_layout(size_t data_size) const {
  using Entry = std::map<std::string, Array>::value_type;
  std::vector<const Entry*> by_place;
  by_place.reserve(arrays_.size());
  for (const Entry& entry : arrays_) by_place.push_back(&entry);
  std::sort(by_place.begin(), by_place.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  size_t end = 0;
  const std::string* before = nullptr;
  for (const Entry* entry : by_place) {
    const auto& [name, array] = *entry;
    if (array.begin < end)
      throw InputError(fmt::format("{}: array {} overlaps {}: it begins at byte {}, expected {}", name_, name, *before,
                                   array.begin, end));
    if (array.begin > end)
      throw InputError(fmt::format("{}: array {} begins at byte {}, expected {}: {} bytes before it belong to no array",
                                   name_, name, array.begin, end, array.begin - end));
    end = array.end;
    before = &name;
  }
  if (end != data_size)
    throw InputError(fmt::format("{}: {} bytes behind the last array: expected none", name_, data_size - end));
}

const SafeTensors::Array* SafeTensors::find(std::string_view name) const {
  const auto at = arrays_.find(std::string(name));
  return at == arrays_.end() ? nullptr : &at->second;
}

}  // namespace plumbline::harness
