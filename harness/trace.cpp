#include "harness/trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstring>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/error.h"
#include "harness/json_text.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;

struct ElementType {
  const char* name;
  size_t bytes;
};
constexpr std::array<ElementType, 13> kElementTypes = {{{"F64", 8},
                                                        {"F32", 4},
                                                        {"BF16", 2},
                                                        {"F16", 2},
                                                        {"I64", 8},
                                                        {"I32", 4},
                                                        {"I16", 2},
                                                        {"I8", 1},
                                                        {"U64", 8},
                                                        {"U32", 4},
                                                        {"U16", 2},
                                                        {"U8", 1},
                                                        {"BOOL", 1}}};

size_t element_bytes(const std::string& file, const std::string& array, const std::string& dtype) {
  for (const ElementType& type : kElementTypes)
    if (dtype == type.name) return type.bytes;
  throw InputError(fmt::format("{}: array {}: unknown element type '{}'", file, array, dtype));
}

json parse_json(const std::string& file, const char* what, std::string_view text) {
  json value = harness::parse_json<json>(text, fmt::format("{}: {}", file, what), false);
  if (value.is_discarded()) throw InputError(fmt::format("{}: {} is not JSON", file, what));
  return value;
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
  const size_t width = element_bytes(file, name, array.dtype);
  size_t bytes = width;
  for (const json& extent : entry["shape"]) {
    if (!extent.is_number_unsigned()) throw fail("expected a shape of non-negative integers");
    const auto e = extent.get<uint64_t>();
    if (e > data_size + 1 || (e != 0 && bytes > (data_size + width) / e)) throw fail("shape is larger than the file");
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
  if (array.end - array.begin != bytes)
    throw fail(fmt::format("{} bytes stored, shape and type say {}", array.end - array.begin, bytes));
  return array;
}

}  // namespace

int64_t SafeTensors::Array::elements() const {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

SafeTensors SafeTensors::read(const std::filesystem::path& path) {
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
  return parse(std::move(bytes), path.string());
}

SafeTensors SafeTensors::parse(std::vector<std::byte> bytes, const std::string& name) {
  SafeTensors file;
  file.name_ = name;
  if (bytes.size() < 8) throw InputError(fmt::format("{}: {} bytes: expected a safetensors file", name, bytes.size()));
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  if (header > bytes.size() - 8)
    throw InputError(fmt::format("{}: header of {} bytes in a file of {}: truncated, or not safetensors", name, header,
                                 bytes.size()));
  file.data_begin_ = 8 + header;
  const size_t data_size = bytes.size() - file.data_begin_;
  const json root = parse_json(name, "header", {reinterpret_cast<const char*>(bytes.data()) + 8, header});
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
  file.bytes_ = std::move(bytes);
  return file;
}

const SafeTensors::Array* SafeTensors::find(std::string_view name) const {
  const auto at = arrays_.find(std::string(name));
  return at == arrays_.end() ? nullptr : &at->second;
}

Trace Trace::read(const std::filesystem::path& path) { return Trace(SafeTensors::read(path)); }

std::shared_ptr<const Trace> Trace::shared(const std::filesystem::path& path) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const Trace>> cache;
  const std::lock_guard lock(mutex);
  auto& entry = cache[path.string()];
  if (!entry) entry = std::make_shared<const Trace>(read(path));
  return entry;
}

