// Brings the active fault to the kernels: each file of them has a copy of its own (core/mutant.h) and registers here
// how it is written.
#pragma once
#include "cuda/core/mutant.h"

namespace plumbline {

using FaultCopier = void (*)(const core::ActiveFault&);
struct RegisterFaultCopier {
  explicit RegisterFaultCopier(FaultCopier copy);
};

#ifdef __CUDACC__
static const RegisterFaultCopier kFaultCopier([](const core::ActiveFault& fault) {
  if (cudaMemcpyToSymbol(core::device_fault, &fault, sizeof fault) == cudaSuccess) return;
  cudaGetLastError();  // no device here: nothing runs on it either
});
#endif

}  // namespace plumbline
