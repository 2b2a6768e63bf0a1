#include "harness/bundle.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "harness/checksum.h"
#include "harness/error.h"
#include "harness/format.h"
#include "harness/json_text.h"
#include "harness/trace.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kSchema = "plumbline-bundle/1";

ordered_json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

std::string hex(uint64_t bits, int width) { return fmt::format("0x{:0{}x}", bits, width / 4); }

ordered_json elements_json(const ElementWindow& window) {
  ordered_json out = ordered_json::array();
  const int width = stored_width(window.type);
  for (size_t i = 0; i < window.index.size(); ++i) {
    ordered_json one = {{"index", window.index[i]},
                        {"got", number(window.got[i])},
                        {"expected", number(window.expected[i])},
                        {"bound", number(window.bound[i])},
                        {"ratio", number(window.ratio[i])}};
    if (!window.block.empty()) one["block"] = window.block[i];
    const auto got = stored_bits(window.type, window.got[i]), expected = stored_bits(window.type, window.expected[i]);
    if (got && expected) {
      one["got_bits"] = hex(*got, width);
      one["expected_bits"] = hex(*expected, width);
      one["xor"] = hex(*got ^ *expected, width);
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::string case_text(const RunDescription& run, const CaseResult& result) {
  ordered_json out = {{"schema", kSchema},
                      {"line", result.line},
                      {"subject", result.subject},
                      {"suite", result.suite},
                      {"verdict", to_string(result.verdict)},
                      {"reason", result.reason},
                      {"first_broken", result.first_broken ? to_string(*result.first_broken) : ""},
                      {"step", result.evidence->step},
                      {"bits", hex(result.bits, 64)},
                      {"run",
                       {{"version", run.version},
                        {"commit", run.commit},
                        {"date", run.date},
                        {"command", run.command},
                        {"cpu", run.cpu},
                        {"os", run.os},
                        {"compiler", run.compiler},
                        {"flags", run.flags},
                        {"gpu", run.gpu},
                        {"gpu_driver", run.gpu_driver},
                        {"cuda_toolkit", run.cuda_toolkit},
                        {"gpu_architecture", run.gpu_architecture}}}};
  if (result.window) {
    out["elements"] = {{"quantity", to_string(result.window->quantity)},
                       {"type", result.window->type},
                       {"around_the_worst", elements_json(*result.window)}};
  }
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string tensors_bytes(const CaseResult& result) {
  ordered_json header = {
      {"__metadata__", {{"format", kSchema}, {"line", result.line}, {"step", std::to_string(result.evidence->step)}}}};
  size_t at = 0;
  for (const EvidenceArray& array : result.evidence->arrays) {
    header[array.name] = {
        {"dtype", array.dtype}, {"shape", array.shape}, {"data_offsets", {at, at + array.bytes.size()}}};
    at += array.bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // readers map the data: keep it aligned
  const uint64_t length = text.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  out.reserve(8 + text.size() + at);
  out += text;
  for (const EvidenceArray& array : result.evidence->arrays)
    out.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
  return out;
}

void write_whole(const fs::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), std::streamsize(content.size()));
  file.close();
  if (!file) throw InputError(fmt::format("bundle '{}': cannot be written", path.string()));
}

std::string text_of(const ordered_json& value, const char* name, const fs::path& path) {
  if (!value.is_object() || !value.contains(name) || !value[name].is_string())
    throw InputError(fmt::format("{}: no text '{}': expected a bundle's case.json", path.string(), name));
  return value[name].get<std::string>();
}

// Elements of `width` bytes that differ; all of them where the sizes do.
size_t differing(const EvidenceArray& a, const EvidenceArray& b, size_t width) {
  if (a.bytes.size() != b.bytes.size()) return std::max(a.bytes.size(), b.bytes.size()) / width;
  size_t count = 0;
  for (size_t i = 0; i + width <= a.bytes.size(); i += width)
    count += std::memcmp(a.bytes.data() + i, b.bytes.data() + i, width) != 0;
  return count;
}

size_t width_of(const std::string& dtype) { return dtype == "F64" ? 8 : dtype == "F32" ? 4 : dtype == "U8" ? 1 : 2; }

}  // namespace

std::optional<uint64_t> stored_bits(const std::string& type, double value) {
  if (type == "count") return std::nullopt;
  if (type == "u8" || type == "u16") {
    const double largest = type == "u8" ? 255 : 65535;
    return std::isnan(value) ? 0 : static_cast<uint64_t>(std::clamp(std::nearbyint(value), 0.0, largest));
  }
  const DType dtype = parse_dtype(type);
  std::byte raw[8] = {};
  store(dtype, {&value, 1}, raw);
  uint64_t bits = 0;
  std::memcpy(&bits, raw, size_of(dtype));
  return bits;
}

int stored_width(const std::string& type) {
  return type == "count" ? 64 : type == "u8" ? 8 : type == "u16" ? 16 : int(8 * size_of(parse_dtype(type)));
}

std::string bundle_name(const RunDescription& run, const CaseResult& result) {
  const std::string key = fmt::format("{}\n{}\n{}\n{:x}", result.line, result.subject, run.commit, result.bits);
  return fmt::format("{}-{:016x}", to_string(result.verdict), checksum(key));
}

void write_bundle(const fs::path& folder, const RunDescription& run, const CaseResult& result) {
  if (!result.evidence) throw std::logic_error("a bundle needs evidence");
  std::error_code error;
  if (fs::exists(folder, error)) return;
  fs::create_directories(folder.parent_path(), error);
  const fs::path partial = folder.parent_path() / fmt::format(".{}.{}.partial", folder.filename().string(), getpid());
  fs::remove_all(partial, error);
  fs::create_directory(partial, error);
  if (error) throw InputError(fmt::format("bundle '{}': {}", folder.string(), error.message()));
  try {
    write_whole(partial / "case.json", case_text(run, result));
    write_whole(partial / "tensors.safetensors", tensors_bytes(result));
  } catch (const InputError&) {
    fs::remove_all(partial, error);
    throw;
  }
  fs::rename(partial, folder, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  if (!fs::exists(folder, ignored))  // unless another process was faster
    throw InputError(fmt::format("bundle '{}': {}", folder.string(), error.message()));
}

Bundle read_bundle(const fs::path& folder) {
  const fs::path path = folder / "case.json";
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw InputError(fmt::format(
        "{}: cannot be read: expected a bundle, such as plumbline-report/verify/bundles/fail-…", path.string()));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto value = parse_json<ordered_json>(text, path.string(), false);
  if (value.is_discarded()) throw InputError(fmt::format("{}: is not JSON, or is cut off", path.string()));
  if (const std::string schema = text_of(value, "schema", path); schema != kSchema)
    throw InputError(fmt::format("{}: schema '{}': expected '{}'", path.string(), schema, kSchema));
  Bundle bundle;
  bundle.line = text_of(value, "line", path);
  bundle.subject = text_of(value, "subject", path);
  bundle.reason = text_of(value, "reason", path);
  bundle.first_broken = text_of(value, "first_broken", path);
  const std::string bits = text_of(value, "bits", path);
  char* end = nullptr;
  bundle.bits = std::strtoull(bits.c_str(), &end, 16);
  if (end == bits.c_str() || *end != '\0' || !value.contains("step") || !value["step"].is_number_integer())
    throw InputError(fmt::format("{}: 'bits' and 'step': expected a hexadecimal and a whole number", path.string()));
  bundle.step = value["step"];
  const ordered_json run = value.contains("run") ? value["run"] : ordered_json::object();
  bundle.commit = text_of(run, "commit", path);
  bundle.machine = text_of(run, "gpu", path);
  if (bundle.machine.empty()) bundle.machine = text_of(run, "cpu", path);

  const SafeTensors tensors = SafeTensors::read(folder / "tensors.safetensors");
  bundle.evidence.step = bundle.step;
  for (const auto& [name, array] : tensors.arrays()) {
    const std::byte* data = tensors.data(array);
    bundle.evidence.arrays.push_back({name, array.dtype, array.shape, {data, data + (array.end - array.begin)}});
  }
  return bundle;
}

ReplayComparison compare_replay(const Bundle& bundle, const CaseResult& replay) {
  std::string out =
      fmt::format("bundle     step {}, recorded on {}, commit {}\n", bundle.step, bundle.machine, bundle.commit);
  const auto now = [&](const std::string& name) -> const EvidenceArray* {
    if (!replay.evidence) return nullptr;
    for (const EvidenceArray& array : replay.evidence->arrays)
      if (array.name == name) return &array;
    return nullptr;
  };
  bool inputs_equal = replay.evidence != nullptr;
  for (const EvidenceArray& recorded : bundle.evidence.arrays) {
    const bool read = recorded.name == "gradient" || recorded.name.starts_with("before/");
    if (!read && !recorded.name.starts_with("after/")) continue;
    const EvidenceArray* array = now(recorded.name);
    const size_t width = width_of(recorded.dtype), all = recorded.bytes.size() / width;
    const size_t different = array && array->dtype == recorded.dtype ? differing(recorded, *array, width) : all;
    if (read && different != 0) inputs_equal = false;
    out += fmt::format("{:<26} {:>9} of {} elements {}\n", recorded.name, different, all,
                       array ? "differ from the bundle's" : "are missing");
  }
  const bool red = is_red(replay.verdict);
  const bool reproduced = replay.bits == bundle.bits;
  if (reproduced)
    out += fmt::format("{}: every bit of every step as recorded\n", red ? "reproduced" : "not red here, though");
  else if (!inputs_equal)
    out += fmt::format("{}: the step read other bits than recorded (an earlier step, or the data, differs)\n",
                       red ? "red again" : "not reproduced");
  else
    out += fmt::format("{}: from the same bits the step left others than recorded\n",
                       red ? "red again" : "not reproduced");
  return {std::move(out), reproduced};
}

}  // namespace plumbline::harness
