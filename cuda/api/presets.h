// Options of known optimizers, as their papers and programs set them. A preset is a start: change fields as you like.
// All keep the library's defaults of storage: second moments in al8 to nearest, momentum in uf8, stochastic, whose
// loss is within what seeds do (reports/published/host/drift.md). 16-bit
// parameters are rounded stochastically: to nearest, bfloat16 loses decay and steps below half an ulp.
#pragma once
#include <string_view>
#include <vector>

#include "cuda/api/options.h"

namespace plumbline::presets {

// Adafactor with relative step sizes: rho_t = min(1e-2, 1/sqrt(t)) scaled by RMS(p), w_t = t^-0.8, clip at 1, no
// momentum.                                                          [Shazeer & Stern 2018, algorithm 6]
GroupOptions adafactor();

// CAME: beta 0.9, 0.999, 0.9999, eps 1e-30 and 1e-16, clip at 1, lr 2e-4, decay by lr. The library corrects the bias of
// the averages, which the published program does not.                [Luo et al. 2023, and came_pytorch]
GroupOptions came();

// APOLLO: channel scales from Adam moments (0.9, 0.999, eps 1e-6) of a projection to rank 256, renewed every 200 steps;
// norm growth limited to 1.01; lr 1e-2, no clip, decay by lr.        [Zhu et al. 2024, and apollo_torch]
GroupOptions apollo();

// APOLLO-Mini: rank 1, one scale a tensor, multiplied by sqrt(128).  [Zhu et al. 2024, and apollo_torch]
GroupOptions apollo_mini();

// Adam's rule on quantized state: full second moments, momentum of the gradient, beta 0.9 and 0.999, bias correction,
// lr 1e-3 unscaled, no clip, decay by lr as AdamW. Adam's eps of 1e-8 beside the root is eps1 = 1e-16 under it here.
//                                                                    [Kingma & Ba 2015; Loshchilov & Hutter 2019]
GroupOptions adam_style();

// The same by name, for command lines; throws OptionError naming the known ones.
GroupOptions by_name(std::string_view name);
const std::vector<std::string_view>& names();

}  // namespace plumbline::presets
