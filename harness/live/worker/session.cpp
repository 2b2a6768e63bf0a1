#include "harness/live/worker/session.h"

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>

#include "harness/live/worker/types.h"

namespace plumbline::harness::live {
namespace {

constexpr uint64_t kMostArrays = 4096;
constexpr uint32_t kMostAxes = 16;

plumbline_type type_in(const nlohmann::json& tensor, const char* member) {
  const auto type = type_named(tensor.at(member).get<std::string>());
  if (!type) throw std::runtime_error(fmt::format("{}: no type of the ABI", tensor.at(member).dump()));
  return *type;
}

// Copies an array with any strides to row-major order; types of whole bytes only.
void gather(const plumbline_array& from, std::span<const int64_t> shape, size_t element, std::byte* to) {
  std::vector<int64_t> at(shape.size());
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  for (int64_t k = 0; k < count; ++k) {
    int64_t offset = 0;
    for (size_t a = 0; a < at.size(); ++a) offset += at[a] * from.strides[a];
    std::memcpy(to + size_t(k) * element, static_cast<const std::byte*>(from.data) + offset * int64_t(element),
                element);
    for (size_t a = at.size(); a-- > 0 && ++at[a] == shape[a];) at[a] = 0;
  }
}

// Bytes from data on that an array of these strides reaches; none where one is negative or it has packed elements.
std::optional<int64_t> reach(const plumbline_array& array, std::span<const int64_t> shape) {
  if (bits_of(array.type) < 8) return std::nullopt;
  int64_t last = 0;
  for (size_t a = 0; a < shape.size(); ++a) {
    if (array.strides[a] < 0 || array.strides[a] > (int64_t{1} << 40)) return std::nullopt;
    if (shape[a] == 0) return 0;
    last += (shape[a] - 1) * array.strides[a];
  }
  return (last + 1) * (bits_of(array.type) / 8);
}

}  // namespace

ForeignSession::ForeignSession(const plumbline_subject_v1& subject, const nlohmann::json& problem, size_t memory)
    : subject_(subject), dialect_(problem.at("dialect")), why_text_(1024) {
  const auto alignment = problem.value("alignment", size_t{1});
  for (const auto& group : problem.at("groups")) {
    auto& words = texts_.emplace_back();
    for (const auto& [name, value] : group.items()) {
      words.push_back(name);
      words.push_back(value.dump());
    }
  }
  for (auto& words : texts_) {
    auto& options = options_.emplace_back();
    for (size_t k = 0; k < words.size(); k += 2)
      options.push_back({sizeof(plumbline_option), words[k].c_str(), words[k + 1].c_str()});
  }
  for (const auto& options : options_)
    groups_.push_back({sizeof(plumbline_group), options.empty() ? nullptr : options.data(), options.size()});
  for (const auto& tensor : problem.at("tensors")) {
    OneTensor one;
    one.name = tensor.at("name");
    one.shape = tensor.at("shape").get<std::vector<int64_t>>();
    one.parameter_type = type_in(tensor, "parameter");
    one.gradient_type = type_in(tensor, "gradient");
    one.parameter_bytes = size_t(bytes_of(one.parameter_type, one.shape).value());
    one.gradient_bytes = size_t(bytes_of(one.gradient_type, one.shape).value());
    one.parameter_at = tensor.at("parameter_at");
    one.gradient_at = tensor.at("gradient_at");
    for (const auto& [at, bytes] :
         {std::pair(one.parameter_at, one.parameter_bytes), {one.gradient_at, one.gradient_bytes}})
      if (at < 0 || size_t(at) > memory || bytes > memory - size_t(at))
        throw std::runtime_error("a tensor that lies outside of the shared memory");
    one.parameter = std::make_unique<LentBuffer>(fmt::format("parameter '{}'", one.name), one.parameter_bytes,
                                                 size_t(bits_of(one.parameter_type) / 8), alignment);
    one.gradient = std::make_unique<LentBuffer>(fmt::format("gradient '{}'", one.name), one.gradient_bytes,
                                                size_t(bits_of(one.gradient_type) / 8), alignment);
    owned_.push_back(std::move(one));
  }
  for (size_t k = 0; k < owned_.size(); ++k) {
    OneTensor& one = owned_[k];
    const auto group = problem.at("tensors")[k].value("group", uint32_t{0});
    if (group >= groups_.size()) throw std::runtime_error("a tensor of a group that is none");
    tensors_.push_back({sizeof(plumbline_tensor), one.name.c_str(), one.shape.data(), uint32_t(one.shape.size()), group,
                        one.parameter_type, one.gradient_type});
  }
  skipped_.resize(owned_.size());
  problem_ = {sizeof(plumbline_problem), dialect_.c_str(),  tensors_.data(),
              tensors_.size(),           groups_.data(),    groups_.size(),
              problem.at("steps"),       problem.at("seed")};
  why_ = {sizeof(plumbline_message), why_text_.data(), why_text_.size()};
}

ForeignSession::~ForeignSession() {
  if (started_) subject_.finish(session_);
}

void ForeignSession::describe_arrays() {
  parameters_.clear();
  gradients_.clear();
  for (size_t k = 0; k < owned_.size(); ++k) {
    OneTensor& one = owned_[k];
    const auto array = [&](const LentBuffer& of, plumbline_type type) {
      return plumbline_array{
          sizeof(plumbline_array),    one.name.c_str(), of.data(), of.bytes(),    one.shape.data(), nullptr,
          uint32_t(one.shape.size()), uint32_t(k),      type,      PLUMBLINE_HOST};
    };
    parameters_.push_back(array(*one.parameter, one.parameter_type));
    gradients_.push_back(array(*one.gradient, one.gradient_type));
  }
}

Answer ForeignSession::checked(plumbline_status status, const char* call) {
  why_text_.back() = 0;
  const std::string said(why_text_.data());
  switch (status) {
    case PLUMBLINE_OK:
      return {};
    case PLUMBLINE_CANNOT:
      return {kCannot, said.empty() ? "without a reason" : said, 0, 0};
    case PLUMBLINE_FAILED:
      return {kFailed, fmt::format("{} failed: {}", call, said.empty() ? "without a reason" : said), 0, 0};
    default:
      return {kFailed, fmt::format("{} returned {}: expected 0, 1 or 2", call, status), 0, 0};
  }
}

std::string ForeignSession::damage(std::span<const std::byte> memory) const {
  for (const OneTensor& one : owned_) {
    for (const LentBuffer* buffer : {one.parameter.get(), one.gradient.get()})
      if (std::string found = buffer->damage(); !found.empty()) return found;
    if (std::memcmp(one.gradient->data(), memory.data() + one.gradient_at, one.gradient_bytes) != 0)
      return fmt::format("wrote to the gradient '{}'", one.name);
  }
  return "";
}

Answer ForeignSession::begin() {
  describe_arrays();
  why_text_[0] = 0;
  session_ = nullptr;
  Answer answer = checked(subject_.start(&problem_, parameters_.data(), nullptr, &session_, &why_), "start()");
  started_ = answer.status == kOk;
  return answer;
}

Answer ForeignSession::start(std::span<const std::byte> memory) {
  for (OneTensor& one : owned_) {
    one.parameter->lend(0, memory.data() + one.parameter_at);
    one.gradient->lend(0, memory.data() + one.gradient_at);
  }
  Answer answer = begin();
  if (std::string found = damage(memory); !found.empty()) return {kBroken, "start() " + found, 0, 0};
  for (const OneTensor& one : owned_)
    if (std::memcmp(one.parameter->data(), memory.data() + one.parameter_at, one.parameter_bytes) != 0)
      return {kFailed, fmt::format("start() wrote to the parameter '{}'", one.name), 0, 0};
  return answer;
}

Answer ForeignSession::step(int64_t t, const std::vector<size_t>& absent, int64_t state_at,
                            std::span<std::byte> memory) {
  for (OneTensor& one : owned_) {
    // What the driver shows is not asked: the subject goes on from its own parameter.
    const std::vector<std::byte> current(one.parameter->data(), one.parameter->data() + one.parameter_bytes);
    one.parameter->lend(t, current.data());
    one.gradient->lend(t, memory.data() + one.gradient_at);
  }
  describe_arrays();
  for (const size_t k : absent)
    if (k < gradients_.size()) gradients_[k].data = nullptr;
  std::fill(skipped_.begin(), skipped_.end(), uint8_t{0});
  why_text_[0] = 0;
  plumbline_step step{};
  step.size = sizeof(step);
  step.t = t;
  step.parameters = parameters_.data();
  step.gradients = gradients_.data();
  step.tensor_count = parameters_.size();
  step.skipped = skipped_.data();
  step.why = &why_;
  Answer answer = checked(subject_.step(session_, &step), "step()");
  if (std::string found = damage(memory); !found.empty()) return {kBroken, found, 0, 0};
  if (answer.status != kOk) return answer;
  for (const OneTensor& one : owned_)
    std::memcpy(memory.data() + one.parameter_at, one.parameter->data(), one.parameter_bytes);
  answer = show_state(state_at, memory);
  for (size_t k = 0; k < std::min<size_t>(skipped_.size(), 63); ++k) answer.skipped |= int64_t(skipped_[k] != 0) << k;
  return answer;
}

Answer ForeignSession::show_state(int64_t state_at, std::span<std::byte> memory) {
  if (!PLUMBLINE_HAS(&subject_, plumbline_subject_v1, state) || !subject_.state) return {kOk, "[]", 0, 0};
  const plumbline_array* arrays = nullptr;
  uint64_t count = 0;
  why_text_[0] = 0;
  Answer answer = checked(subject_.state(session_, nullptr, &arrays, &count, &why_), "state()");
  if (answer.status != kOk) return answer;
  const auto wrong = [](const std::string& what) { return Answer{kFailed, "state(): " + what, 0, 0}; };
  if (count > kMostArrays || (count > 0 && !arrays))
    return wrong(fmt::format("{} arrays at {}", count, fmt::ptr(arrays)));
  nlohmann::json list = nlohmann::json::array();
  int64_t at = state_at;
  struct Copy {
    const plumbline_array* array;
    std::vector<int64_t> shape;
    int64_t at, bytes;
  };
  std::vector<Copy> copies;
  for (uint64_t k = 0; k < count; ++k) {
    const plumbline_array& array = *PLUMBLINE_AT(plumbline_array, arrays, k);
    if (arrays->size < sizeof(plumbline_array))
      return wrong(fmt::format("an array of {} bytes: expected at least {}", arrays->size, sizeof(plumbline_array)));
    if (!array.name) return wrong(fmt::format("array {} has no name", k));
    const std::string name = array.name;
    if (!name_of(array.type)) return wrong(fmt::format("{} has type {}: unknown", name, array.type));
    if (array.place != PLUMBLINE_HOST)
      return wrong(fmt::format("{} lies at place {}: expected 1, the host", name, array.place));
    if (array.rank > kMostAxes || (array.rank > 0 && !array.shape))
      return wrong(fmt::format("{} has {} axes: expected at most {}", name, array.rank, kMostAxes));
    if (array.tensor >= owned_.size())
      return wrong(fmt::format("{} belongs to tensor {}: there are {}", name, array.tensor, owned_.size()));
    Copy copy{&array, std::vector<int64_t>(array.shape, array.shape + array.rank), at, 0};
    const auto bytes = bytes_of(array.type, copy.shape);
    if (!bytes) return wrong(fmt::format("{} has an impossible shape", name));
    const auto reached = array.strides ? reach(array, copy.shape) : bytes;
    if (!reached) return wrong(fmt::format("{} has impossible strides", name));
    if (uint64_t(*reached) > array.bytes)
      return wrong(fmt::format("{} has {} bytes: its shape and type need {}", name, array.bytes, *reached));
    if (*bytes > 0 && !array.data) return wrong(fmt::format("{} has no data", name));
    copy.bytes = *bytes;
    list.push_back(
        {{"name", name}, {"type", name_of(array.type)}, {"shape", copy.shape}, {"at", at}, {"tensor", array.tensor}});
    at += (*bytes + 63) / 64 * 64;
    copies.push_back(std::move(copy));
  }
  answer.text = list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (int64_t(answer.text.size()) > kTextCapacity)
    return wrong(fmt::format("{} bytes of descriptions: expected at most {}", answer.text.size(), kTextCapacity));
  answer.memory = at;
  if (at > int64_t(memory.size())) return answer;
  for (const Copy& copy : copies) {
    if (copy.bytes == 0) continue;
    if (copy.array->strides)
      gather(*copy.array, copy.shape, size_t(bits_of(copy.array->type) / 8), memory.data() + copy.at);
    else
      std::memcpy(memory.data() + copy.at, copy.array->data, size_t(copy.bytes));
  }
  return answer;
}

Answer ForeignSession::reload(std::span<const std::byte> memory) {
  if (!PLUMBLINE_HAS(&subject_, plumbline_subject_v1, load) || !subject_.save || !subject_.load)
    return {kCannot, "the library has no save() and load()", 0, 0};
  plumbline_bytes saved{sizeof(plumbline_bytes), nullptr, 0};
  why_text_[0] = 0;
  Answer answer = checked(subject_.save(session_, nullptr, &saved, &why_), "save()");
  if (answer.status != kOk) return answer;
  if (saved.bytes > 0 && !saved.data) return {kFailed, "save(): no data", 0, 0};
  std::vector<std::byte> kept(saved.bytes);
  if (saved.bytes > 0) std::memcpy(kept.data(), saved.data, saved.bytes);
  subject_.finish(session_);
  started_ = false;
  answer = begin();
  if (answer.status != kOk) return answer;
  const plumbline_bytes given{sizeof(plumbline_bytes), kept.data(), kept.size()};
  why_text_[0] = 0;
  answer = checked(subject_.load(session_, nullptr, &given, &why_), "load()");
  if (std::string found = damage(memory); !found.empty()) return {kBroken, "load() " + found, 0, 0};
  return answer;
}

}  // namespace plumbline::harness::live
