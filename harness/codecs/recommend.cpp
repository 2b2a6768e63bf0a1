#include "harness/codecs/recommend.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace plumbline::harness::codecs {
namespace {

struct State {
  const char* name;
  StateKind kind;
  bool factored;
  double values;                // of a matrix of 4096 x 11008
  const char* scenario_prefix;  // of the long averages that it lives through
};

constexpr double kRows = 4096, kCols = 11008;
constexpr State kStates[] = {
    {"rows and columns", StateKind::second_moment, true, kRows + kCols, "row average"},
    {"second moment", StateKind::second_moment, false, kRows* kCols, "second moment"},
    {"momentum", StateKind::momentum, false, kRows* kCols, "momentum"},
};

// Largest errors of one storage over the rows of one state.
struct Worst {
  const Storage* storage = nullptr;
  double store = -1, average = -1;
  size_t store_row = 0, average_row = 0;
  bool kept = true;  // its promise
  double error() const { return std::max(store, average); }
};

std::vector<Worst> worst_of(const Study& study, const State& state) {
  std::map<std::string, Worst> by_name;
  std::vector<std::string> order;
  for (size_t i = 0; i < study.stores.size(); ++i) {
    const StoreRow& row = study.stores[i];
    if (row.kind != state.kind || row.factored != state.factored || !row.figures.update.taken) continue;
    Worst& worst = by_name[row.storage.name];
    if (!worst.storage) order.push_back(row.storage.name);
    worst.storage = &row.storage;
    if (row.figures.update.measured > worst.store) worst.store = row.figures.update.measured, worst.store_row = i;
  }
  for (size_t i = 0; i < study.averages.size(); ++i) {
    const AverageRow& row = study.averages[i];
    const auto found = by_name.find(row.storage.name);
    if (found == by_name.end() || row.scenario.kind != state.kind ||
        !row.scenario.name.starts_with(state.scenario_prefix))
      continue;
    const Figure& figure = state.kind == StateKind::momentum ? row.figures.drift : row.figures.update;
    Worst& worst = found->second;
    if (figure.measured > worst.average) worst.average = figure.measured, worst.average_row = i;
  }
  std::vector<Worst> out;
  for (const std::string& name : order)
    if (Worst& worst = by_name[name]; worst.average >= 0) {
      worst.kept = broken_promise(study, *worst.storage).empty();
      out.push_back(worst);
    }
  return out;
}

const Worst* least(const std::vector<Worst>& all, bool rival, int most_bits, int least_bits) {
  const Worst* best = nullptr;
  for (const Worst& w : all)
    if ((w.kept || rival) && w.storage->rival == rival && w.storage->code_bits <= most_bits &&
        w.storage->code_bits >= least_bits && (!best || w.error() < best->error()))
      best = &w;
  return best;
}

}  // namespace

std::string store_id(size_t index) { return fmt::format("S{}", index + 1); }
std::string average_id(size_t index) { return fmt::format("A{}", index + 1); }

std::string broken_promise(const Study& study, const Storage& storage) {
  const auto same = [&](const Storage& s) { return s.kind == storage.kind && s.name == storage.name; };
  for (const PromiseRow& row : study.promises)
    if (const std::string broken = row.broken(); same(row.storage) && !broken.empty())
      return fmt::format("{} ({})", broken, row.state);
  if (storage.kind == StateKind::momentum) return {};
  for (const StoreRow& row : study.stores) {
    if (!same(row.storage)) continue;
    const Figure &zeros = row.figures.false_zeros, &update = row.figures.update;
    if (zeros.taken && !(zeros.measured <= 0)) return fmt::format("a value is read as zero ({})", row.sample);
    if (update.taken && !(update.measured <= 1))
      return fmt::format("the error is larger than the update ({})", row.sample);
  }
  return {};
}

std::vector<Recommendation> recommend(const Study& study) {
  std::vector<Recommendation> out;
  for (const State& state : kStates) {
    const std::vector<Worst> all = worst_of(study, state);
    const size_t first = out.size();
    for (const int bits : {4, 8, 16}) {
      const Worst* best = least(all, false, bits, bits);
      if (!best) continue;
      const Worst* rival = least(all, true, bits, 1);
      const double bits_per_value = best->storage->bits_per_value(best->storage->block);
      out.push_back({state.name, bits, best->storage->name, bits_per_value, bits_per_value * state.values / 8e6,
                     best->store, store_id(best->store_row), best->average, average_id(best->average_row),
                     rival ? rival->storage->name : "", rival ? rival->error() : 0, false});
    }
    if (out.size() == first) continue;
    auto chosen = std::find_if(out.begin() + int64_t(first), out.end(),
                               [](const Recommendation& r) { return r.error() <= kTolerable; });
    if (chosen == out.end())
      chosen = std::min_element(out.begin() + int64_t(first), out.end(),
                                [](const Recommendation& a, const Recommendation& b) { return a.error() < b.error(); });
    chosen->chosen = true;
  }
  return out;
}

}  // namespace plumbline::harness::codecs
