#include <fmt/format.h>

#include <algorithm>

#include "harness/codecs/recommend.h"
#include "harness/codecs/section_parts.h"

namespace plumbline::harness::codecs {
namespace {

std::vector<std::string> samples_of(const std::vector<StoreRow>& rows, StateKind kind, SampleOrigin origin) {
  std::vector<std::string> out;
  for (const StoreRow& row : rows)
    if (row.kind == kind && row.origin == origin && std::find(out.begin(), out.end(), row.sample) == out.end())
      out.push_back(row.sample);
  return out;
}

const StoreRow* find(const std::vector<StoreRow>& rows, StateKind kind, const std::string& sample,
                     const std::string& storage) {
  for (const StoreRow& row : rows)
    if (row.kind == kind && row.sample == sample && row.storage.name == storage) return &row;
  return nullptr;
}

// Storages down, samples across.
Table overview(const Study& study, StateKind kind, SampleOrigin origin, const std::string& caption) {
  Table table{caption, {"storage", "bits/value"}, {}};
  const auto samples = samples_of(study.stores, kind, origin);
  table.columns.insert(table.columns.end(), samples.begin(), samples.end());
  for (const Storage* storage : storages_of(study.stores, kind)) {
    std::vector<Cell> row{label(*storage), storage->bits_per_value(storage->block)};
    for (const std::string& sample : samples) {
      const StoreRow* found = find(study.stores, kind, sample, storage->name);
      row.push_back(found ? percent(found->figures.update.measured) : std::nan(""));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Chart heatmap(const Study& study, StateKind kind, const std::string& id, const std::string& title) {
  Chart chart{id,
              title,
              "Light is small. Whatever is above 100 % is drawn as 100 %: such an update is lost.",
              Chart::Kind::heatmap,
              {"state", false},
              {"error of the update (%)", true},
              {}};
  for (const Storage* storage : storages_of(study.stores, kind)) {
    if (storage->codec == "fp32") continue;  // a millionth of a percent: it would take all of the scale
    Series series{storage->name, {}, {}, {}, {}, {}};
    for (const StoreRow& row : study.stores)
      if (row.kind == kind && row.origin == SampleOrigin::drawn && row.storage.name == storage->name) {
        series.labels.push_back(row.sample);
        series.x.push_back(double(series.x.size()));
        series.y.push_back(std::min(kPercent * row.figures.update.measured, kPercent));
      }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Table details(const std::vector<StoreRow>& rows, StateKind kind, const std::string& caption) {
  Table table{caption,
              {"row", "state", "storage", "block", "bits/value", "values (%)", "bound", "update (%)", "bound",
               "update, eps 1e-8 (%)", "bound", "median (%)", "bound", "p99 (%)", "bound", "largest (%)", "bound",
               "false zeros (%)", "bound"},
              {}};
  for (size_t i = 0; i < rows.size(); ++i) {
    const StoreRow& r = rows[i];
    if (r.kind != kind) continue;
    std::vector<Cell> row{store_id(i), r.sample, label(r.storage), r.block, r.bits};
    for (const Figure& f : {r.figures.values, r.figures.update, r.figures.update_eps, r.figures.half, r.figures.p99,
                            r.figures.worst, r.figures.false_zeros})
      add_cells(row, f);
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Section stores_section(const Study& study, StateKind kind) {
  const bool momentum = kind == StateKind::momentum;
  Section section{momentum ? "codecs-momentum" : "codecs-second-moment",
                  momentum ? "Momentum, stored once" : "Second moments, stored once",
                  "",
                  true,
                  {},
                  {}};
  section.text =
      momentum ? "Relative L2 error of the momentum, which is the numerator of the update. Each storage at its own "
                 "block size."
               : "Relative L2 error of the update g/sqrt(max(v, 2^-126)) after v was stored and read back once. Each "
                 "storage at its own block size. A value that is read back as 0 multiplies its update by as much as "
                 "2^63: the large figures.";
  const std::string what = momentum ? "Error (%)" : "Error of the update (%)";
  section.tables.push_back(overview(study, kind, SampleOrigin::drawn, what + ", drawn states"));
  section.tables.push_back(overview(study, kind, SampleOrigin::recorded, what + ", recorded states"));
  Table meanings{"The drawn states", {"state", "drawn from"}, {}};
  for (const Sample& sample : study.samples)
    if (sample.kind == kind && sample.origin == SampleOrigin::drawn)
      meanings.rows.push_back({sample.name, sample.meaning});
  section.tables.push_back(std::move(meanings));
  section.tables.push_back(
      details(study.stores, kind,
              momentum ? "Every figure and its bound; the last five are relative to the RMS of the state"
                       : "Every figure and its bound; median, p99 and largest are of the relative error of 1/sqrt(v)"));
  for (const StoreRow& row : study.stores) section.green &= row.kind != kind || row.figures.within();
  section.charts.push_back(
      heatmap(study, kind, "by-state", momentum ? "Error of momentum by state" : "Error of the update by state"));
  return section;
}

Section blocks_section(const Study& study) {
  Section section{"codecs-blocks", "Error against block size", "", true, {}, {}};
  section.text =
      "The same state in blocks of 32 to 16,384 values: averaged squares for second moments (error of the update), "
      "averaged "
      "gradients for momentum (error of the values). A larger block has a wider range; a smaller one stores more "
      "scales.";
  for (const StoreRow& row : study.block_sizes) section.green &= row.figures.within();
  for (const StateKind kind : {StateKind::second_moment, StateKind::momentum}) {
    Table table{fmt::format("Error (%) of {} by values in a block", to_string(kind)), {"storage"}, {}};
    Chart chart{
        kind == StateKind::momentum ? "momentum" : "second-moment",
        kind == StateKind::momentum ? "Momentum" : "Second moments",
        "Each line is one storage, rounded to nearest. Errors above 100 % are left out, and fixed floors, which block "
        "sizes hardly change.",
        Chart::Kind::line,
        {"values in a block", true},
        {"error (%)", true},
        {}};
    std::vector<int64_t> blocks;
    for (const StoreRow& row : study.block_sizes)
      if (row.kind == kind && std::find(blocks.begin(), blocks.end(), row.block) == blocks.end())
        blocks.push_back(row.block);
    for (const int64_t block : blocks) table.columns.push_back(std::to_string(block));
    for (const Storage* storage : storages_of(study.block_sizes, kind)) {
      std::vector<Cell> cells{label(*storage)};
      Series series{storage->name, {}, {}, {}, {}, {}};
      for (const StoreRow& row : study.block_sizes) {
        if (row.kind != kind || row.storage.name != storage->name) continue;
        cells.push_back(percent(row.figures.update.measured));
        if (!(row.figures.update.measured <= 1)) continue;
        series.x.push_back(double(row.block));
        series.y.push_back(kPercent * row.figures.update.measured);
        series.labels.push_back(fmt::format("{:.3f} bits a value", row.bits));
      }
      table.rows.push_back(std::move(cells));
      const bool drawn = storage->rounding == reference::Rounding::nearest && !storage->codec.starts_with("log floor");
      if (drawn && !series.x.empty()) chart.series.push_back(std::move(series));
    }
    section.tables.push_back(std::move(table));
    section.charts.push_back(std::move(chart));
  }
  return section;
}

}  // namespace plumbline::harness::codecs
