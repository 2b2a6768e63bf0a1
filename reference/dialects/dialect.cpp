#include "reference/dialects/dialect.h"

#include <array>

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

const PeerSlot* Dialect::find_slot(const Optimizer& optimizer, std::string_view peer_name) const {
  for (const auto& slot : slots)
    if (slot.name == peer_name && optimizer.state(slot.slot)) return &slot;
  return nullptr;
}

std::span<const Dialect> dialects() {
  static const std::array<Dialect, 10> all{kTorch, kHuggingface,     kCame,          kApollo,   kFira, kOptax,
                                           kRlx,   kAdafactor8bit01, kAdafactor8bit, kPlumbline};
  return all;
}

const Dialect& find_dialect(std::string_view name) {
  std::string known;
  for (const auto& dialect : dialects()) {
    if (dialect.name == name) return dialect;
    known += option_text::concat({known.empty() ? "" : ", ", dialect.name});
  }
  throw std::invalid_argument(option_text::concat({"peer ", name, ": unknown, known: ", known}));
}

}  // namespace plumbline::reference
