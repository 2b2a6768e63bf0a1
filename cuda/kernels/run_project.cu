#include "cuda/kernels/run_project.h"
