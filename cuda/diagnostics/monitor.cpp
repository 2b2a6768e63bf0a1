#include "cuda/diagnostics/monitor.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>

namespace plumbline::diagnostics {
namespace {

// The parts of NVML's interface that are used, by its documentation: a handle, and codes of which 0 is success.
using Handle = void*;
constexpr int kSuccess = 0, kInsufficientSize = 7;
constexpr unsigned kTemperatureGpu = 0, kClockSm = 1, kClockMemory = 2;
constexpr unsigned kCorrected = 0, kUncorrected = 1, kVolatile = 0;
struct ProcessInfo {  // nvmlProcessInfo_t of the _v2 and _v3 calls
  unsigned pid;
  unsigned long long bytes;
  unsigned gpu_instance, compute_instance;
};

}  // namespace

struct Monitor::Library {
  void* library = nullptr;
  Handle device = nullptr;
  bool started = false;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error)(int) = nullptr;
  int (*by_pci)(const char*, Handle*) = nullptr;
  int (*temperature)(Handle, unsigned, unsigned*) = nullptr;
  int (*clock)(Handle, unsigned, unsigned*) = nullptr;
  int (*power)(Handle, unsigned*) = nullptr;
  int (*ecc)(Handle, unsigned, unsigned, unsigned long long*) = nullptr;
  int (*processes)(Handle, unsigned*, ProcessInfo*) = nullptr;
  int (*driver)(char*, unsigned) = nullptr;

  ~Library() {
    if (started) shutdown();
    if (library != nullptr) dlclose(library);
  }
  template <class F>
  bool bind(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library, name));
    return function != nullptr;
  }
};

Monitor::Monitor(const std::string& pci) : library_(std::make_unique<Library>()) {
  Library& l = *library_;
  l.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (l.library == nullptr) {
    missing_ = "NVML (libnvidia-ml.so.1) is not installed";
    return;
  }
  if (!l.bind(l.init, "nvmlInit_v2") || !l.bind(l.shutdown, "nvmlShutdown") || !l.bind(l.error, "nvmlErrorString") ||
      !l.bind(l.by_pci, "nvmlDeviceGetHandleByPciBusId_v2")) {
    missing_ = "NVML (libnvidia-ml.so.1) is too old";
    return;
  }
  if (const int code = l.init(); code != kSuccess) {
    missing_ = fmt::format("NVML does not start: {}", l.error(code));
    return;
  }
  l.started = true;
  if (const int code = l.by_pci(pci.c_str(), &l.device); code != kSuccess) {
    missing_ = fmt::format("NVML does not know the GPU at {}: {}", pci, l.error(code));
    return;
  }
  // any of these may be absent: readings are then, too
  l.bind(l.temperature, "nvmlDeviceGetTemperature");
  l.bind(l.clock, "nvmlDeviceGetClockInfo");
  l.bind(l.power, "nvmlDeviceGetPowerUsage");
  l.bind(l.ecc, "nvmlDeviceGetTotalEccErrors");
  l.bind(l.driver, "nvmlSystemGetDriverVersion");
  if (!l.bind(l.processes, "nvmlDeviceGetComputeRunningProcesses_v3"))
    l.bind(l.processes, "nvmlDeviceGetComputeRunningProcesses_v2");
}
Monitor::~Monitor() = default;

Reading Monitor::read() const {
  Reading reading;
  if (!missing_.empty()) return reading;
  const Library& l = *library_;
  unsigned value = 0;
  if (l.temperature != nullptr && l.temperature(l.device, kTemperatureGpu, &value) == kSuccess)
    reading.temperature = int(value);
  if (l.clock != nullptr && l.clock(l.device, kClockSm, &value) == kSuccess) reading.sm_clock = int(value);
  if (l.clock != nullptr && l.clock(l.device, kClockMemory, &value) == kSuccess) reading.memory_clock = int(value);
  if (l.power != nullptr && l.power(l.device, &value) == kSuccess) reading.power = value * 1e-3;
  unsigned long long count = 0;
  if (l.ecc != nullptr && l.ecc(l.device, kCorrected, kVolatile, &count) == kSuccess) reading.corrected = count;
  if (l.ecc != nullptr && l.ecc(l.device, kUncorrected, kVolatile, &count) == kSuccess) reading.uncorrected = count;
  return reading;
}

std::string Monitor::driver() const {
  std::array<char, 96> text{};
  if (!missing_.empty() || library_->driver == nullptr || library_->driver(text.data(), text.size() - 1) != kSuccess)
    return {};
  return text.data();
}

std::vector<OtherProcess> Monitor::other_processes() const {
  if (!missing_.empty() || library_->processes == nullptr) return {};
  std::vector<ProcessInfo> list(64);
  auto count = unsigned(list.size());
  int code = library_->processes(library_->device, &count, list.data());
  if (code == kInsufficientSize) {
    list.resize(count + 16);
    count = unsigned(list.size());
    code = library_->processes(library_->device, &count, list.data());
  }
  if (code != kSuccess) return {};
  std::vector<OtherProcess> others;
  for (unsigned i = 0; i < count; ++i) {
    const ProcessInfo& p = list[i];
    if (int(p.pid) != getpid()) others.push_back({int(p.pid), p.bytes == ~0ull ? 0 : uint64_t(p.bytes)});
  }
  return others;
}

}  // namespace plumbline::diagnostics
