// Traces made by tests: safetensors bytes with a header that a test may falsify.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/format.h"

namespace plumbline::harness {

struct TraceFile {
  nlohmann::json header = {{"__metadata__", {{"format", "optimizer-trace/1"}}}};
  std::string data;

  void add(const std::string& name, const std::string& dtype, std::vector<int64_t> shape, const std::string& bytes) {
    header[name] = {
        {"dtype", dtype}, {"shape", std::move(shape)}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data += bytes;
  }
  // The same arrays one behind the other, each with bytes of its own: after entries were removed, or share bytes.
  TraceFile packed() const {
    TraceFile out;
    for (const auto& [name, entry] : header.items()) {
      out.header[name] = entry;
      if (name == "__metadata__") continue;
      const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      out.header[name]["data_offsets"] = {out.data.size(), out.data.size() + end - begin};
      out.data += data.substr(begin, end - begin);
    }
    return out;
  }
  std::string bytes() const {
    const std::string text = header.dump();
    const uint64_t length = text.size();
    std::string out(8, '\0');
    std::memcpy(out.data(), &length, 8);
    return out + text + data;
  }
  void write(const std::filesystem::path& path) const {
    const std::string whole = bytes();
    std::ofstream(path, std::ios::binary).write(whole.data(), std::streamsize(whole.size()));
  }
};

// Two steps of a 2x3 tensor "w": p_i = i/4 at t = 0, g_i = t + i/4.
inline TraceFile small_training(DType type = DType::float32, const std::string& dtype = "F32") {
  TraceFile file;
  nlohmann::json& meta = file.header["__metadata__"];
  meta["peer"] = "none";
  meta["options"] = "{}";
  meta["steps"] = "2";
  meta["tensors"] = R"({"w": {"shape": [2, 3]}})";
  for (int t = 0; t <= 2; ++t) {
    double values[6];
    for (int i = 0; i < 6; ++i) values[i] = t + i * 0.25;
    std::string bytes(6 * size_of(type), '\0');
    store(type, values, reinterpret_cast<std::byte*>(bytes.data()));
    file.add((t == 0 ? "param/w@" : "grad/w@") + std::to_string(t), dtype, {2, 3}, bytes);
  }
  return file;
}

inline std::vector<std::byte> as_bytes(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

}  // namespace plumbline::harness
