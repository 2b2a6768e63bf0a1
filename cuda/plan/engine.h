// What a backend does: hold the arenas of a plan and run steps. Optimizer stands on this and knows no backend.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "cuda/api/optimizer.h"
#include "cuda/plan/plan.h"

namespace plumbline {

enum class ArenaKind : uint8_t { state, scratch };

class Engine {
 public:
  virtual ~Engine() = default;
  // One step of every tensor; the pointers were checked. Enqueues only.
  virtual void step(std::span<const TensorPointers> pointers, Stream stream) = 0;
  // Group's lr for the steps that follow in stream order.
  virtual void set_lr(int group, double lr, Stream stream) = 0;
  // Multiplier of every gradient, likewise.
  virtual void set_multiplier(float multiplier, Stream stream) = 0;
  // The following steps set the multiplier from this float32 of the backend's memory; null: back to the one given.
  virtual void set_scale(const float* scale) = 0;
  // Why a step could not use this address; empty: it could.
  virtual std::string address_fault(const void*) const { return {}; }
  // Bytes of memory beside the plan's arenas: tables of a device.
  virtual size_t table_bytes() const { return 0; }
  // Bytes of an arena to the host and host bytes to the state arena; both wait for the stream.
  virtual void read(ArenaKind arena, size_t offset, std::span<std::byte> to, Stream stream) const = 0;
  virtual void write_state(size_t offset, std::span<const std::byte> from, Stream stream) = 0;
};

// Each takes its arenas from config.memory, or by default from where the backend's memory lies; writes initial_state()
// and zeroes scratch. The plan must outlive the engine. Throws CudaError where the backend cannot run, std::bad_alloc.
std::unique_ptr<Engine> make_host_engine(const Plan& plan, const OptimizerConfig& config);
std::unique_ptr<Engine> make_emulator_engine(const Plan& plan, const OptimizerConfig& config);
// make_plan's sweep_columns for such an engine.
int emulator_sweep_columns(const OptimizerConfig& config);
#ifdef PLUMBLINE_HAVE_CUDA
int cuda_sweep_columns(const OptimizerConfig& config);  // 0 where it cannot be used
std::unique_ptr<Engine> make_cuda_engine(const Plan& plan, const OptimizerConfig& config);
// Why the device cannot be used; empty when it can.
std::string cuda_unavailable(int device);
#endif

}  // namespace plumbline
