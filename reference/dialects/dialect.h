// Public optimizers by name: what each calls its options and its state, and the chain of transforms that it is.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reference/dialects/version.h"
#include "reference/optimizer.h"
#include "reference/options.h"

namespace plumbline::reference {

// An option under the peer's own name; the value as JSON prints it, strings without their quotes.
struct NamedOption {
  std::string name;
  std::string value;
};

// Where a slot that the peer records is found.
struct PeerSlot {
  std::string_view name;  // the peer's
  Slot slot;
};

// What a dialect needs to know beside its options.
struct PeerContext {
  double epsilon = 0x1p-52;         // machine epsilon of the parameter's type
  bool recorded_projection = true;  // P is put into its slot before every step; else it is computed where it can be
  std::span<const std::string> defects{};  // bugs of the program that are part of the rule this time, by name
};

// A bug of a program: what it does, in one line, is not what its rule says.
struct Defect {
  std::string_view name;
  std::string_view what;
};

// One rule. A program whose rules changed from version to version has one for every range of them, all of one name.
struct Dialect {
  std::string_view name;
  std::string_view source;  // the program
  std::vector<OptionRow> (*options)();
  // Throws std::invalid_argument for unknown options, values out of range and shapes that the dialect does not take.
  Optimizer (*make)(std::span<const NamedOption> options, const Shape& shape, const PeerContext& context);
  std::span<const PeerSlot> slots;  // names may repeat: the first that the chain has
  // Where the peer stores a slot in another order than row-major (slices, m): the k-th value of the peer is ours at
  // [k]. Null, or empty for a shape: the same order.
  std::vector<int64_t> (*order)(const Shape& shape, Slot slot) = nullptr;
  // P follows from the options, where it is not recorded: the reference and the peer make the same.
  bool makes_projection = false;
  VersionRange versions{};            // of the package
  std::span<const Defect> defects{};  // that these versions have
  bool unversioned = true;            // what a recording without a version means

  const PeerSlot* find_slot(const Optimizer& optimizer, std::string_view peer_name) const;
};

// Throws std::invalid_argument listing the known names, or the versions whose rules are known. A program whose rules
// are not told apart by version takes any; an empty one is none.
const Dialect& find_dialect(std::string_view name, std::string_view version = "");
// Throws std::invalid_argument for a defect that the dialect does not have.
void check_defects(const Dialect& dialect, std::span<const std::string> defects);
std::span<const Dialect> dialects();

// Reads options by name into a struct that has a table.
template <class Options>
Options read_options(std::span<const NamedOption> named) {
  Options options;
  for (const auto& [name, value] : named) set_option(options, name, value);
  return options;
}

}  // namespace plumbline::reference
