#include "harness/subjects/living.h"

#include <fmt/format.h>

#include <cstring>

#include "cuda/api/checkpoint.h"
#include "harness/error.h"
#include "harness/subjects/memory.h"
#include "harness/subjects/production_parts.h"
#include "harness/subjects/stream.h"
#include "harness/subjects/temporary_file.h"

namespace plumbline::harness {
namespace {

class ProductionLife final : public LifeSession {
 public:
  ProductionLife(Backend backend, const Life& life, std::span<const std::vector<std::byte>> parameters)
      : memory_(make_backend_memory(backend)), resource_(*memory_) {
    config_.backend = backend;
    config_.memory = &resource_;
    config_.record_second_moment = true;
    config_.schedule_seed = life.seed;
    for (int i = 0; i < int(life.tensors.size()); ++i) {
      problems_.push_back(life.problem(i));
      const Problem& p = problems_.back();
      specs_.push_back({fmt::format("tensor {}", i), p.shape, production_type(p.parameter), production_type(p.gradient),
                        life.tensors[size_t(i)].group});
      parameters_.push_back(std::make_unique<GuardedBuffer>(*memory_, parameters[size_t(i)].size()));
      parameters_.back()->write(parameters[size_t(i)]);
      gradients_.push_back(std::make_unique<GuardedBuffer>(*memory_, size_t(p.elements()) * size_of(p.gradient)));
      pointers_.push_back({parameters_.back()->data(), gradients_.back()->data()});
    }
    for (size_t g = 0; g < life.groups.size(); ++g) {
      Problem group = life.groups[g];
      group.seed = life.seed;
      groups_.push_back(production_options(group));
    }
    scale_ = std::make_unique<GuardedBuffer>(*memory_, sizeof(float));
    optimizer_ = std::make_unique<Optimizer>(specs_, groups_, config_);
  }

  void step(std::span<const std::span<const std::byte>> gradients) override {
    for (size_t i = 0; i < gradients.size(); ++i) gradients_[i]->write(gradients[i]);
    if (stream_ != nullptr) stream_->wait_for_device();
    if (graph_) {
      if (!captured_) stream_->capture([this] { optimizer_->step(pointers_, stream()); });
      captured_ = true;
      stream_->replay();
    } else {
      optimizer_->step(pointers_, stream());
    }
    for (size_t i = 0; i < gradients.size(); ++i) {
      std::vector<std::byte> now(gradients_[i]->size());
      // reads wait for the device, on which a stream of its own may still work
      static_cast<void>(optimizer_->steps_taken(int(i), stream()));
      gradients_[i]->read(now);
      if (std::memcmp(now.data(), gradients[i].data(), now.size()) != 0)
        throw std::runtime_error(fmt::format("tensor {}: the gradient was written to", i));
      parameters_[i]->check_guards("parameter");
      gradients_[i]->check_guards("gradient");
    }
    scale_->check_guards("scale");
    resource_.check_guards();
  }

  void observe(int tensor, Observation& out) override {
    const auto i = size_t(tensor);
    observe_tensor(*optimizer_, tensor, problems_[i], stream(), out);
    out.parameter.resize(parameters_[i]->size());
    parameters_[i]->read(out.parameter);
  }

  Arithmetic arithmetic(int tensor) const override { return arithmetic_of(*optimizer_, tensor); }

  void act(const LifeCommand& command, std::span<const Problem> now) override {
    try {
      apply(command);
    } catch (const OptionError& e) {
      throw InputError(fmt::format("{}: {}", to_string(command.act), e.what()));
    }
    problems_.assign(now.begin(), now.end());
  }

 private:
  static std::unique_ptr<Memory> make_backend_memory([[maybe_unused]] Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
    if (backend == Backend::cuda) return make_cuda_memory(0);
#endif
    return make_host_memory();
  }
  Stream stream() const { return stream_ == nullptr ? nullptr : stream_->handle(); }

