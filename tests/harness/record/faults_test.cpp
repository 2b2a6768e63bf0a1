// Which faults of an optimizer a recording shows, by what it was recorded in: always with state in float64 and float32;
// elsewhere the smallest size that is noticed, and what cannot be shown.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <map>

#include "harness/recorded.h"
#include "tests/harness/float_peers.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;

Trace recorded(const std::string& stem) { return Trace::read(fs::path(CONFORMANCE_FOLDER) / (stem + ".safetensors")); }

// How many tensors fail; stops at the first where one is enough.
int failures(const Trace& run, const Replay& how, bool one_is_enough, std::string* why = nullptr) {
  const Trace trace(SafeTensors::parse(as_bytes(replay(run, how).packed().bytes()), "replay"));
  int count = 0;
  for (const auto& tensor : trace.tensors()) {
    bool finite = true;
    for (int64_t t = 1; t <= trace.steps(); ++t) finite &= trace.gradient(tensor.name, t).data.allFinite();
    if (!finite) continue;
    const CaseResult result = judge_recorded(trace, {"", tensor.name});
    if (result.verdict != Verdict::fail) continue;
    ++count;
    if (why && why->empty()) *why = result.reason;
    if (one_is_enough) break;
  }
  return count;
}

struct Storage {
  const char* name;
  Replay how;
};
std::vector<Storage> storages() {
  Replay wide, single, alone, brain, codes;
  wide.results = wide.parameter = wide.state = DType::float64;
  alone.record_state = false;
  brain.parameter = DType::bfloat16;
  codes.averages = "al8";
  codes.momentum = "uf8";
  return {{"float64", wide}, {"float32", single}, {"float32, no state", alone}, {"bfloat16", brain}, {"codes", codes}};
}

struct Subject {
  const char* stem;
  bool momentum, factored, decay, eps1;
};
// One run of each peer; rlx records no state.
constexpr Subject kSubjects[] = {
    {"torch-decay", false, true, true, true},   {"huggingface-momentum-decay", true, true, true, true},
    {"came-decay", true, true, true, true},     {"optax-decay", false, true, true, true},
    {"apollo-decay", true, false, true, false}, {"fira-decay", true, false, true, false},
};

bool acts(Fault fault, const Subject& subject, const Storage& storage) {
  switch (fault) {
    case Fault::beta1:
      return subject.momentum;
    case Fault::beta3:
      return std::string(subject.stem).starts_with("came");
    case Fault::eps1_tenfold:
      return subject.eps1;
    case Fault::column_stale:
      return subject.factored;
    case Fault::decay_left_out:
      return subject.decay;
    case Fault::code_off:
    case Fault::neighbours_scale:
      return !storage.how.averages.empty();
    default:
      return true;
  }
}
const std::map<Fault, const char*> kFaults = {{Fault::step_skipped, "one step skipped"},
                                              {Fault::beta1, "beta1 off"},
                                              {Fault::beta2, "beta2 off"},
                                              {Fault::beta3, "beta3 off"},
                                              {Fault::eps1_tenfold, "eps1 tenfold"},
                                              {Fault::column_stale, "stale column average"},
                                              {Fault::decay_left_out, "decay left out"},
                                              {Fault::code_off, "code off by one"},
                                              {Fault::neighbours_scale, "neighbour's scale"}};
bool has_size(Fault fault) { return fault == Fault::beta1 || fault == Fault::beta2 || fault == Fault::beta3; }

class FaultsOfPeers : public testing::TestWithParam<Subject> {};
INSTANTIATE_TEST_SUITE_P(Peers, FaultsOfPeers, testing::ValuesIn(kSubjects), [](const auto& parameter) {
  std::string name = parameter.param.stem;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(FaultsOfPeers, RightRunsPassInEveryStorage) {
  const Trace run = recorded(GetParam().stem);
  for (const Storage& storage : storages()) {
    std::string why;
    EXPECT_EQ(failures(run, storage.how, false, &why), 0) << storage.name << ": " << why;
  }
}

// A beta is off by 1e-4.
TEST_P(FaultsOfPeers, WithStateEveryFaultThatActsIsFound) {
  const Trace run = recorded(GetParam().stem);
  for (const Storage& storage : storages()) {
    const bool always = storage.how.record_state && storage.how.parameter != DType::bfloat16;
    for (const auto& [fault, name] : kFaults) {
      if (!acts(fault, GetParam(), storage)) continue;
      Replay how = storage.how;
      how.fault = fault;
      const bool found = failures(run, how, true) > 0;
      std::string smallest;
      if (!always && has_size(fault)) {
        // the smallest power of ten that is noticed
        for (double size = 1e-1; size > 1e-7; size /= 10) {
          how.size = size;
          if (failures(run, how, true) == 0) break;
          smallest = fmt::format("{:.0e}", size);
        }
      }
      std::cout << fmt::format("{:<28} {:<18} {:<22} {} {}\n", GetParam().stem, storage.name, name,
                               found ? "found" : "not found", smallest);
      if (always) {
        EXPECT_TRUE(found) << storage.name << ": " << name;
      }
    }
  }
}

}  // namespace
}  // namespace plumbline::harness
