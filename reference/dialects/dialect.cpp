#include "reference/dialects/dialect.h"

#include <stdexcept>

#include "reference/dialects/adafactor8bit.h"
#include "reference/dialects/apollo.h"
#include "reference/dialects/came.h"
#include "reference/dialects/fira.h"
#include "reference/dialects/huggingface.h"
#include "reference/dialects/optax.h"
#include "reference/dialects/plumbline_dialect.h"
#include "reference/dialects/rlx.h"
#include "reference/dialects/torch.h"

namespace plumbline::reference {

// Dialects that are one file: nobody else needs their options.
extern const Dialect kTorchAdamW, kPytorchOptimizerAdafactor, kPytorchOptimizerCame, kTimmAdafactor,
    kTimmAdafactorBigVision, kGaLore;

const PeerSlot* Dialect::find_slot(const Optimizer& optimizer, std::string_view peer_name) const {
  for (const auto& slot : slots)
    if (slot.name == peer_name && optimizer.state(slot.slot)) return &slot;
  return nullptr;
}

std::span<const Dialect> dialects() {
  static const std::vector<Dialect> all = [] {
    std::vector<Dialect> list{kTorch,
                              kHuggingface,
                              kCame,
                              kApollo,
                              kFira,
                              kOptax,
                              kRlx,
                              kTorchAdamW,
                              kGaLore,
                              kPytorchOptimizerAdafactor,
                              kTimmAdafactor,
                              kTimmAdafactorBigVision,
                              kPytorchOptimizerCame};
    list.push_back(kAdafactor8bit01);
    for (const Dialect& dialect : adafactor8bit_dialects()) list.push_back(dialect);
    list.push_back(kPlumbline);
    return list;
  }();
  return all;
}

const Dialect& find_dialect(std::string_view name, std::string_view version) {
  std::string names, versions;
  const auto parsed = Version::parse(version);
  std::string_view last;
  for (const auto& dialect : dialects()) {
    if (dialect.name != last) names += option_text::concat({names.empty() ? "" : ", ", dialect.name});
    last = dialect.name;
    if (dialect.name != name) continue;
    if (!dialect.versions.first) return dialect;
    if (version.empty() ? dialect.unversioned : parsed && dialect.versions.contains(*parsed)) return dialect;
    versions += option_text::concat({versions.empty() ? "" : ", ", dialect.versions.text()});
  }
  if (!versions.empty())
    throw std::invalid_argument(
        option_text::concat({"peer ", name, ": version ", version, " unknown, rules known for ", versions}));
  throw std::invalid_argument(option_text::concat({"peer ", name, ": unknown, known: ", names}));
}

void check_defects(const Dialect& dialect, std::span<const std::string> defects) {
  for (const std::string& name : defects) {
    std::string known;
    bool found = false;
    for (const Defect& defect : dialect.defects) {
      found |= defect.name == name;
      known += option_text::concat({known.empty() ? "" : ", ", defect.name});
    }
    if (!found)
      throw std::invalid_argument(
          option_text::concat({"defect ", name, ": unknown here, known: ", known.empty() ? "none" : known}));
  }
}

}  // namespace plumbline::reference
