#include "cuda/diagnostics/scan_run.h"

namespace plumbline::diagnostics {

Scan scan_on_emulator(const ScanSubject& subject, int shift, uint64_t schedule_seed) {
  OptimizerConfig config;
  config.backend = Backend::emulator;
  config.schedule_seed = schedule_seed;
  return emulated::run_scan(emulated::Runtime(config), subject, shift);
}

}  // namespace plumbline::diagnostics
