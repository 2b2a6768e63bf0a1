// Binds problems to the production optimizer on one of its backends.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cuda/api/checkpoint.h"
#include "cuda/api/optimizer.h"
#include "harness/error.h"
#include "harness/subjects/linear.h"
#include "harness/subjects/living.h"
#include "harness/subjects/memory.h"
#include "harness/subjects/production_parts.h"
#include "harness/subjects/stream.h"
#include "harness/subjects/temporary_file.h"
#include "harness/ways.h"

namespace plumbline::harness {
namespace {

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
    // those before it are small, so that they cost little
    for (int i = 0; i < problem.place; ++i) add_other({1 + i % 3});
    specs_.push_back(
        {"tensor", problem.shape, production_type(problem.parameter), production_type(problem.gradient), 0});
    pointers_.push_back({parameter_.data(), gradient_.data()});
    // a twin in shape, which takes the same kernels, and two that do not
    if (way == Way::among_others)
      for (const std::vector<int64_t>& shape : {problem_.shape, {7, 5}, {19}}) add_other(shape);
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

  Arithmetic arithmetic() const override { return arithmetic_of(*optimizer_, problem_.place); }

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
  // Its data is the poison of new buffers.
  void add_other(const std::vector<int64_t>& shape) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    const size_t bytes = size_t(size) * sizeof(float);  // of the widest type
    for (int i = 0; i < 2; ++i) others_.push_back(std::make_unique<GuardedBuffer>(*memory_, bytes));
    pointers_.push_back({others_[others_.size() - 2]->data(), others_.back()->data()});
    specs_.push_back({fmt::format("other {}", specs_.size()), shape, production_type(problem_.parameter),
                      production_type(problem_.gradient), 0});
  }
  void reload() {
    save_checkpoint(*optimizer_, file_.path());
    std::unique_ptr<Optimizer> next = make_optimizer();
    load_checkpoint(*next, file_.path());
    optimizer_ = std::move(next);
  }

  void observe(Observation& out) {
    out.parameter.resize(parameter_bytes_);
    observe_tensor(*optimizer_, problem_.place, problem_, stream(), out);
    parameter_.read(out.parameter);
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

class ProductionSubject final : public Subject, public OffersWays, public OffersLives {
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

  bool offers(Act act) const override { return lives_offer(backend_, act); }
  std::unique_ptr<LifeSession> begin(const Life& life,
                                     std::span<const std::vector<std::byte>> parameters) const override {
    return begin_life(backend_, life, parameters);
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
