// Steps of the CUDA optimizer to time: tensors of one type under one set of options, in rotating copies.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/api/optimizer.h"
#include "tests/benchmarks/gpu/timing.h"

namespace plumbline::bench {

using Shape = std::vector<int64_t>;

struct Job {
  std::string name;  // of the tensors: parse_shapes
  std::vector<Shape> shapes;
  Type parameter, gradient;
  std::string variant;
};

// "4096x11008", "1000*4096" (that many vectors), "llama-2-7b" (its 291 tensors), "@FILE": a list of a model's tensors,
// a line a count and a shape (models/). Throws OptionError otherwise.
std::vector<Shape> parse_shapes(const std::string& name);
std::string label_of(const std::string& name);  // of a file its name without folder and end
Type parse_type(const std::string& name);       // "f32", "bf16", "f16"
std::string type_name(Type type);

struct Variant {
  const char* name;
  int gradient_reads;
  double state_bytes;  // moved per element
  bool reads_parameter;
  void (*change)(GroupOptions&);
};
const std::vector<Variant>& variants();
const Variant& variant_of(const std::string& name);  // throws OptionError

// A step takes longer than a case may; the device may still be at work on it.
struct SlowStep : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Steps {
 public:
  // Copies of the tensors, each with its own optimizer, until they are four times the L2 cache; one where a copy alone
  // takes a GiB of parameters. Every optimizer has taken a step. Throws SlowStep where one takes longer than `seconds`.
  Steps(const Job& job, Storage storage, size_t l2_bytes, double seconds = 60);
  // So many replays, or as many as take about `seconds`; at least three.
  int affordable(int replays, double seconds) const;

  // Microseconds of one step: of graph replays on the device; of steps enqueued one by one, between events around each,
  // the device idle before, and by the host's clock from the first of several calls to the end of the last.
  std::vector<double> device_times(int replays);
  std::vector<double> event_times(int steps);
  std::vector<double> host_times(int replays);
  // `steps` steps in the default stream, each behind a kernel named step_marker.
  void run_marked(int steps);

  double model_bytes() const { return model_bytes_; }  // that a step cannot avoid to move
  double floor_bytes() const {
    return floor_bytes_;
  }  // with the state as it is laid out, read and written: scales, too
  int64_t elements() const { return elements_; }
  size_t kernels() const { return graph_->kernels() / size_t(items_); }  // launched by one step
  const Optimizer& optimizer() const { return optimizers_[0]; }
  // For the launches one by one.
  const TensorSpec& spec() const { return specs_[0]; }
  const GroupOptions& options() const { return options_; }
  const TensorPointers& pointers(int i) const { return pointers_[size_t(i) % pointers_.size()][0]; }
  int items() const { return items_; }

 private:
  void step(int i, cudaStream_t stream);

  double model_bytes_ = 0, floor_bytes_ = 0, step_us_ = 0;
  int64_t elements_ = 0;
  int items_ = 0;  // steps of one replay
  GroupOptions options_;
  std::vector<TensorSpec> specs_;
  std::vector<DeviceBuffer> buffers_;
  std::vector<std::vector<TensorPointers>> pointers_;
  std::vector<Optimizer> optimizers_;
  std::unique_ptr<Replay> graph_;
};

}  // namespace plumbline::bench
