// Binds problems to the production optimizer on one of its backends.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "cuda/api/checkpoint.h"
#include "cuda/api/optimizer.h"
#include "harness/error.h"
#include "harness/slots.h"
#include "harness/subjects/linear.h"
#include "harness/subjects/memory.h"
#include "harness/subjects/stream.h"
#include "harness/ways.h"

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
              int(Storage::al8) == int(plumbline::Storage::al8) && int(Storage::uf4) == int(plumbline::Storage::uf4) &&
              int(Rounding::dither) == int(plumbline::Rounding::dither));

// Options go by name through both tables, so that an option that one side lacks is an error and not a silent default.
GroupOptions production_options(const Problem& problem) {
  GroupOptions options;
  static const auto rows = reference::option_table<reference::PlumblineOptions>();
  for (const auto& row : rows) {
    const std::string value = reference::get_option(problem.options, row.name);
    if (value != row.default_value) set_option(options, row.name, value);
  }
  set_option(options, "storage", to_string(problem.storage));
  set_option(options, "rounding", to_string(problem.rounding));
  set_option(options, "block", std::to_string(problem.block));
  set_option(options, "momentum_storage", to_string(problem.momentum_storage));
  set_option(options, "momentum_rounding", to_string(problem.momentum_rounding));
  set_option(options, "momentum_block", std::to_string(problem.momentum_block));
  set_option(options, "parameter_rounding", to_string(problem.parameter_rounding));
  set_option(options, "seed", std::to_string(uint32_t(problem.seed)));
  set_option(options, "min_quantized_size", std::to_string(problem.min_quantized_size));
  set_option(options, "parameter_norm", problem.carried_norm ? "carried" : "fresh");
  return options;
}

