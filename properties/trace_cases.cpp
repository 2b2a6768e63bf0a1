// Replays recorded trainings: every tensor of every trace under several option sets and storages.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "harness/data.h"
#include "harness/registry.h"

namespace plumbline::properties {
namespace {

struct OptionSet {
  const char* name;
  const char* words;
  bool every_storage;  // else al8 and al16 alone
};
constexpr std::array<OptionSet, 9> kOptionSets = {{
    {"default", "", true},
    {"training", "param=bf16 grad=bf16 weight_decay=0.1 weight_decay_by=lr clip=0.5", true},
    {"relative", "relative_step=true lr=0.05 eps2=0.01 parameter_norm=carried", true},
    {"unfactored", "factored=false beta2=0.99 lr=0.001 scale_parameter=false", true},
    {"half", "param=f16 grad=f16 beta2_decay=-0.5 block=256 clip=0", true},
    {"momentum", "beta1=0.9 beta2=0.999", false},
    {"came",
     "beta1=0.9 momentum_of=update beta3=0.999 rounding=stochastic limiter_margin=0.01 scale_parameter=false "
     "lr=0.001",
     false},
    {"apollo",
     "projection_rank=4 projection_refresh=8 beta1=0.9 momentum_storage=uf8 limiter_margin=0.01 "
     "scale_parameter=false lr=0.01 clip=0",
     false},
    {"apollo_mini",
     "projection_rank=1 projection_scale_by=tensor projection_scale=128 projection_factored=true "
     "beta1=0.9 momentum_rounding=stochastic param=bf16 parameter_rounding=stochastic lr=0.001",
     false},
}};
constexpr std::array<const char*, 2> kTraces = {"digits_cnn", "gpt_bytes"};

std::vector<harness::PlannedCase> plan(const harness::SuiteRequest& request) {
  const bool emulator = request.subject == "emulator", quick = request.size == harness::SuiteSize::quick;
  std::vector<harness::PlannedCase> cases;
  for (const char* name : kTraces) {
    const auto trace = harness::Trace::shared(harness::trace_path(name));
    for (const harness::Trace::TensorInfo& tensor : trace->tensors())
      for (const OptionSet& set : kOptionSets)
        for (int storage = 0; storage < harness::kAverageStorages; ++storage) {
          const auto kept = static_cast<harness::Storage>(storage);
          if (!set.every_storage && kept != harness::Storage::al8 && kept != harness::Storage::al16) continue;
          const int64_t steps = emulator ? std::min<int64_t>(trace->steps(), 3)
                                : quick  ? std::min<int64_t>(trace->steps(), 24)
                                         : trace->steps();
          std::string line = fmt::format("shape={} min_quantized_size=1 storage={} trace={} tensor={} steps={} seed=1",
                                         fmt::join(tensor.shape, "x"), to_string(kept), name, tensor.name, steps);
          if (*set.words) line += fmt::format(" {}", set.words);
          cases.push_back({harness::parse_problem(line), "traces", true});
        }
  }
  return cases;
}

const harness::RegisterCaseSource kRegistration({"traces", plan});

}  // namespace
}  // namespace plumbline::properties
