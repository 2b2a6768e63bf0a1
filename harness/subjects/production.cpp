// Binds problems to the production optimizer on one of its backends.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "cuda/api/optimizer.h"
#include "harness/error.h"
#include "harness/subject.h"
#include "harness/subjects/linear.h"
#include "harness/subjects/memory.h"

namespace plumbline::harness {
namespace {

Type production_type(DType type) {
  switch (type) {
    case DType::bfloat16:
      return Type::bfloat16;
    case DType::float16:
      return Type::float16;
    default:
      return Type::float32;
  }
}

static_assert(int(Storage::linear_u8) == int(plumbline::Storage::linear_u8) &&
              int(Storage::al8) == int(plumbline::Storage::al8));

// Options go by name through both tables, so that an option that one side lacks is an error and not a silent default.
GroupOptions production_options(const Problem& problem) {
  GroupOptions options;
  static const auto rows = reference::option_table<reference::PlumblineOptions>();
  for (const auto& row : rows) {
    const std::string value = reference::get_option(problem.options, row.name);
    if (value != row.default_value) set_option(options, row.name, value);
  }
  set_option(options, "storage", to_string(problem.storage));
  set_option(options, "block", std::to_string(problem.block));
  set_option(options, "min_quantized_size", std::to_string(problem.min_quantized_size));
  set_option(options, "parameter_norm", problem.carried_norm ? "carried" : "fresh");
  return options;
}

class ProductionSession final : public Session {
 public:
  ProductionSession(Backend backend, const Problem& problem, std::span<const std::byte> parameter)
      : memory_(make_memory(backend)),
        resource_(*memory_),
        parameter_(*memory_, parameter.size()),
        gradient_(*memory_, size_t(problem.elements()) * size_of(problem.gradient)),
        parameter_bytes_(parameter.size()),
        factored_(problem.factored()) {
    OptimizerConfig config;
    config.backend = backend;
    config.memory = &resource_;
    config.record_second_moment = true;
    config.schedule_seed = problem.seed;
    TensorSpec spec{"tensor", problem.shape, production_type(problem.parameter), production_type(problem.gradient), 0};
    optimizer_ = std::make_unique<Optimizer>(std::vector{spec}, std::vector{production_options(problem)}, config);
    parameter_.write(parameter);
  }

  void step(std::span<const std::byte> gradient, Observation& out) override {
    gradient_.write(gradient);
    const TensorPointers pointers[] = {{parameter_.data(), gradient_.data()}};
    optimizer_->step(pointers);
    observe(out);
    parameter_.check_guards("parameter");
    gradient_.check_guards("gradient");
    resource_.check_guards();
    check_gradient(gradient);
  }

  Arithmetic arithmetic() const override {
    const plumbline::Arithmetic a = optimizer_->arithmetic(0);
    Arithmetic out;
    out.square = a.square;
    out.row_additions = a.row_additions;
    out.col_additions = a.col_additions;
    out.average_new = a.average_new;
    out.average_old = a.average_old;
    out.full_new = a.full_new;
    out.full_old = a.full_old;
    out.inverse_row = a.inverse_row;
    out.weighted_additions = a.weighted_additions;
    out.row_scale = a.row_scale;
    out.col_scale = a.col_scale;
    out.step_coefficient = a.step_coefficient;
    out.update = a.update;
    out.decayed = a.decayed;
    out.full_update = a.full_update;
    out.log2_absolute_ulps = a.log2_absolute_ulps;
    out.exp2_ulps = a.exp2_ulps;
    out.log_decode = a.log_decode;
    out.linear_decode = a.linear_decode;
    return out;
  }

 private:
  static std::unique_ptr<Memory> make_memory([[maybe_unused]] Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
    if (backend == Backend::cuda) return make_cuda_memory(0);
#endif
    return make_host_memory();
  }

  void observe(Observation& out) {
    out.parameter.resize(parameter_bytes_);
    StepRecord record = optimizer_->last_step(0);
    parameter_.read(out.parameter);
    out.steps_taken = optimizer_->steps_taken(0);
    out.nonfinite = record.nonfinite;
    auto known = [](double x) { return std::isnan(x) ? std::nullopt : std::optional(x); };
    out.parameter_rms = known(record.parameter_rms);
    out.update_rms = known(record.update_rms);
    out.clip = record.clip;
    out.step_size = record.step_size;
    out.keep = record.keep;
    if (factored_) {
      out.row = std::move(record.row);
      out.col = std::move(record.col);
    } else {
      out.second_moment = std::move(record.second_moment);
    }
    out.state.clear();
    for (RawSlot& raw : optimizer_->export_raw(0)) {
      SlotState slot;
      if (raw.name == "row") {
        slot.slot = reference::Slot::row;
      } else if (raw.name == "col") {
        slot.slot = reference::Slot::col;
      } else if (raw.name == "second_moment") {
        slot.slot = reference::Slot::second_moment;
      } else {
        continue;  // the carried norm: judged as parameter_rms
      }
      slot.storage = static_cast<Storage>(raw.storage);
      slot.matrix = raw.matrix;
      slot.block = raw.block;
      slot.values = std::move(raw.values);
      slot.scales = std::move(raw.scales);
      slot.count = raw.count;
      out.state.push_back(std::move(slot));
    }
  }

  void check_gradient(std::span<const std::byte> expected) {
    std::vector<std::byte> now(gradient_.size());
    gradient_.read(now);
    if (std::memcmp(now.data(), expected.data(), now.size()) != 0)
      throw std::runtime_error("the gradient was written to");
  }

  std::unique_ptr<Memory> memory_;
  GuardedResource resource_;
  GuardedBuffer parameter_, gradient_;
  size_t parameter_bytes_;
  bool factored_;
  std::unique_ptr<Optimizer> optimizer_;
};

class ProductionSubject final : public Subject {
 public:
  ProductionSubject(std::string name, Backend backend)
      : name_(std::move(name)), backend_(backend), linear_(make_linear_subject(backend)) {}
  std::string name() const override { return name_; }
  const LinearSubject* linear() const override { return linear_.get(); }
  std::string cannot_run(const Problem& problem) const override {
    // Fibers are for finding faults in small launches, not for size.
    if (backend_ == Backend::emulator && problem.elements() > 1 << 17)
      return "too large for the emulator (more than 2^17 elements)";
    return {};
  }
  std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter) const override {
    try {
      return std::make_unique<ProductionSession>(backend_, problem, parameter);
    } catch (const OptionError& e) {  // what the reference takes and the library does not
      throw InputError(e.what());
    }
  }

 private:
  std::string name_;
  Backend backend_;
  std::unique_ptr<LinearSubject> linear_;
};

Backend parse_backend(const std::string& name) {
  if (name == "host") return Backend::host;
  if (name == "emulator") return Backend::emulator;
  if (name == "cuda") return Backend::cuda;
  throw InputError(fmt::format("subject '{}': expected host, emulator or cuda", name));
}

}  // namespace

std::string subject_unavailable(const std::string& name) { return backend_unavailable(parse_backend(name)); }

std::unique_ptr<Subject> make_subject(const std::string& name) {
  const Backend backend = parse_backend(name);
  if (const std::string why = backend_unavailable(backend); !why.empty())
    throw InputError(fmt::format("subject '{}' is not available here: {}", name, why));
  return std::make_unique<ProductionSubject>(name, backend);
}

}  // namespace plumbline::harness
