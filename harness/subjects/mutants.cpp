#include "harness/mutants.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "cuda/mutants/mutants.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

using core::PerturbedStage;

constexpr std::array<std::pair<Quantity, PerturbedStage>, 22> kStages = {{
    {Quantity::parameter_rms, PerturbedStage::parameter_rms},
    {Quantity::row, PerturbedStage::row},
    {Quantity::col, PerturbedStage::col},
    {Quantity::second_moment, PerturbedStage::second_moment},
    {Quantity::low_rank_gradient, PerturbedStage::low_rank_gradient},
    {Quantity::low_rank_second_moment, PerturbedStage::low_rank_second_moment},
    {Quantity::low_rank_row, PerturbedStage::low_rank_row},
    {Quantity::low_rank_col, PerturbedStage::low_rank_col},
    {Quantity::momentum, PerturbedStage::momentum},
    {Quantity::momentum_scale, PerturbedStage::momentum_scale},
    {Quantity::channel_scale, PerturbedStage::channel_scale},
    {Quantity::update_rms, PerturbedStage::update_rms},
    {Quantity::clip, PerturbedStage::clip},
    {Quantity::confidence_row, PerturbedStage::confidence_row},
    {Quantity::confidence_col, PerturbedStage::confidence_col},
    {Quantity::update_norm, PerturbedStage::update_norm},
    {Quantity::limiter, PerturbedStage::limiter},
    {Quantity::bias, PerturbedStage::bias},
    {Quantity::step_size, PerturbedStage::step_size},
    {Quantity::keep, PerturbedStage::keep},
    {Quantity::row_scale, PerturbedStage::row_scale},
    {Quantity::parameter, PerturbedStage::parameter},
}};

void expect_built() {
  if (!plumbline::mutants_built()) throw InputError("this program was linked without mutants: use plumbline-mutants");
}

}  // namespace

const std::vector<OptimizerMutant>& optimizer_mutants() {
  static const std::vector<OptimizerMutant> all = [] {
    std::vector<OptimizerMutant> list;
    for (const MutantRow& row : mutant_table())
      list.push_back({std::string(row.name), std::string(row.breaks), std::string(row.where), std::string(row.stage),
                      row.site != MutantSite::kernels, row.site != MutantSite::twin});
    return list;
  }();
  return all;
}

bool mutants_built(const std::string& subject) {
  return subject == "cuda" ? plumbline::kernel_mutants_built() : plumbline::mutants_built();
}

ActiveMutant::ActiveMutant(const std::string& id) {
  expect_built();
  for (const MutantRow& row : mutant_table())
    if (row.name == id) {
      set_mutant(row.id);
      return;
    }
  std::vector<std::string_view> known;
  for (const MutantRow& row : mutant_table()) known.push_back(row.name);
  throw InputError(fmt::format("mutant '{}': expected one of {}", id, fmt::join(known, ", ")));
}

ActiveMutant::ActiveMutant(Quantity stage, int ulps) {
  expect_built();
  for (const auto& [quantity, perturbed] : kStages)
    if (quantity == stage) {
      set_perturbation(perturbed, ulps);
      return;
    }
  throw InputError(fmt::format("stage '{}' cannot be perturbed", to_string(stage)));
}

ActiveMutant::~ActiveMutant() { set_mutant(core::Mutant::none); }

std::vector<Quantity> perturbed_stages() {
  std::vector<Quantity> stages;
  stages.reserve(kStages.size());
  for (const auto& [quantity, perturbed] : kStages) stages.push_back(quantity);
  return stages;
}

}  // namespace plumbline::harness
