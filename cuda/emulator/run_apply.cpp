#include "cuda/kernels/run_apply.h"
