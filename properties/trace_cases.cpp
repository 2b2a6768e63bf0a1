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
};
constexpr std::array<OptionSet, 5> kOptionSets = {{
    {"default", ""},
    {"training", "param=bf16 grad=bf16 weight_decay=0.1 weight_decay_by=lr clip=0.5"},
    {"relative", "relative_step=true lr=0.05 eps2=0.01 parameter_norm=carried"},
    {"unfactored", "factored=false beta2=0.99 lr=0.001 scale_parameter=false"},
    {"half", "param=f16 grad=f16 beta2_decay=-0.5 block=256 clip=0"},
}};
constexpr std::array<const char*, 2> kTraces = {"digits_cnn", "gpt_bytes"};

std::vector<harness::PlannedCase> plan(const harness::SuiteRequest& request) {
  const bool emulator = request.subject == "emulator", quick = request.size == harness::SuiteSize::quick;
  std::vector<harness::PlannedCase> cases;
  for (const char* name : kTraces) {
    const auto trace = harness::Trace::shared(harness::trace_path(name));
    for (const harness::Trace::TensorInfo& tensor : trace->tensors())
      for (const OptionSet& set : kOptionSets)
        for (int storage = 0; storage < harness::kStorages; ++storage) {
          const int64_t steps = emulator ? std::min<int64_t>(trace->steps(), 3)
                                : quick  ? std::min<int64_t>(trace->steps(), 24)
                                         : trace->steps();
          std::string line = fmt::format("shape={} min_quantized_size=1 storage={} trace={} tensor={} steps={} seed=1",
                                         fmt::join(tensor.shape, "x"),
                                         to_string(static_cast<harness::Storage>(storage)), name, tensor.name, steps);
          if (*set.words) line += fmt::format(" {}", set.words);
          cases.push_back({harness::parse_problem(line), "traces", true});
        }
  }
  return cases;
}

const harness::RegisterCaseSource kRegistration({"traces", plan});

}  // namespace
}  // namespace plumbline::properties
