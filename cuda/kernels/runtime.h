// Memory and launches of the device that kernels are built for: the GPU, or the emulator.
#pragma once
#include "cuda/device.h"
#ifdef PLUMBLINE_EMULATOR
#include "cuda/emulator/runtime.h"
#else
#include "cuda/kernels/gpu_runtime.h"
#endif

// A launch that carries the kernel's name into messages.
#define PLUMBLINE_LAUNCH(runtime, kernel, ...) (runtime).launch(#kernel, kernel, __VA_ARGS__)
