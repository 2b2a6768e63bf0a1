#include "cuda/kernels/run_packed.h"
