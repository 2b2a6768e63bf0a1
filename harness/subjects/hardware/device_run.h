// Everything that was found out about one device.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cuda/diagnostics/codec_points.h"
#include "cuda/diagnostics/fingerprint.h"
#include "cuda/diagnostics/gpus.h"
#include "cuda/diagnostics/ieee.h"
#include "cuda/diagnostics/scan.h"
#include "cuda/diagnostics/sensitivity.h"
#include "cuda/diagnostics/soak.h"
#include "harness/subjects/hardware/options.h"

namespace plumbline::harness::hardware {

// A place to run: a GPU, the host twin, or the emulator.
struct Target {
  Backend backend = Backend::host;
  diagnostics::GpuDescription gpu;  // of a GPU
  std::string label;                // "GPU 0", "host"
  std::string name;                 // "NVIDIA H100 80GB HBM3", the processor
};

struct ScanRun {
  diagnostics::ScanSubject subject;
  diagnostics::Scan scan;
  double seconds = 0;
  bool good = false;
};
struct OperationRun {
  std::string name;
  uint64_t vectors = 0, wrong = 0;
  std::string first_wrong;  // operands, got, expected
  diagnostics::FlushToZero flush;
};
struct CodecRun {
  std::string name;
  diagnostics::CodecFaults faults;
  uint64_t unlike_host = 0;  // points that differ from the host twin's
};

struct DeviceRun {
  Target target;
  std::string driver;
  std::vector<std::string> notes;   // what could not be done or was not as it should be; not red
  std::vector<std::string> errors;  // red
  std::vector<std::string> missed;  // what was wanted and did not run, or not all of it, and why: neither good nor red
  std::vector<ScanRun> scans;
  std::vector<OperationRun> operations;
  std::vector<CodecRun> codecs;
  diagnostics::Fingerprint fingerprint;
  std::optional<diagnostics::Comparison> with_host, with_other;
  std::string other;  // what with_other compares with
  std::vector<diagnostics::SensitivityRow> sensitivity;
  std::optional<diagnostics::SoakResult> soak;
  double part_seconds[kParts] = {};

  bool good(Part part) const;            // nothing that ran of it was wrong
  bool ran(Part part) const;             // any of it
  bool ran() const;                      // any part
  bool wrong() const;                    // something that ran was
  bool good() const;                     // all that was wanted ran, and nothing was wrong
  const char* verdict() const;           // "good", "RED", "incomplete"
  std::string verdict(Part part) const;  // the same, or "not run"
};

// What the host twin gives, computed once for all devices.
struct HostAnswers {
  std::vector<diagnostics::Probe> probes;
  diagnostics::Fingerprint fingerprint;
};

struct Other {  // what --against names
  std::string label;
  diagnostics::Fingerprint fingerprint;
  std::optional<int> gpu;  // it is a GPU of this host: differences can be placed
};

// Runs every wanted part. `deadline` in seconds from now; `say` gets a line as each part ends.
DeviceRun run_device(const Target& target, const Options& options, const HostAnswers& host, const Other* other,
                     std::optional<int> second_gpu, double deadline,
                     const std::function<void(const std::string&)>& say);

// Names the devices whose results differ from those of the others, or of the host twin where there are only two.
std::vector<std::string> odd_ones(const std::vector<DeviceRun>& runs);

}  // namespace plumbline::harness::hardware
