#include "cuda/kernels/run_sweep.h"
