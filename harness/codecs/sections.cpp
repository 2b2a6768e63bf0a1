#include "harness/codecs/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "harness/codecs/recommend.h"
#include "harness/codecs/section_parts.h"

namespace plumbline::harness::codecs {
namespace {

// Error against bits, as the block size goes: who is below and to the left of all others?
Chart pareto(const Study& study, StateKind kind) {
  const bool momentum = kind == StateKind::momentum;
  Chart chart{
      momentum ? "pareto-momentum" : "pareto-second-moment",
      momentum ? "Momentum: error against memory" : "Second moments: error against memory",
      "Averages, stored once in blocks of 32 (right) to 16,384 values (left), rounded to nearest. Left and low is "
      "better. Errors above 100 % are left out, and fixed floors.",
      Chart::Kind::line,
      {"bits a value, scales included", false},
      {"error (%)", true},
      {}};
  const auto add = [&](const StoreRow& row) {
    if (row.kind != kind || row.sample != "averages" || row.storage.rounding != reference::Rounding::nearest ||
        row.storage.codec.starts_with("log floor") || row.storage.codec == "fp32" ||
        !(row.figures.update.measured <= 1))
      return;
    const std::string name = label(row.storage);
    auto series =
        std::find_if(chart.series.begin(), chart.series.end(), [&](const Series& s) { return s.name == name; });
    if (series == chart.series.end()) series = chart.series.insert(series, {name, {}, {}, {}, {}, {}});
    series->x.push_back(row.bits);
    series->y.push_back(kPercent * row.figures.update.measured);
    series->labels.push_back(row.storage.scale_words > 0 ? fmt::format("blocks of {}", row.block) : "no blocks");
  };
  for (const StoreRow& row : study.block_sizes) add(row);
  for (const StoreRow& row : study.stores)
    if (row.storage.scale_words == 0) add(row);
  return chart;
}

}  // namespace

void add_cells(std::vector<Cell>& row, const Figure& f) {
  row.push_back(percent(f.measured));
  row.push_back(percent(f.bound));
}

std::vector<const Storage*> storages_of(const std::vector<StoreRow>& rows, StateKind kind) {
  std::vector<const Storage*> out;
  std::set<std::string> seen;
  for (const StoreRow& row : rows)
    if (row.kind == kind && seen.insert(row.storage.name).second) out.push_back(&row.storage);
  return out;
}

Section published_section(const Study& study) {
  Section section{"codecs-published", "Published study, again", "", true, {}, {}};
  section.text =
      "Cell A1 of the controlled study of adaptive logarithmic codes (arXiv 2608.22322), from its own inputs: 8,192 "
      "values "
      "of a second moment, blocks of 2,048, float32 arithmetic. Relative L2 errors of the non-zero values and of "
      "g/sqrt(max(v, 2^-126)).";
  Table table{"", {"distribution", "codec", "values (%)", "printed", "update (%)", "printed", "same digits"}, {}};
  for (const PublishedRow& r : study.published) {
    section.green &= r.reproduced();
    const auto digits = [](double x) { return fmt::format("{:.3f}", x); };
    table.rows.push_back({r.distribution, r.codec, digits(r.measured_values), digits(r.values),
                          digits(r.measured_update), digits(r.update), r.reproduced() ? "yes" : "no"});
  }
  section.tables.push_back(std::move(table));
  return section;
}

Section factored_section(const Study& study) {
  Section section{"codecs-factored", "Factored second moments: two stored averages, one update", "", true, {}, {}};
  section.text =
      "u = g/sqrt(R C/mean R) with rows R and columns C both stored. Relative errors of R, C and mean R halve and add: "
      "the "
      "column of halves is (largest of R + largest of C + that of mean R)/2, to first order the largest error of u.";
  Table table{"",
              {"matrix", "storage", "R, largest (%)", "C, largest (%)", "halves (%)", "u, largest (%)", "bound",
               "u, L2 (%)", "bound"},
              {}};
  for (const FactoredRow& r : study.factored) {
    section.green &= r.figures.update.within() && r.figures.worst.within();
    std::vector<Cell> row{r.sample, label(r.storage), percent(r.figures.row_error), percent(r.figures.col_error),
                          percent(r.figures.halves)};
    add_cells(row, r.figures.worst);
    add_cells(row, r.figures.update);
    table.rows.push_back(std::move(row));
  }
  section.tables.push_back(std::move(table));
  return section;
}

Section promise_section(const Study& study) {
  Section section{"codecs-promise", "What storing momentum does to the update", "", true, {}, {}};
  section.text =
      "u = b M/sqrt(V) with M stored, against the same in double; V in use is never below what one step of M's codes "
      "resolves. Dead: the furthest way, in steps, of elements that never had a gradient (once: their largest u). "
      "Died: "
      "the same of elements without one for 400 steps, from there on. RMS: of the error, over that of u. Reach: the "
      "largest change of an element by one store over what is promised for it. What breaks its promise is never "
      "recommended; it is "
      "what the codec is, not a failure of it.";
  Table table{"", {"state", "storage", "dead", "died", "RMS", "reach", "promise"}, {}};
  for (const PromiseRow& r : study.promises) {
    const std::string broken = r.broken();
    table.rows.push_back({r.state, label(r.storage), r.dead, r.died, r.rms, r.reach, broken.empty() ? "kept" : broken});
  }
  section.tables.push_back(std::move(table));
  return section;
}

Section recommendation_section(const Study& study) {
  Section section{"codecs-recommendation", "Which storage for which state", "", study.green(), {}, {}};
  section.text = fmt::format(
      "For each state and each memory class, the storage of production whose largest error of the update is least, "
      "over the "
      "samples of that state stored once and over its 5,000-step averages; beside it the best rival of no more bits. "
      "What "
      "breaks its promise (second table) is left out. "
      "Marked: "
      "the smallest class that stays within {:.0f} %, or else the most accurate. Rows and columns also stand for "
      "CAME's "
      "confidence, second moments and momentum for their low-rank forms.",
      kPercent * kTolerable);
  Table table{"",
              {"", "state", "storage", "bits/value", "MB of 4096 x 11008", "once (%)", "row", "5,000 steps (%)", "row",
               "best rival", "its error (%)"},
              {}};
  for (const Recommendation& r : recommend(study))
    table.rows.push_back({r.chosen ? "*" : "", r.state, r.storage, r.bits_per_value, r.megabytes,
                          percent(r.store_error), r.store_row, percent(r.average_error), r.average_row,
                          r.rival.empty() ? "none" : r.rival,
                          r.rival.empty() ? Cell{std::nan("")} : percent(r.rival_error)});
  section.tables.push_back(std::move(table));
  Table broken{"Never recommended: a promise is broken", {"state", "storage", "what"}, {}};
  std::set<std::pair<StateKind, std::string>> seen;
  const auto ask = [&](const Storage& storage) {
    if (!seen.insert({storage.kind, storage.name}).second) return;
    if (const std::string what = broken_promise(study, storage); !what.empty())
      broken.rows.push_back({to_string(storage.kind), label(storage), what});
  };
  for (const StoreRow& row : study.stores) ask(row.storage);
  if (!broken.rows.empty()) section.tables.push_back(std::move(broken));
  if (!study.failures.empty()) {
    Table failures{"What failed", {"failure"}, {}};
    for (const std::string& failure : study.failures) failures.rows.push_back({failure});
    section.tables.push_back(std::move(failures));
  }
  for (const StateKind kind : {StateKind::second_moment, StateKind::momentum}) {
    Chart chart = pareto(study, kind);
    if (!chart.series.empty()) section.charts.push_back(std::move(chart));
  }
  return section;
}

std::vector<Section> study_sections(const Study& study) {
  return {published_section(study),
          stores_section(study, StateKind::second_moment),
          stores_section(study, StateKind::momentum),
          blocks_section(study),
          averages_section(study),
          factored_section(study),
          promise_section(study),
          recommendation_section(study)};
}

}  // namespace plumbline::harness::codecs
