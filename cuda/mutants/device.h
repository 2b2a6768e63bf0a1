// Brings the active fault to the kernels: each file of them has a copy of its own (core/mutant.h) and registers here
// how it is written.
#pragma once
#include "cuda/core/mutant.h"
#ifdef __CUDACC__
#include "cuda/kernels/check.h"
#endif

namespace plumbline {

using FaultCopier = void (*)(const core::ActiveFault&);
struct RegisterFaultCopier {
  explicit RegisterFaultCopier(FaultCopier copy);
};

#ifdef __CUDACC__
// To every device: each has its own copy.
static const RegisterFaultCopier kFaultCopier([](const core::ActiveFault& fault) {
  int count = 0, before = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || cudaGetDevice(&before) != cudaSuccess) {
    cudaGetLastError();  // no device here: nothing runs on it either
    return;
  }
  for (int device = 0; device < count; ++device) {
    gpu::check(cudaSetDevice(device));
    gpu::check(cudaMemcpyToSymbol(core::device_fault, &fault, sizeof fault));
  }
  gpu::check(cudaSetDevice(before));
});
#endif

}  // namespace plumbline
