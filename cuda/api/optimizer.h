// The production optimizer: Adafactor, CAME, APOLLO and their kin with quantized state, as fused kernels on a GPU or as
// their twin on the host. Results are the same bits on every run, stream, GPU model and on the host twin.
//
//   Optimizer optimizer({{"w", {4096, 4096}}, {"b", {4096}}}, {presets::adafactor()}, {.backend = Backend::cuda});
//   for (...) {
//     ...  // gradients into device memory, on `stream`
//     optimizer.step(pointers, stream);
//   }
//   save_checkpoint(optimizer, "run.safetensors", {}, stream);     // cuda/api/checkpoint.h
//
// A whole training program: cuda/example/train.cpp. Options and where each comes from: options.h; presets: presets.h.
//
// Errors. OptionError: an argument that the library does not take; what() names it, its value and what is valid.
// CudaError: the device. std::bad_alloc: no memory. A call that throws has changed nothing, unless the device failed in
// the middle of it. An optimizer is used by one thread at a time; different ones are independent.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/api/options.h"
#include "cuda/api/state.h"
#include "cuda/api/tensor.h"
#include "cuda/api/verification.h"

namespace plumbline {

class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Optimizer {
 public:
  // Takes all memory that it will ever need, state at zero and t = 0. Throws OptionError for options, shapes or
  // combinations that are not valid, CudaError for a device that is absent or too old (compute capability < 7.0),
  // std::bad_alloc when memory runs out; nothing stays allocated after a throw.
  Optimizer(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config);
  ~Optimizer();
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  // --- training; in stream order ---

  // One step of every tensor; pointers in the order of the specs. Only enqueues work: no wait, no allocation of device
  // memory, no copy to the host, so it can be captured in a CUDA graph. Throws OptionError, before anything changes,
  // for a wrong count and for pointers that are null, misaligned, overlapping or not in the device's memory; what was
  // found good is not looked at again while the program goes on with the same pointers.
  void step(std::span<const TensorPointers> pointers, Stream stream = nullptr);
  // Sets a group's lr for the following steps. Throws OptionError when out of range.
  void set_lr(double lr, Stream stream = nullptr, int group = 0);
  // Every gradient is multiplied by this float32 in the following steps (1 at first): 1/scale of a scaled loss, or a
  // clip of the global norm. Throws OptionError when it is not positive and finite.
  void set_gradient_multiplier(float multiplier, Stream stream = nullptr);
  // Dynamic loss scaling: the following steps read this float32, in the device's memory, and multiply every gradient by
  // fl(1/scale); a captured graph reads it at every replay. A scale that is not positive and finite then puts every
  // element under the non-finite policy. Null: back to the multiplier that was set. Throws OptionError for an address
  // that is misaligned or not in the device's memory.
  void set_gradient_scale(const float* scale);

  // --- what it is ---

  const std::vector<TensorSpec>& tensors() const;
  const std::vector<GroupOptions>& groups() const;  // as they stand: after set_lr and set_precision
  size_t state_bytes() const;                       // optimizer state, exact
  size_t scratch_bytes() const;                     // beside it, exact: work areas and, on a device, tables
  std::vector<SlotLayout> slot_layouts(int tensor, Stream stream = nullptr) const;  // waits for the stream

  // --- state, in and out; all wait for the stream. `tensor`: index into the specs ---

  int64_t steps_taken(int tensor, Stream stream = nullptr) const;  // t; skipped steps do not count
  float gradient_multiplier(Stream stream = nullptr) const;        // as it was set; a loss scale leaves it
  DecodedState export_decoded(int tensor, Stream stream = nullptr) const;
  std::vector<float> export_decoded(int tensor, std::string_view slot, Stream stream = nullptr) const;
  // Takes values as state, encoded as options say: from another program or another storage. With random roundings this
  // is one more write of the tensor's slots. A carried parameter norm is formed anew by the next step. Throws
  // OptionError for slots that are missing, unknown or of another size, and for negative averages.
  void import_decoded(int tensor, const DecodedState& state, Stream stream = nullptr);
  // Throws what import_decoded would, and changes nothing.
  void check_decoded(int tensor, const DecodedState& state) const;

  std::vector<RawSlot> export_raw(int tensor, Stream stream = nullptr) const;
  RawSlot export_raw(int tensor, std::string_view slot, Stream stream = nullptr) const;
  // Takes stored bytes as they are. Random parts of codes belong to the seed and the tensor's place among the specs,
  // which have to be those of the exporter. Throws OptionError for slots that are missing or of another form, and for
  // bytes that no write of the library makes: codes and scales out of range, a used padding nibble, a negative average.
  void import_raw(int tensor, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream = nullptr);
  // Throws what import_raw would, and changes nothing.
  void check_raw(int tensor, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream = nullptr) const;

  // Changes how a group's state is kept, between steps: every slot whose form changes is decoded and encoded anew (one
  // more write of its tensor's slots), the others keep their bits, save that dither anywhere in such a tensor is drawn
  // anew. t, norms, lr and multiplier stay. Memory for the new state and scratch is taken before the old is given back.
  // Addresses change: graphs captured before have to be captured again. Throws OptionError for an invalid precision,
  // std::bad_alloc.
  void set_precision(const Precision& precision, Stream stream = nullptr, int group = 0);

  // --- verification ---

  // Of the last step since the start or the last set_precision, which gives the scratch back; its `step` is 0 where
  // there was none. Waits for the stream.
  StepRecord last_step(int tensor, Stream stream = nullptr) const;
  Arithmetic arithmetic(int tensor) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Why the backend cannot run here ("no CUDA device", "compute capability 6.1 < 7.0", "built without CUDA"); empty: it
// can.
std::string backend_unavailable(Backend backend, int device = 0);

}  // namespace plumbline
