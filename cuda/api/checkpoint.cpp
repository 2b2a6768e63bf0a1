#include "cuda/api/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "cuda/state/json.h"
#include "cuda/state/safetensors.h"

namespace plumbline {
namespace {

using nlohmann::json;
using Kind = CheckpointError::Kind;

constexpr std::string_view kFormat = "plumbline-optimizer/1";
constexpr std::string_view kTypes[] = {"float32", "bfloat16", "float16"};
constexpr std::string_view kStorages[] = {"fp32", "al8", "log_u8", "linear_u8", "al16", "bf16", "uf8", "uf4"};
constexpr std::string_view kRoundings[] = {"nearest", "stochastic", "dither"};

// A slot that is one float64, by its name.
bool is_norm(const SlotLayout& slot) { return slot.name == "parameter_norm" || slot.name == "previous_norm"; }
bool has_scales(Storage storage) { return storage != Storage::fp32 && storage != Storage::bf16; }

std::string_view codes_dtype(Storage storage) {
  switch (storage) {
    case Storage::bf16:
      return "BF16";
    case Storage::al16:
      return "U16";
    case Storage::uf8:
      return "I8";
    default:
      return "U8";
  }
}
int64_t codes_per_row(const SlotLayout& slot) { return slot.storage == Storage::uf4 ? (slot.row + 1) / 2 : slot.row; }
int64_t blocks_per_row(const SlotLayout& slot) { return (slot.row + slot.block - 1) / slot.block; }
int64_t scale_words(Storage storage) {
  return storage == Storage::al8 || storage == Storage::log_u8 || storage == Storage::al16 ? 2 : 1;
}

std::string state_name(const TensorSpec& spec, const SlotLayout& slot) {
  return fmt::format("state/{}/{}", spec.name, slot.name);
}
std::string raw_name(const TensorSpec& spec, const SlotLayout& slot, std::string_view part = {}) {
  return fmt::format("raw/{}/{}{}{}", spec.name, slot.name, part.empty() ? "" : "/", part);
}

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
std::vector<float> floats_of(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// --- writing ---

json describe_group(const GroupOptions& options) {
  json all = json::object();
  for (const OptionRow& row : option_table()) all[row.name] = get_option(options, row.name);
  return all;
}

json describe_tensor(const TensorSpec& spec, int64_t steps, const std::vector<SlotLayout>& slots) {
  json forms = json::array();
  for (const SlotLayout& slot : slots) {
    if (is_norm(slot)) continue;
    forms.push_back({{"name", slot.name},
                     {"storage", kStorages[size_t(slot.storage)]},
                     {"rounding", kRoundings[size_t(slot.rounding)]},
                     {"block", slot.block},
                     {"row", slot.row},
                     {"matrix", slot.matrix},
                     {"writes", slot.writes}});
  }
  return {{"name", spec.name},
          {"shape", spec.shape},
          {"parameter", kTypes[size_t(spec.parameter)]},
          {"gradient", kTypes[size_t(spec.gradient)]},
          {"group", spec.group},
          {"steps", steps},
          {"slots", forms}};
}

// The arrays of one slot.
void add_slot(const Optimizer& optimizer, int tensor, const SlotLayout& slot, bool decoded, Stream stream,
              std::vector<ArraySource>& arrays) {
  const TensorSpec& spec = optimizer.tensors()[size_t(tensor)];
  const auto raw = [&optimizer, tensor, name = slot.name, stream] {
    return optimizer.export_raw(tensor, name, stream);
  };
  if (is_norm(slot)) {
    arrays.push_back({{raw_name(spec, slot), "F64", {1}}, [raw] { return raw().values; }});
    return;
  }
  if (decoded || slot.storage == Storage::fp32) {
    arrays.push_back({{state_name(spec, slot), "F32", slot.shape}, [&optimizer, tensor, name = slot.name, stream] {
                        return bytes_of(optimizer.export_decoded(tensor, name, stream));
                      }});
  }
  if (slot.storage == Storage::fp32) return;
  arrays.push_back(
      {{raw_name(spec, slot, "codes"), std::string(codes_dtype(slot.storage)), {slot.rows(), codes_per_row(slot)}},
       [raw] { return raw().values; }});
  if (!has_scales(slot.storage)) return;
  arrays.push_back(
      {{raw_name(spec, slot, "scales"), "F32", {slot.rows(), blocks_per_row(slot), scale_words(slot.storage)}},
       [raw] { return bytes_of(raw().scales); }});
}

void check_names(const Optimizer& optimizer) {
  std::set<std::string_view> seen;
  for (const TensorSpec& spec : optimizer.tensors()) {
    if (spec.name.empty() || !seen.insert(spec.name).second)
      throw OptionError(fmt::format("checkpoint: tensor name '{}', expected one of its own for each", spec.name));
  }
}

void check_program(const ProgramData& program) {
  for (const auto& [name, array] : program.arrays) {
    const ArrayEntry entry{name, array.dtype, array.shape};
    const bool negative =
        std::any_of(array.shape.begin(), array.shape.end(), [](int64_t extent) { return extent < 0; });
    if (dtype_bytes(array.dtype) == 0)
      throw OptionError(
          fmt::format("checkpoint: array '{}': type '{}', expected one of safetensors", name, array.dtype));
    if (negative || entry.bytes() != array.bytes.size())
      throw OptionError(fmt::format("checkpoint: array '{}': {} bytes of {}, expected those of shape {}", name,
                                    array.bytes.size(), array.dtype, fmt::join(array.shape, "x")));
  }
}

// --- reading ---

class Reader {
 public:
  Reader(const Optimizer& optimizer, const SafetensorsFile& file)
      : optimizer_(optimizer), file_(file), groups_(parse("groups")), tensors_(parse("tensors")) {}

  // Throws mismatch unless every tensor and option but lr is the optimizer's; returns lr by group.
  std::vector<double> check_description() const;
  // State of the optimizer's tensor `index`, as it is stored or as values.
  struct Raw {
    int64_t steps = 0;
    std::vector<RawSlot> slots;
  };
  Raw raw(int index, Stream stream) const;
  DecodedState values(int index, Stream stream) const;
  ProgramData program() const;
  // The multiplier of the file, if it has one that can be set.
  float multiplier() const;

  [[noreturn]] void fail(Kind kind, const std::string& what) const {
    throw CheckpointError(kind, fmt::format("{}: {}", file_.path().string(), what));
  }

 private:
  json parse(const char* key) const {
    const auto at = file_.metadata().find(key);
    if (at == file_.metadata().end()) fail(Kind::altered, fmt::format("metadata '{}' is missing", key));
    json value = parse_shallow(at->second);
    if (value.is_discarded()) fail(Kind::altered, fmt::format("metadata '{}' is not JSON", key));
    return value;
  }
  void same(const std::string& what, const std::string& got, const std::string& expected) const {
    if (got != expected)
      fail(Kind::mismatch, fmt::format("{} {}, expected {} as the optimizer has", what, got, expected));
  }
  void check_tensor(size_t index) const;
  double check_group(size_t index) const;

  const Optimizer& optimizer_;
  const SafetensorsFile& file_;
  json groups_, tensors_;
};

std::string shape_text(const json& shape) {
  return fmt::format("{}", fmt::join(shape.get<std::vector<int64_t>>(), "x"));
}

void Reader::check_tensor(size_t index) const {
  const TensorSpec& spec = optimizer_.tensors()[index];
  const json& tensor = tensors_[index];
  same(fmt::format("tensor {} is", index), fmt::format("'{}'", tensor.at("name").get<std::string>()),
       fmt::format("'{}'", spec.name));
  const std::string name = fmt::format("tensor '{}':", spec.name);
  same(name + " shape", shape_text(tensor.at("shape")), fmt::format("{}", fmt::join(spec.shape, "x")));
  same(name + " parameter", tensor.at("parameter").get<std::string>(), std::string(kTypes[size_t(spec.parameter)]));
  same(name + " gradient", tensor.at("gradient").get<std::string>(), std::string(kTypes[size_t(spec.gradient)]));
  same(name + " group", std::to_string(tensor.at("group").get<int>()), std::to_string(spec.group));
}

double Reader::check_group(size_t index) const {
  const GroupOptions& options = optimizer_.groups()[index];
  const json& group = groups_[index];
  for (const auto& option : group.items())
    if (std::none_of(option_table().begin(), option_table().end(),
                     [&](const OptionRow& row) { return row.name == option.key(); }))
      fail(Kind::altered, fmt::format("group {}: option {} is unknown", index, option.key()));
  for (const OptionRow& row : option_table()) {
    if (row.name == "lr") continue;
    // An option that a version before did not have stood at what it does by default.
    const std::string got = group.contains(row.name) ? group.at(row.name).get<std::string>()
                                                     : get_option(GroupOptions{}, row.name),
                      expected = get_option(options, row.name);
    if (got != expected)
      fail(Kind::mismatch,
           fmt::format("group {}: option {} is {}, expected {} as the optimizer has; Restore::values converts", index,
                       row.name, got, expected));
  }
  GroupOptions theirs = options;
  if (!group.contains("lr")) fail(Kind::altered, fmt::format("group {}: option lr is missing", index));
  set_option(theirs, "lr", group.at("lr").get<std::string>());
  return theirs.lr;
}

std::vector<double> Reader::check_description() const {
  same("tensors:", std::to_string(tensors_.size()), std::to_string(optimizer_.tensors().size()));
  for (size_t i = 0; i < tensors_.size(); ++i) check_tensor(i);
  same("groups:", std::to_string(groups_.size()), std::to_string(optimizer_.groups().size()));
  std::vector<double> lr;
  for (size_t i = 0; i < groups_.size(); ++i) lr.push_back(check_group(i));
  return lr;
}

Reader::Raw Reader::raw(int index, Stream stream) const {
  const TensorSpec& spec = optimizer_.tensors()[size_t(index)];
  const json& tensor = tensors_[size_t(index)];
  Raw state;
  state.steps = tensor.at("steps").get<int64_t>();
  for (const SlotLayout& form : optimizer_.slot_layouts(index, stream)) {
    RawSlot slot;
    static_cast<SlotLayout&>(slot) = form;
    if (is_norm(form)) {
      slot.values = file_.read(raw_name(spec, form), "F64", 1);
      state.slots.push_back(std::move(slot));
      continue;
    }
    // The form follows from shape and options, but for the count of writes.
    const json& slots = tensor.at("slots");
    const auto given =
        std::find_if(slots.begin(), slots.end(), [&](const json& s) { return s.at("name") == form.name; });
    if (given == slots.end())
      fail(Kind::altered, fmt::format("tensor '{}': slot '{}' is missing", spec.name, form.name));
    slot.writes = given->at("writes").get<uint32_t>();
    if (form.storage == Storage::fp32) {
      slot.values = file_.read(state_name(spec, form), "F32", form.count);
    } else {
      slot.values =
          file_.read(raw_name(spec, form, "codes"), codes_dtype(form.storage), form.rows() * codes_per_row(form));
    }
    if (has_scales(form.storage)) {
      slot.scales = floats_of(file_.read(raw_name(spec, form, "scales"), "F32",
                                         form.rows() * blocks_per_row(form) * scale_words(form.storage)));
    }
    state.slots.push_back(std::move(slot));
  }
  return state;
}

DecodedState Reader::values(int index, Stream stream) const {
  const TensorSpec& spec = optimizer_.tensors()[size_t(index)];
  const auto tensor =
      std::find_if(tensors_.begin(), tensors_.end(), [&](const json& t) { return t.at("name") == spec.name; });
  if (tensor == tensors_.end()) fail(Kind::mismatch, fmt::format("tensor '{}': the file has none", spec.name));
  same(fmt::format("tensor '{}': shape", spec.name), shape_text(tensor->at("shape")),
       fmt::format("{}", fmt::join(spec.shape, "x")));
  DecodedState state;
  state.steps_taken = tensor->at("steps").get<int64_t>();
  for (const SlotLayout& form : optimizer_.slot_layouts(index, stream)) {
    const std::string name = is_norm(form) ? raw_name(spec, form) : state_name(spec, form);
    if (form.name == "previous_norm" && file_.contains(name)) {
      const std::vector<std::byte> bytes = file_.read(name, "F64", 1);
      std::memcpy(&state.previous_norm, bytes.data(), sizeof state.previous_norm);
    }
    if (is_norm(form)) continue;
    if (!file_.contains(name))
      fail(Kind::mismatch, fmt::format("tensor '{}': the file has no values of slot '{}'", spec.name, form.name));
    std::vector<float> values = floats_of(file_.read(name));
    if (int64_t(values.size()) != form.count)
      fail(Kind::mismatch, fmt::format("tensor '{}': slot '{}' of {} values, expected {}", spec.name, form.name,
                                       values.size(), form.count));
    state.slots.push_back({form.name, std::move(values)});
  }
  return state;
}

ProgramData Reader::program() const {
  constexpr std::string_view kPrefix = "program/";
  ProgramData data;
  for (const ArrayEntry* entry : file_.entries()) {
    if (!entry->name.starts_with(kPrefix)) continue;
    data.arrays[entry->name.substr(kPrefix.size())] = {entry->dtype, entry->shape, file_.read(entry->name)};
  }
  data.notes = parse("notes").get<std::map<std::string, std::string>>();
  return data;
}

float Reader::multiplier() const {
  const auto at = file_.metadata().find("gradient_multiplier");
  if (at == file_.metadata().end()) fail(Kind::altered, "metadata 'gradient_multiplier' is missing");
  const std::string& text = at->second;
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(Kind::altered, fmt::format("metadata 'gradient_multiplier': '{}', expected a number", text));
  return value;
}

void restore_bits(Optimizer& optimizer, const Reader& reader, Stream stream) {
  const std::vector<double> lr = reader.check_description();
  const float multiplier = reader.multiplier();
  std::vector<Reader::Raw> states;
  for (int i = 0; i < int(optimizer.tensors().size()); ++i) {
    states.push_back(reader.raw(i, stream));
    optimizer.check_raw(i, states.back().steps, states.back().slots, stream);
  }
  for (int i = 0; i < int(states.size()); ++i)
    optimizer.import_raw(i, states[size_t(i)].steps, states[size_t(i)].slots, stream);
  for (int i = 0; i < int(lr.size()); ++i) optimizer.set_lr(lr[size_t(i)], stream, i);
  // a loss scale that ran away leaves none; the next step reads its own
  if (multiplier > 0 && std::isfinite(multiplier)) optimizer.set_gradient_multiplier(multiplier, stream);
}

void restore_values(Optimizer& optimizer, const Reader& reader, Stream stream) {
  std::vector<DecodedState> states;
  for (int i = 0; i < int(optimizer.tensors().size()); ++i) {
    states.push_back(reader.values(i, stream));
    optimizer.check_decoded(i, states.back());
  }
  for (int i = 0; i < int(states.size()); ++i) optimizer.import_decoded(i, states[size_t(i)], stream);
}

}  // namespace

void save_checkpoint(const Optimizer& optimizer, const std::filesystem::path& path, const ProgramData& program,
                     Stream stream, bool decoded) {
  check_names(optimizer);
  check_program(program);
  json groups = json::array(), tensors = json::array();
  for (const GroupOptions& options : optimizer.groups()) groups.push_back(describe_group(options));
  std::vector<ArraySource> arrays;
  for (int i = 0; i < int(optimizer.tensors().size()); ++i) {
    const std::vector<SlotLayout> slots = optimizer.slot_layouts(i, stream);
    tensors.push_back(describe_tensor(optimizer.tensors()[size_t(i)], optimizer.steps_taken(i, stream), slots));
    for (const SlotLayout& slot : slots) add_slot(optimizer, i, slot, decoded, stream, arrays);
  }
  for (const auto& [name, array] : program.arrays)
    arrays.push_back({{"program/" + name, array.dtype, array.shape}, [&bytes = array.bytes] { return bytes; }});
  std::map<std::string, std::string> metadata = {{"format", std::string(kFormat)}};
  try {
    metadata["groups"] = groups.dump();
    metadata["tensors"] = tensors.dump();
    metadata["notes"] = json(program.notes).dump();
  } catch (const json::exception&) {
    throw OptionError("checkpoint: a name or note is not UTF-8");
  }
  metadata["gradient_multiplier"] = fmt::format("{}", optimizer.gradient_multiplier(stream));
  write_safetensors(path, metadata, std::move(arrays));
}

ProgramData load_checkpoint(Optimizer& optimizer, const std::filesystem::path& path, Restore restore, Stream stream) {
  const SafetensorsFile file(path, kFormat);
  // What a good checksum stands over and yet is not what save_checkpoint writes: another program's work.
  try {
    const Reader reader(optimizer, file);
    ProgramData program = reader.program();
    (restore == Restore::bits ? restore_bits : restore_values)(optimizer, reader, stream);
    return program;
  } catch (const json::exception&) {
    throw CheckpointError(Kind::altered, fmt::format("{}: metadata is not what the format says", path.string()));
  } catch (const OptionError& error) {
    throw CheckpointError(Kind::mismatch, fmt::format("{}: {}", path.string(), error.what()));
  }
}

}  // namespace plumbline