// A checkpoint file that lives as long as this.
class TemporaryFile {
 public:
  TemporaryFile() {
    static std::atomic<unsigned> files = 0;
    path_ = std::filesystem::temp_directory_path() / fmt::format("plumbline-{}-{}.safetensors", getpid(), files++);
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class ProductionSession final : public Session {
 public:
  ProductionSession(Backend backend, const Problem& problem, std::span<const std::byte> parameter, Way way = Way::again)
      : way_(way),
        memory_(make_memory(backend)),
        resource_(*memory_),
        parameter_(*memory_, parameter.size()),
        gradient_(*memory_, size_t(problem.elements()) * size_of(problem.gradient)),
        parameter_bytes_(parameter.size()),
        problem_(problem) {
    config_.backend = backend;
    config_.memory = &resource_;
    config_.record_second_moment = true;
    config_.schedule_seed = problem.seed + (way == Way::threads ? 1 : 0);
    if (way == Way::threads) config_.threads = 3;
    if (way == Way::stream || way == Way::graph) stream_ = make_stream(backend);
    specs_ = {{"tensor", problem.shape, production_type(problem.parameter), production_type(problem.gradient), 0}};
    pointers_ = {{parameter_.data(), gradient_.data()}};
    if (way == Way::among_others) add_others();
    optimizer_ = make_optimizer();
    if (problem.gradient_scale != 1) optimizer_->set_gradient_multiplier(float(problem.gradient_scale), stream());
    parameter_.write(parameter);
  }

  void step(std::span<const std::byte> gradient, Observation& out) override {
    gradient_.write(gradient);
    if (way_ == Way::reloaded) reload();
    if (stream_ != nullptr) stream_->wait_for_device();
    if (way_ == Way::graph) {
      if (!captured_) stream_->capture([this] { optimizer_->step(pointers_, stream()); });
      captured_ = true;
      stream_->replay();
    } else {
      optimizer_->step(pointers_, stream());
    }
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
    out.momentum_square = a.momentum_square;
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
    out.momentum_new = a.momentum_new;
    out.momentum_old = a.momentum_old;
    out.clipped_update = a.clipped_update;
    out.residual = a.residual;
    out.residual_square = a.residual_square;
    out.projected_additions = a.projected_additions;
    out.low_rank_gradient = a.low_rank_gradient;
    out.low_rank_update = a.low_rank_update;
    out.channel_scale = a.channel_scale;
    out.resolution = a.resolution;
    out.mean_resolution = a.mean_resolution;
    out.log2_absolute_ulps = a.log2_absolute_ulps;
    out.exp2_ulps = a.exp2_ulps;
    out.log_decode = a.log_decode;
    out.linear_decode = a.linear_decode;
    out.dither_exponent = a.dither_exponent;
    out.dither_factor = a.dither_factor;
    out.uniform_encode = a.uniform_encode;
    out.uniform_decode = a.uniform_decode;
    return out;
  }

 private:
  static std::unique_ptr<Memory> make_memory([[maybe_unused]] Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
    if (backend == Backend::cuda) return make_cuda_memory(0);
#endif
    return make_host_memory();
  }
  static std::unique_ptr<DeviceStream> make_stream([[maybe_unused]] Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
    if (backend == Backend::cuda) return make_cuda_stream(0);
#endif
    throw InputError("streams and graphs are a GPU's");
  }
  Stream stream() const { return stream_ == nullptr ? nullptr : stream_->handle(); }

  std::unique_ptr<Optimizer> make_optimizer() const {
    return std::make_unique<Optimizer>(specs_, std::vector{production_options(problem_)}, config_);
  }
  // A twin in shape, which takes the same kernels, and two that do not; their data is the poison of new buffers.
  void add_others() {
    for (const std::vector<int64_t>& shape : {problem_.shape, {7, 5}, {19}}) {
      TensorSpec spec = specs_[0];
      spec.name = fmt::format("other {}", specs_.size());
      spec.shape = shape;
      int64_t size = 1;
      for (const int64_t extent : shape) size *= extent;
      const size_t bytes = size_t(size) * sizeof(float);  // of the widest type
      others_.push_back(std::make_unique<GuardedBuffer>(*memory_, bytes));
      others_.push_back(std::make_unique<GuardedBuffer>(*memory_, bytes));
      pointers_.push_back({others_[others_.size() - 2]->data(), others_.back()->data()});
      specs_.push_back(std::move(spec));
    }
  }
  void reload() {
    save_checkpoint(*optimizer_, file_.path());
    std::unique_ptr<Optimizer> next = make_optimizer();
    load_checkpoint(*next, file_.path());
    optimizer_ = std::move(next);
  }

  void observe(Observation& out) {
    out.parameter.resize(parameter_bytes_);
    StepRecord record = optimizer_->last_step(0, stream());
    parameter_.read(out.parameter);
    out.steps_taken = optimizer_->steps_taken(0, stream());
    out.nonfinite = record.nonfinite;
    // NaN where no option needs it; where one does, a NaN is a value.
    auto shown = [](double x, bool needed) { return needed || !std::isnan(x) ? std::optional(x) : std::nullopt; };
    out.parameter_rms = shown(record.parameter_rms, problem_.options.scale_parameter);
    out.update_rms = shown(record.update_rms, problem_.options.clip > 0);
    out.clip = record.clip;
    out.step_size = record.step_size;
    out.keep = record.keep;
    if (problem_.options.limiter_margin) {
      out.update_norm = record.update_norm;
      out.limiter = record.limiter;
    }
    if (problem_.options.beta1) out.bias = record.bias;
    auto show = [](std::vector<float>& from, std::optional<std::vector<float>>& to) {
      to = from.empty() ? std::nullopt : std::optional(std::move(from));
    };
    show(record.row, out.row);
    show(record.col, out.col);
    show(record.second_moment, out.second_moment);
    show(record.momentum, out.momentum);
    show(record.confidence_row, out.confidence_row);
    show(record.confidence_col, out.confidence_col);
    show(record.low_rank_gradient, out.low_rank_gradient);
    show(record.low_rank_momentum, out.low_rank_momentum);
    show(record.low_rank_second_moment, out.low_rank_second_moment);
    show(record.low_rank_row, out.low_rank_row);
    show(record.low_rank_col, out.low_rank_col);
    show(record.channel_scale, out.channel_scale);
    out.state.clear();
    for (RawSlot& raw : optimizer_->export_raw(0, stream())) {
      SlotState slot;
      const SlotInfo* named = find_slot(raw.name);
      if (raw.name == "previous_norm") {
        double norm;
        std::memcpy(&norm, raw.values.data(), sizeof(norm));
        out.previous_norm = norm;
      }
      if (!named) continue;  // the carried norm: judged as parameter_rms
      slot.slot = named->slot;
      slot.storage = static_cast<Storage>(raw.storage);
      slot.rounding = static_cast<Rounding>(raw.rounding);
      slot.writes = raw.writes;
      slot.matrix = raw.matrix;
      slot.row = raw.row;
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

  Way way_;
  std::unique_ptr<Memory> memory_;
  GuardedResource resource_;
  GuardedBuffer parameter_, gradient_;
  size_t parameter_bytes_;
  Problem problem_;
  OptimizerConfig config_;
  std::vector<TensorSpec> specs_;
  std::vector<std::unique_ptr<GuardedBuffer>> others_;
  std::vector<TensorPointers> pointers_;
  TemporaryFile file_;
  std::unique_ptr<DeviceStream> stream_;
  bool captured_ = false;
  std::unique_ptr<Optimizer> optimizer_;
};

class ProductionSubject final : public Subject, public OffersWays {
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
    return start(problem, parameter, Way::again);
  }
  std::vector<Way> ways() const override {
    std::vector<Way> all = {Way::again, Way::among_others, Way::reloaded};
    if (backend_ != Backend::cuda) return all.push_back(Way::threads), all;
    all.insert(all.end(), {Way::stream, Way::graph});
    return all;
  }
  std::unique_ptr<Session> start(const Problem& problem, std::span<const std::byte> parameter, Way way) const override {
    const std::vector<Way> offered = ways();
    if (std::find(offered.begin(), offered.end(), way) == offered.end())
      throw InputError(fmt::format("subject '{}' has no way '{}'", name_, to_string(way)));
    try {
      return std::make_unique<ProductionSession>(backend_, problem, parameter, way);
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

const char* to_string(Way way) {
  constexpr const char* kNames[] = {"again", "among others", "reloaded", "threads", "stream", "graph"};
  return kNames[int(way)];
}

std::string subject_unavailable(const std::string& name) { return backend_unavailable(parse_backend(name)); }

std::unique_ptr<Subject> make_subject(const std::string& name) {
  const Backend backend = parse_backend(name);
  if (const std::string why = backend_unavailable(backend); !why.empty())
    throw InputError(fmt::format("subject '{}' is not available here: {}", name, why));
  return std::make_unique<ProductionSubject>(name, backend);
}

}  // namespace plumbline::harness
