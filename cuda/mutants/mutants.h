// The table of the optimizer's deliberate faults, and the switch that picks one (core/mutant.h).
#pragma once
#include <span>
#include <string_view>

#include "cuda/core/mutant.h"

namespace plumbline {

enum class MutantSite : uint8_t { arithmetic, both, twin, kernels };

struct MutantRow {
  core::Mutant id;
  std::string_view name;
  MutantSite site;
  std::string_view breaks, where, stage;
};
std::span<const MutantRow> mutant_table();

// Whether this build of the library has them.
bool mutants_built();
bool kernel_mutants_built();  // and the kernels for a GPU do
// Picks the fault of every optimizer in the process; `none` for a sound one. Not while a step runs. Throws
// std::logic_error in a build without mutants.
void set_mutant(core::Mutant id);
// Multiplies the stage's values by 1 + ulps 2^-23.
void set_perturbation(core::PerturbedStage stage, int ulps);

}  // namespace plumbline
