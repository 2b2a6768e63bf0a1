#include "cuda/diagnostics/scan_run.h"

namespace plumbline::diagnostics {

Scan scan_on_gpu(const ScanSubject& subject, int shift, int device) {
  OptimizerConfig config;
  config.backend = Backend::cuda;
  config.device = device;
  return gpu::run_scan(gpu::Runtime(config), subject, shift);
}

}  // namespace plumbline::diagnostics
