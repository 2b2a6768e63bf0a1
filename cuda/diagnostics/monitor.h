// What the driver says about a GPU while it works: temperature, clocks, power, ECC counters, other processes. NVML is
// loaded at run time; a machine without it has no readings.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace plumbline::diagnostics {

struct Reading {
  std::optional<int> temperature;                  // degrees Celsius
  std::optional<int> sm_clock, memory_clock;       // MHz
  std::optional<double> power;                     // watts
  std::optional<uint64_t> corrected, uncorrected;  // ECC errors since the driver was loaded
};
struct OtherProcess {
  int pid = 0;
  uint64_t bytes = 0;  // of device memory; 0 where the driver does not say
};

class Monitor {
 public:
  // Of the GPU at a PCI address as CUDA prints it ("0000:3b:00.0").
  explicit Monitor(const std::string& pci);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Why there are no readings; empty when there are.
  const std::string& missing() const { return missing_; }
  Reading read() const;
  std::string driver() const;                         // "580.82.07"; empty without NVML
  std::vector<OtherProcess> other_processes() const;  // that compute on this GPU

 private:
  struct Library;
  std::unique_ptr<Library> library_;
  std::string missing_;
};

}  // namespace plumbline::diagnostics
