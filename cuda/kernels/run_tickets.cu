#include "cuda/kernels/run_tickets.h"
