#include "harness/case_evidence.h"

#include <string>

namespace plumbline::harness {
namespace {

using reference::Tensor;

constexpr size_t kMostBytes = size_t{64} << 20;

const char* safetensors_name(DType type) {
  switch (type) {
    case DType::float64:
      return "F64";
    case DType::float32:
      return "F32";
    case DType::bfloat16:
      return "BF16";
    case DType::float16:
      return "F16";
  }
  return "?";
}

class Gatherer {
 public:
  explicit Gatherer(Evidence& out) : out_(out) {}
  void add(std::string name, const char* dtype, std::vector<int64_t> shape, std::span<const std::byte> bytes) {
    if (bytes.empty() || bytes.size() > left_) return;
    left_ -= bytes.size();
    out_.arrays.push_back({std::move(name), dtype, std::move(shape), {bytes.begin(), bytes.end()}});
  }
  void add(const std::string& name, const std::optional<std::vector<float>>& values) {
    if (values) add(name, "F32", {int64_t(values->size())}, std::as_bytes(std::span(*values)));
  }
  void add(const std::string& name, const Tensor& values) {
    add(name, "F64", values.shape, std::as_bytes(std::span(values.data.data(), size_t(values.size()))));
  }
  void state(const std::string& when, const Observation& observed) {
    for (const SlotState& slot : observed.state) {
      const std::string name = when + "/" + info(slot.slot).name;
      const bool codes = has_codes(slot.storage), brain = slot.storage == Storage::bf16;
      add(name + "/values",
          codes   ? "U8"
          : brain ? "BF16"
                  : "F32",
          {int64_t(slot.values.size()) / (codes   ? 1
                                          : brain ? 2
                                                  : 4)},
          slot.values);
      add(name + "/scales", "F32", {int64_t(slot.scales.size())}, std::as_bytes(std::span(slot.scales)));
    }
  }

 private:
  Evidence& out_;
  size_t left_ = kMostBytes;
};

// Block of the state that value `index` of a slot lies in, counted over the whole batch: none crosses a row.
int64_t block_of(const SlotState& slot, int64_t index) {
  const int64_t row = slot.row_length(), per_row = (row + slot.block - 1) / slot.block;
  return index / row * per_row + index % row / slot.block;
}

}  // namespace

void add_bits(const Observation& observed, Checksum& sum) {
  sum.add(observed.parameter);
  for (const SlotState& slot : observed.state) {
    sum.add(slot.values);
    sum.add(std::as_bytes(std::span(slot.scales)));
  }
  if (observed.previous_norm) sum.add(std::as_bytes(std::span(&*observed.previous_norm, 1)));
}

Evidence gather_evidence(const FailedStep& s) {
  Evidence out;
  out.step = s.step;
  Gatherer to(out);
  const auto& shape = s.problem.shape;
  const char* type = safetensors_name(s.problem.parameter);
  to.add("before/parameter", type, shape, s.parameter);
  to.add("gradient", safetensors_name(s.problem.gradient), shape, s.gradient);
  if (s.before) to.state("before", *s.before);
  to.add("after/parameter", type, shape, s.after.parameter);
  to.state("after", s.after);
  for (const SlotInfo& slot : slot_table()) to.add(std::string("after/") + slot.name, s.after.*slot.observed);
  if (s.twin) {
    to.add("twin/parameter", type, shape, s.twin->parameter);
    to.state("twin", *s.twin);
  }
  to.add("expected/parameter", s.expected);
  if (s.record) {
    to.add("bound/parameter", s.bounds.parameter);
    for (const SlotInfo& slot : slot_table()) {
      to.add(std::string("expected/") + slot.name, s.record->*slot.recorded);
      to.add(std::string("bound/") + slot.name, s.bounds.slot[slot.slot]);
    }
  }
  return out;
}

void describe_storage(const Problem& problem, const Observation& observed, ElementWindow& window) {
  const Quantity q = window.quantity;
  const auto is = [&](auto... any) { return ((q == any) || ...); };
  const bool wide = is(Quantity::parameter_rms, Quantity::update_rms, Quantity::clip, Quantity::update_norm,
                       Quantity::limiter, Quantity::bias, Quantity::previous_norm, Quantity::step_size);
  window.type = is_exact(q)                                          ? "count"
                : wide                                               ? "f64"
                : is(Quantity::parameter, Quantity::parameter_drift) ? to_string(problem.parameter)
                                                                     : "f32";
  for (const SlotState& slot : observed.state) {
    const SlotInfo& at = info(slot.slot);
    if (!is(at.scale, at.code(), at.stored())) continue;
    if (slot.storage == Storage::bf16) window.type = "bf16";
    if (!has_codes(slot.storage)) return;
    if (q == at.code()) window.type = slot.storage == Storage::al16 ? "u16" : "u8";
    const bool log = slot.storage == Storage::al8 || slot.storage == Storage::al16 || slot.storage == Storage::log_u8;
    for (const int64_t index : window.index)
      window.block.push_back(q == at.scale ? index / (log ? 2 : 1) : block_of(slot, index));  // lo and r of a block
  }
}

}  // namespace plumbline::harness
