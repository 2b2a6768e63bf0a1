#include "harness/subjects/hardware/fingerprint_file.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/error.h"
#include "harness/json_text.h"
#include "harness/machine.h"

namespace plumbline::harness::hardware {
namespace {

using nlohmann::json;
namespace diag = plumbline::diagnostics;
constexpr const char* kSchema = "plumbline-fingerprint/1";

// Hashes are text: a JSON number may lose bits of 64.
template <class T>
T parse_hex(const std::string& text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) throw InputError("'" + text + "' is no hash");
  return value;
}

json parts_text(const std::vector<uint32_t>& parts) {
  std::string text;
  for (const uint32_t part : parts) text += fmt::format("{:08x}", part);
  return text;
}
std::vector<uint32_t> parse_parts(const std::string& text) {
  std::vector<uint32_t> parts;
  for (size_t at = 0; at < text.size(); at += 8) parts.push_back(parse_hex<uint32_t>(text.substr(at, 8)));
  return parts;
}

}  // namespace

void write_fingerprint(const diag::Fingerprint& fingerprint, const std::filesystem::path& path) {
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path);
  const RunDescription build = describe_machine("");
  out << fmt::format(
      "{{\"schema\": \"{}\", \"version\": \"{}\", \"commit\": \"{}\", \"device\": {}, \"hash\": \"{:016x}\",\n",
      kSchema, build.version, build.commit, json(fingerprint.device).dump(), fingerprint.hash());
  out << "\"work\": [";
  const char* comma = "\n";
  for (const diag::ProbeHash& probe : fingerprint.probes) {
    json stages = json::array();
    for (const diag::StageHash& s : probe.stages)
      stages.push_back(
          {s.name, s.step, s.element_bytes, s.elements, fmt::format("{:016x}", s.hash), parts_text(s.parts)});
    out << comma << json{{"line", probe.line}, {"family", probe.family}, {"stages", stages}}.dump();
    comma = ",\n";
  }
  out << "\n]}\n";
  out.flush();
  if (!out) throw InputError(fmt::format("{}: cannot be written", path.string()));
}

diag::Fingerprint read_fingerprint(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) throw InputError(fmt::format("{}: no such fingerprint", path.string()));
  try {
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto file = parse_json<json>(text, "fingerprint", true);
    const auto schema = file.at("schema").get<std::string>();
    if (schema != kSchema)
      throw InputError(fmt::format("a fingerprint of another version: schema {}, expected {}", schema, kSchema));
    diag::Fingerprint out{file.at("device").get<std::string>(), {}, {}};
    for (const json& work : file.at("work")) {
      diag::ProbeHash probe{work.at("line"), work.at("family"), {}};
      for (const json& s : work.at("stages"))
        probe.stages.push_back(
            {s.at(0), s.at(1), s.at(2), s.at(3), parse_hex<uint64_t>(s.at(4)), parse_parts(s.at(5))});
      out.probes.push_back(std::move(probe));
    }
    if (const auto hash = parse_hex<uint64_t>(file.at("hash").get<std::string>()); hash != out.hash())
      throw InputError(
          fmt::format("the hash {:016x} is not that of its work, {:016x}: cut or altered", hash, out.hash()));
    return out;
  } catch (const json::exception&) {
    throw InputError(fmt::format("{}: not a fingerprint ({})", path.string(), kSchema));
  } catch (const InputError& e) {
    throw InputError(fmt::format("{}: {}", path.string(), e.what()));
  }
}

}  // namespace plumbline::harness::hardware