Trace::Trace(SafeTensors file) : file_(std::move(file)) {
  const std::string& name = file_.name();
  auto meta = [&](const char* key) -> std::string {
    const auto at = file_.metadata().find(key);
    if (at == file_.metadata().end())
      throw InputError(fmt::format("{}: metadata '{}' is missing: expected optimizer-trace/1", name, key));
    return at->second;
  };
  if (meta("format") != "optimizer-trace/1")
    throw InputError(fmt::format("{}: format '{}': expected optimizer-trace/1", name, meta("format")));
  peer_ = meta("peer");
  options_ = meta("options");
  if (!parse_json(name, "metadata 'options'", options_).is_object())
    throw InputError(fmt::format("{}: metadata 'options': expected a JSON object", name));
  if (file_.metadata().contains("version")) release_ = meta("version");
  if (file_.metadata().contains("defects")) {
    const json defects = parse_json(name, "metadata 'defects'", meta("defects"));
    const bool names = defects.is_array() &&
                       std::all_of(defects.begin(), defects.end(), [](const json& item) { return item.is_string(); });
    if (!names) throw InputError(fmt::format("{}: metadata 'defects': expected a JSON array of names", name));
    defects_ = defects.get<std::vector<std::string>>();
  }
  const json steps = parse_json(name, "metadata 'steps'", meta("steps"));
  if (!steps.is_number_unsigned() || steps.get<uint64_t>() < 1 || steps.get<uint64_t>() > 1'000'000'000)
    throw InputError(fmt::format("{}: metadata 'steps': expected a number from 1 to 10^9", name));
  steps_ = steps.get<int64_t>();
  const json tensors = parse_json(name, "metadata 'tensors'", meta("tensors"));
  if (!tensors.is_object() || tensors.empty())
    throw InputError(fmt::format("{}: metadata 'tensors': expected a JSON object", name));
  for (const auto& [key, entry] : tensors.items()) {
    TensorInfo info{key, {}, ""};
    if (!entry.is_object() || !entry.contains("shape") || !entry["shape"].is_array() || entry["shape"].empty())
      throw InputError(fmt::format("{}: tensor {}: expected a shape", name, key));
    for (const json& extent : entry["shape"]) {
      if (!extent.is_number_unsigned() || extent.get<uint64_t>() < 1)
        throw InputError(fmt::format("{}: tensor {}: expected a shape of positive extents", name, key));
      info.shape.push_back(extent.get<int64_t>());
    }
    if (entry.contains("regime") && entry["regime"].is_string()) info.regime = entry["regime"].get<std::string>();
    for (const char* kind : {"param", "grad"}) {
      const std::string prefix = fmt::format("{}/{}@", kind, key);
      for (auto at = file_.arrays().lower_bound(prefix); at != file_.arrays().end() && at->first.starts_with(prefix);
           ++at) {
        const bool other_tensor = at->first.find_first_not_of("0123456789", prefix.size()) != std::string::npos;
        if (!other_tensor && at->second.shape != info.shape)
          throw InputError(fmt::format("{}: {} has shape {}: expected {}", name, at->first,
                                       fmt::join(at->second.shape, "x"), fmt::join(info.shape, "x")));
      }
    }
    tensors_.push_back(std::move(info));
  }
}

const Trace::TensorInfo& Trace::tensor(std::string_view name) const {
  std::vector<std::string> names;
  for (const TensorInfo& info : tensors_) {
    if (info.name == name) return info;
    names.push_back(info.name);
  }
  throw InputError(fmt::format("{}: no tensor '{}': expected one of {}", file(), name, fmt::join(names, ", ")));
}

DType Trace::dtype(std::string_view array) const {
  const SafeTensors::Array* a = file_.find(array);
  if (!a) throw InputError(fmt::format("{}: array {} is missing", file(), array));
  if (a->dtype == "F64") return DType::float64;
  if (a->dtype == "F32") return DType::float32;
  if (a->dtype == "BF16") return DType::bfloat16;
  if (a->dtype == "F16") return DType::float16;
  throw InputError(fmt::format("{}: array {} has type {}: expected F64, F32, BF16 or F16", file(), array, a->dtype));
}

reference::Tensor Trace::load(std::string_view array) const {
  const DType type = dtype(array);
  const SafeTensors::Array& a = *file_.find(array);
  if (a.elements() < 1) throw InputError(fmt::format("{}: array {} is empty", file(), array));
  reference::Tensor out(a.shape.empty() ? std::vector<int64_t>{1} : a.shape);
  harness::load(type, file_.data(a), {out.data.data(), static_cast<size_t>(out.size())});
  return out;
}

reference::Tensor Trace::parameter(std::string_view tensor, int64_t step) const {
  return load(fmt::format("param/{}@{}", tensor, step));
}
reference::Tensor Trace::gradient(std::string_view tensor, int64_t step) const {
  return load(fmt::format("grad/{}@{}", tensor, step));
}

std::vector<std::string> Trace::slots(std::string_view tensor) const {
  const std::string prefix = fmt::format("state/{}/", tensor);
  std::set<std::string> names;
  for (auto at = file_.arrays().lower_bound(prefix); at != file_.arrays().end() && at->first.starts_with(prefix); ++at)
    names.insert(at->first.substr(prefix.size(), at->first.rfind('@') - prefix.size()));
  return {names.begin(), names.end()};
}

}  // namespace plumbline::harness
