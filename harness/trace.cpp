#include "harness/trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/error.h"
#include "harness/record/strict_json.h"

namespace plumbline::harness {
namespace {

constexpr std::string_view kIndexEnding = ".index.json";

template <class T>
void widen(const std::byte* bytes, std::vector<int64_t>& out) {
  for (size_t i = 0; i < out.size(); ++i) {
    T x;
    std::memcpy(&x, bytes + i * sizeof(T), sizeof(T));
    out[i] = static_cast<int64_t>(x);
  }
}

// array -> name of the file that holds it
std::map<std::string, std::string> weight_map(const std::string& path, const nlohmann::json& root) {
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object() ||
      root["weight_map"].empty())
    throw InputError(fmt::format("{}: expected an index: an object with 'metadata' and 'weight_map'", path));
  std::map<std::string, std::string> out;
  for (const auto& [array, file] : root["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : std::string();
    if (name.empty() || name.find('/') != name.npos || name.find('\\') != name.npos || name == "..")
      throw InputError(
          fmt::format("{}: weight_map: array {}: expected the name of a file beside the index", path, array));
    out[array] = name;
  }
  return out;
}

nlohmann::json parse_index(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_bytes(path);
  return parse_strict_json(path.string(), "the index", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

Trace Trace::read(const std::filesystem::path& path) {
  if (path.string().ends_with(kIndexEnding)) return read_index(path);
  return Trace(SafeTensors::read(path));
}

std::shared_ptr<const Trace> Trace::shared(const std::filesystem::path& path) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const Trace>> cache;
  const std::lock_guard lock(mutex);
  auto& entry = cache[path.string()];
  if (!entry) entry = std::make_shared<const Trace>(read(path));
  return entry;
}

Trace Trace::read_index(const std::filesystem::path& path) {
  const nlohmann::json root = parse_index(path);
  const auto wanted = weight_map(path.string(), root);
  std::map<std::string, std::string> metadata;
  if (!root.contains("metadata") || !root["metadata"].is_object() || !root["metadata"].contains("format"))
    throw InputError(
        fmt::format("{}: an index of weights, not of a recorded run: its metadata have no 'format'", path.string()));
  for (const auto& [key, value] : root["metadata"].items()) {
    if (!value.is_string()) throw InputError(fmt::format("{}: metadata {}: expected a string", path.string(), key));
    metadata[key] = value.get<std::string>();
  }
  std::map<std::string, std::shared_ptr<const SafeTensors>> by_name;
  std::vector<std::shared_ptr<const SafeTensors>> files;
  std::map<std::string, Place, std::less<>> arrays;
  for (const auto& [array, name] : wanted) {
    auto& file = by_name[name];
    if (!file) {
      file = std::make_shared<const SafeTensors>(SafeTensors::read(path.parent_path() / name));
      files.push_back(file);
    }
    const SafeTensors::Array* found = file->find(array);
    if (!found) throw InputError(fmt::format("{}: array {} is not in {}", path.string(), array, name));
    arrays[array] = {file.get(), found};
  }
  return {path.string(), std::move(files), metadata, std::move(arrays)};
}

std::map<std::string, Trace::Place, std::less<>> Trace::places_of(const SafeTensors& file) {
  std::map<std::string, Place, std::less<>> out;
  for (const auto& [name, array] : file.arrays()) out.emplace_hint(out.end(), name, Place{&file, &array});
  return out;
}

Trace::Trace(SafeTensors file) : Trace(std::make_shared<const SafeTensors>(std::move(file))) {}

Trace::Trace(const std::shared_ptr<const SafeTensors>& file)
    : Trace(file->name(), {file}, file->metadata(), places_of(*file)) {}

Trace::Trace(std::string name, std::vector<std::shared_ptr<const SafeTensors>> files,
             const std::map<std::string, std::string>& metadata, std::map<std::string, Place, std::less<>> arrays)
    : name_(std::move(name)), files_(std::move(files)), arrays_(std::move(arrays)), header_(name_, metadata) {
  // Work follows what is in the file, not what its metadata claim.
  if (steps() > int64_t(arrays_.size()))
    throw InputError(fmt::format("{}: metadata 'steps': {}: expected no more than the {} arrays of the file", name_,
                                 steps(), arrays_.size()));
  for (const TensorInfo& tensor : tensors()) {
    std::string error = tensor.error.empty() ? shape_error(tensor) : tensor.error;
    if (!error.empty()) tensor_errors_[tensor.name] = std::move(error);
  }
}

// Parameters and gradients have the tensor's shape; one without axes may be stored as one of one element.
std::string Trace::shape_error(const TensorInfo& tensor) const {
  for (const char* kind : {"param", "grad"}) {
    const std::string prefix = fmt::format("{}/{}@", kind, tensor.name);
    for (auto at = arrays_.lower_bound(prefix); at != arrays_.end() && at->first.starts_with(prefix); ++at) {
      if (at->first.find_first_not_of("0123456789", prefix.size()) != std::string::npos) continue;  // another tensor's
      const std::vector<int64_t>& stored = at->second.array->shape;
      const bool scalar = stored.empty() && tensor.shape == std::vector<int64_t>{1};
      if (stored != tensor.shape && !scalar)
        return fmt::format("{}: {} has shape {}: expected {}", name_, at->first, fmt::join(stored, "x"),
                           fmt::join(tensor.shape, "x"));
    }
  }
  return {};
}

const Trace::TensorInfo& Trace::tensor(std::string_view name) const {
  std::vector<std::string> names;
  for (const TensorInfo& info : tensors()) {
    if (info.name == name) {
      if (const auto error = tensor_errors_.find(name); error != tensor_errors_.end()) throw InputError(error->second);
      return info;
    }
    names.push_back(info.name);
  }
  throw InputError(fmt::format("{}: no tensor '{}': expected one of {}", file(), name, fmt::join(names, ", ")));
}

const Trace::Place& Trace::place(std::string_view array) const {
  const auto at = arrays_.find(array);
  if (at == arrays_.end()) throw InputError(fmt::format("{}: array {} is missing", file(), array));
  return at->second;
}

DType Trace::dtype(std::string_view array) const {
  const std::string& type = place(array).array->dtype;
  if (type == "F64") return DType::float64;
  if (type == "F32") return DType::float32;
  if (type == "BF16") return DType::bfloat16;
  if (type == "F16") return DType::float16;
  throw InputError(fmt::format("{}: array {} has type {}: expected F64, F32, BF16 or F16", file(), array, type));
}

bool Trace::is_float(std::string_view array) const {
  const std::string& type = place(array).array->dtype;
  return type == "F64" || type == "F32" || type == "BF16" || type == "F16";
}

const std::string& Trace::stored_type(std::string_view array) const { return place(array).array->dtype; }

const std::vector<int64_t>& Trace::shape(std::string_view array) const { return place(array).array->shape; }

reference::Tensor Trace::load(std::string_view array) const {
  const DType type = dtype(array);
  const auto& [file, a] = place(array);
  if (a->elements() < 1) throw InputError(fmt::format("{}: array {} is empty", name_, array));
  reference::Tensor out(a->shape.empty() ? std::vector<int64_t>{1} : a->shape);
  harness::load(type, file->data(*a), {out.data.data(), static_cast<size_t>(out.size())});
  return out;
}

std::vector<int64_t> Trace::load_codes(std::string_view array) const {
  const auto& [file, a] = place(array);
  const std::byte* bytes = file->data(*a);
  const std::string& type = a->dtype;
  const bool known = type == "U8" || type == "I8" || type == "U16" || type == "I16" || type == "U32" || type == "I32" ||
                     type == "I64" || type == "F8_E4M3" || type == "F8_E5M2";
  if (!known)
    throw InputError(
        fmt::format("{}: array {} has type {}: expected whole numbers or 8-bit floats", name_, array, type));
  std::vector<int64_t> out(static_cast<size_t>(a->elements()));
  if (type == "I8")
    widen<int8_t>(bytes, out);
  else if (type == "U16")
    widen<uint16_t>(bytes, out);
  else if (type == "I16")
    widen<int16_t>(bytes, out);
  else if (type == "U32")
    widen<uint32_t>(bytes, out);
  else if (type == "I32")
    widen<int32_t>(bytes, out);
  else if (type == "I64")
    widen<int64_t>(bytes, out);
  else
    widen<uint8_t>(bytes, out);
  return out;
}

reference::Tensor Trace::parameter(std::string_view tensor, int64_t step) const {
  return load(fmt::format("param/{}@{}", tensor, step));
}
reference::Tensor Trace::gradient(std::string_view tensor, int64_t step) const {
  return load(fmt::format("grad/{}@{}", tensor, step));
}
bool Trace::has_gradient(std::string_view tensor, int64_t step) const {
  return has(fmt::format("grad/{}@{}", tensor, step));
}

std::vector<std::string> Trace::slots(std::string_view tensor) const {
  const std::string prefix = fmt::format("state/{}/", tensor);
  std::set<std::string> names;
  for (auto at = arrays_.lower_bound(prefix); at != arrays_.end() && at->first.starts_with(prefix); ++at)
    names.insert(at->first.substr(prefix.size(), at->first.rfind('@') - prefix.size()));
  return {names.begin(), names.end()};
}

std::vector<std::filesystem::path> without_parts(const std::vector<std::filesystem::path>& files) {
  std::set<std::filesystem::path> parts;
  for (const auto& path : files) {
    if (!path.string().ends_with(kIndexEnding)) continue;
    try {
      for (const auto& [array, name] : weight_map(path.string(), parse_index(path)))
        parts.insert(path.parent_path() / name);
    } catch (const InputError&) {  // its own case says so
    }
  }
  std::vector<std::filesystem::path> out;
  std::copy_if(files.begin(), files.end(), std::back_inserter(out),
               [&](const auto& path) { return !parts.contains(path); });
  return out;
}

}  // namespace plumbline::harness
