#include "cuda/kernels/run_full.h"
