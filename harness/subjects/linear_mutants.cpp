#include <array>
#include <utility>

#include "harness/error.h"
#include "harness/linear/mutants.h"
#include "harness/subjects/linear.h"

namespace plumbline::harness {
namespace {

using linear::Fault;

struct Row {
  Fault fault;
  const char *name, *breaks;
};
constexpr std::array<Row, 10> kRows = {{
    {Fault::round_half_up, "round_half_up", "codes: ties go up instead of to even"},
    {Fault::scale_per_tensor, "scale_per_tensor", "one scale for all tokens"},
    {Fault::code_minus_128, "code_minus_128", "s = absmax/128, codes down to -128"},
    {Fault::lost_tail, "lost_tail", "inputs beyond the last whole 64 are lost"},
    {Fault::neighbour_scale, "neighbour_scale", "an output takes the next one's weight scale"},
    {Fault::neighbour_bias, "neighbour_bias", "an output takes the next one's bias"},
    {Fault::small_batch_off_by_one, "small_batch_off_by_one", "16 tokens are quantized already"},
    {Fault::hidden_nonfinite, "hidden_nonfinite", "a token that is not finite is scaled as if it were"},
    {Fault::flushed_subnormals, "flushed_subnormals", "E4M3: subnormals become 0"},
    {Fault::shifted_block, "shifted_block", "E4M3: a block's scale reaches one input into the next"},
}};

class Mutant final : public Subject {
 public:
  Mutant(std::string name, std::unique_ptr<LinearSubject> layer) : name_(std::move(name)), layer_(std::move(layer)) {}
  std::string name() const override { return name_; }
  std::string cannot_run(const Problem&) const override { return "a mutant of the linear layer alone"; }
  std::unique_ptr<Session> start(const Problem&, std::span<const std::byte>) const override { return nullptr; }
  const LinearSubject* linear() const override { return layer_.get(); }

 private:
  std::string name_;
  std::unique_ptr<LinearSubject> layer_;
};

}  // namespace

std::vector<LinearMutant> linear_mutants(const std::string& backend) {
  if (backend != "host" && backend != "emulator")
    throw InputError("mutants of the linear layer run on host and emulator: got '" + backend + "'");
  const Backend on = backend == "host" ? Backend::host : Backend::emulator;
  std::vector<LinearMutant> mutants;
  mutants.reserve(kRows.size());
  for (const Row& row : kRows)
    mutants.push_back({row.name, row.breaks, std::make_unique<Mutant>(row.name, make_linear_subject(on, row.fault))});
  return mutants;
}

}  // namespace plumbline::harness