  void apply(const LifeCommand& command) {
    switch (command.act) {
      case Act::lr:
        optimizer_->set_lr(command.value, stream(), command.group);
        return;
      case Act::multiplier:
        optimizer_->set_gradient_multiplier(float(command.value), stream());
        return;
      case Act::scale: {
        const auto value = float(command.value);
        scale_->write(std::as_bytes(std::span(&value, 1)));
        optimizer_->set_gradient_scale(static_cast<const float*>(scale_->data()));
        scaled_ = true;
        captured_ = false;
        return;
      }
      case Act::unscale:
        optimizer_->set_gradient_scale(nullptr);
        scaled_ = false;
        captured_ = false;
        return;
      case Act::precision: {
        Problem group;
        keep_as(command.precision, group);
        optimizer_->set_precision(precision_of(production_options(group)), stream(), command.group);
        captured_ = false;
        return;
      }
      case Act::decoded:
        for (int i = 0; i < int(specs_.size()); ++i)
          optimizer_->import_decoded(i, optimizer_->export_decoded(i, stream()), stream());
        return;
      case Act::raw:
        for (int i = 0; i < int(specs_.size()); ++i)
          optimizer_->import_raw(i, optimizer_->steps_taken(i, stream()), optimizer_->export_raw(i, stream()),
                                 stream());
        return;
      case Act::clock:
        for (int i = 0; i < int(specs_.size()); ++i) {
          std::vector<RawSlot> slots = optimizer_->export_raw(i, stream());
          for (RawSlot& slot : slots)
            if (slot.writes > 0) slot.writes = uint32_t(command.count);
          // before its first write a tensor has no clock to set
          if (optimizer_->steps_taken(i, stream()) > 0) optimizer_->import_raw(i, command.count, slots, stream());
        }
        return;
      case Act::resume:
        resume();
        return;
      case Act::stream:
      case Act::graph:
        change_stream(command.act == Act::graph);
        return;
      default:
        throw InputError(fmt::format("{}: no operation beside steps", to_string(command.act)));
    }
  }

  // The next optimizer begins where options stand now. Its scale is the program's own to set again.
  void resume() {
    save_checkpoint(*optimizer_, file_.path(), {}, stream());
    std::vector<GroupOptions> groups = optimizer_->groups();
    config_.threads = config_.threads == 1 ? 3 : 1;
    ++config_.schedule_seed;
    auto next = std::make_unique<Optimizer>(specs_, groups, config_);
    load_checkpoint(*next, file_.path(), Restore::bits, stream());
    optimizer_ = std::move(next);
    if (scaled_) optimizer_->set_gradient_scale(static_cast<const float*>(scale_->data()));
    captured_ = false;
  }
  void change_stream([[maybe_unused]] bool graph) {
#ifdef PLUMBLINE_HAVE_CUDA
    if (config_.backend == Backend::cuda) {
      static_cast<void>(optimizer_->steps_taken(0, stream()));  // waits: the next stream does not
      stream_ = make_cuda_stream(0);
      graph_ = graph;
      captured_ = false;
      return;
    }
#endif
    throw InputError("streams and graphs are a GPU's");
  }

  std::unique_ptr<Memory> memory_;
  GuardedResource resource_;
  OptimizerConfig config_;
  std::vector<Problem> problems_;
  std::vector<TensorSpec> specs_;
  std::vector<GroupOptions> groups_;
  std::vector<std::unique_ptr<GuardedBuffer>> parameters_, gradients_;
  std::unique_ptr<GuardedBuffer> scale_;
  std::vector<TensorPointers> pointers_;
  TemporaryFile file_;
  std::unique_ptr<DeviceStream> stream_;
  bool scaled_ = false, graph_ = false, captured_ = false;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace

bool lives_offer(Backend backend, Act act) {
  return backend == Backend::cuda || (act != Act::stream && act != Act::graph);
}

std::unique_ptr<LifeSession> begin_life(Backend backend, const Life& life,
                                        std::span<const std::vector<std::byte>> parameters) {
  try {
    return std::make_unique<ProductionLife>(backend, life, parameters);
  } catch (const OptionError& e) {  // what the reference takes and the library does not
    throw InputError(e.what());
  }
}

}  // namespace plumbline::harness
