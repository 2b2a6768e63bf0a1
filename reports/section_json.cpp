#include "reports/section_json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace plumbline::reports {
namespace {

using nlohmann::ordered_json;

ordered_json numbers_json(const std::vector<double>& values) {
  ordered_json out = ordered_json::array();
  for (const double value : values) out.push_back(number_json(value));
  return out;
}

ordered_json axis_json(const harness::Axis& axis) {
  ordered_json out = {{"title", axis.title}};
  if (axis.log) out["log"] = true;
  return out;
}

harness::Axis axis_from(const ordered_json& value) { return {value.at("title"), value.value("log", false)}; }

// A number with a point or an exponent is a double, one without an integer: both read back as they were.
ordered_json cell_json(const harness::Cell& cell) {
  return std::visit(
      [](const auto& value) -> ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>) {
          if (!std::isfinite(value)) return {{"number", number_json(value)}};
          return value;
        } else {
          return value;
        }
      },
      cell);
}

harness::Cell cell_from(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_object()) return number_from(value.at("number"));
  return value.get<double>();
}

harness::Chart::Kind kind_from(const std::string& name) {
  for (const auto kind : {harness::Chart::Kind::line, harness::Chart::Kind::scatter, harness::Chart::Kind::bar,
                          harness::Chart::Kind::heatmap})
    if (name == to_string(kind)) return kind;
  throw std::invalid_argument("chart of kind '" + name + "'");
}

harness::Table table_from(const ordered_json& value) {
  harness::Table table{value.at("caption"), value.at("columns"), {}};
  for (const ordered_json& row : value.at("rows")) {
    auto& cells = table.rows.emplace_back();
    for (const ordered_json& cell : row) cells.push_back(cell_from(cell));
  }
  return table;
}

harness::Chart chart_from(const ordered_json& value) {
  harness::Chart chart;
  chart.id = value.at("id");
  chart.title = value.at("title");
  chart.description = value.at("description");
  chart.kind = kind_from(value.at("kind"));
  chart.x = axis_from(value.at("x"));
  chart.y = axis_from(value.at("y"));
  for (const ordered_json& one : value.at("series")) {
    auto& series = chart.series.emplace_back();
    series.name = one.at("name");
    series.y = numbers_from(one.at("y"));
    if (one.contains("x")) series.x = numbers_from(one["x"]);
    if (one.contains("low")) series.low = numbers_from(one["low"]);
    if (one.contains("high")) series.high = numbers_from(one["high"]);
    if (one.contains("labels")) series.labels = one["labels"].get<std::vector<std::string>>();
  }
  return chart;
}

}  // namespace

std::vector<double> numbers_from(const ordered_json& values) {
  std::vector<double> out;
  out.reserve(values.size());
  for (const ordered_json& value : values) out.push_back(number_from(value));
  return out;
}

ordered_json number_json(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

double number_from(const ordered_json& value) {
  if (!value.is_string()) return value.get<double>();
  const auto& text = value.get_ref<const std::string&>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  throw std::invalid_argument("number '" + text + "'");
}

ordered_json chart_json(const harness::Chart& chart) {
  ordered_json out = {{"id", chart.id},
                      {"title", chart.title},
                      {"description", chart.description},
                      {"kind", to_string(chart.kind)},
                      {"x", axis_json(chart.x)},
                      {"y", axis_json(chart.y)},
                      {"series", ordered_json::array()}};
  for (const harness::Series& series : chart.series) {
    ordered_json one = {{"name", series.name}};
    if (!series.x.empty()) one["x"] = numbers_json(series.x);
    one["y"] = numbers_json(series.y);
    if (!series.low.empty()) one["low"] = numbers_json(series.low);
    if (!series.high.empty()) one["high"] = numbers_json(series.high);
    if (!series.labels.empty()) one["labels"] = series.labels;
    out["series"].push_back(std::move(one));
  }
  return out;
}

ordered_json section_json(const harness::Section& section) {
  ordered_json out = {{"id", section.id},       {"title", section.title},          {"text", section.text},
                      {"green", section.green}, {"tables", ordered_json::array()}, {"charts", ordered_json::array()}};
  for (const harness::Table& table : section.tables) {
    ordered_json rows = ordered_json::array();
    for (const auto& row : table.rows) {
      ordered_json cells = ordered_json::array();
      for (const harness::Cell& cell : row) cells.push_back(cell_json(cell));
      rows.push_back(std::move(cells));
    }
    out["tables"].push_back({{"caption", table.caption}, {"columns", table.columns}, {"rows", std::move(rows)}});
  }
  for (const harness::Chart& chart : section.charts) out["charts"].push_back(chart_json(chart));
  if (!section.part.empty()) out["part"] = section.part;
  return out;
}

harness::Section section_from(const ordered_json& value) {
  harness::Section section;
  section.id = value.at("id");
  section.title = value.at("title");
  section.text = value.at("text");
  section.green = value.at("green");
  for (const ordered_json& table : value.at("tables")) section.tables.push_back(table_from(table));
  for (const ordered_json& chart : value.at("charts")) section.charts.push_back(chart_from(chart));
  section.part = value.value("part", "");
  return section;
}

std::string quote_json(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e || c == '"' || c == '\\')
      return dump_json(ordered_json(text));
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  out += text;
  return out += '"';
}

std::string dump_json(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

const char* to_string(harness::Chart::Kind kind) {
  switch (kind) {
    case harness::Chart::Kind::line:
      return "line";
    case harness::Chart::Kind::scatter:
      return "scatter";
    case harness::Chart::Kind::bar:
      return "bar";
    case harness::Chart::Kind::heatmap:
      return "heatmap";
  }
  return "?";
}

}  // namespace plumbline::reports
