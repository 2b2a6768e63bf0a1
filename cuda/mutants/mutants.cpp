#include "cuda/mutants/mutants.h"

#include <array>
#include <stdexcept>
#include <vector>

#ifdef PLUMBLINE_MUTANTS
#include "cuda/mutants/device.h"
#endif

namespace plumbline {
namespace {

constexpr MutantRow kTable[] = {
#define PLUMBLINE_MUTANT(id, site, breaks, where, stage) \
  {core::Mutant::id, #id, MutantSite::site, breaks, where, stage},
#include "cuda/mutants/table.inc"
#undef PLUMBLINE_MUTANT
};

}  // namespace

std::span<const MutantRow> mutant_table() { return kTable; }

#ifdef PLUMBLINE_MUTANTS
namespace core {
ActiveFault active_fault;
}
namespace {
std::vector<FaultCopier>& copiers() {
  static std::vector<FaultCopier> all;
  return all;
}
void activate(const core::ActiveFault& fault) {
  core::active_fault = fault;
  for (const FaultCopier copy : copiers()) copy(fault);
}
}  // namespace

RegisterFaultCopier::RegisterFaultCopier(FaultCopier copy) { copiers().push_back(copy); }
bool mutants_built() { return true; }
bool kernel_mutants_built() { return !copiers().empty(); }
void set_mutant(core::Mutant id) { activate({id, core::PerturbedStage::none, 1.0f}); }
void set_perturbation(core::PerturbedStage stage, int ulps) {
  activate({core::Mutant::none, stage, 1.0f + float(ulps) * 0x1p-23f});
}
#else
bool mutants_built() { return false; }
bool kernel_mutants_built() { return false; }
void set_mutant(core::Mutant) { throw std::logic_error("this build of the library has no mutants"); }
void set_perturbation(core::PerturbedStage, int) { throw std::logic_error("this build of the library has no mutants"); }
#endif

}  // namespace plumbline
