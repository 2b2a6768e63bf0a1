#include "cuda/kernels/run_rows.h"
