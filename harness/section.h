// A part of a report that a study brings along: tables and charts as data. Writers decide how they look.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace plumbline::harness {

using Cell = std::variant<std::string, double, int64_t>;  // a NaN prints as empty

struct Table {
  std::string caption;
  std::vector<std::string> columns;     // units in the name: "time (ms)"
  std::vector<std::vector<Cell>> rows;  // each as wide as `columns`
};

struct Axis {
  std::string title;  // with its unit
  bool log = false;
};

struct Series {
  std::string name;
  std::vector<double> x, y;         // equal lengths; points that are not finite are left out
  std::vector<double> low, high;    // interval around y; empty or as long
  std::vector<std::string> labels;  // of the points, for tooltips; of the bars, where x is a category; empty or as long
};

struct Chart {
  enum class Kind : uint8_t { line, scatter, bar, heatmap };
  std::string id;           // unique within its section: letters, digits, '-'
  std::string title;        // what it shows
  std::string description;  // what can be read off, in a sentence: for those who do not see it
  Kind kind = Kind::line;
  Axis x, y;
  std::vector<Series> series;  // heatmap: a series per row, labels name the columns, y holds the value
};

struct Section {
  std::string id;     // "codecs", "drift", "mutants", "hardware", ...: letters, digits, '-'
  std::string title;  // its heading
  std::string text;   // what was measured and how to read it; may be empty
  bool green = true;  // false: something in it failed
  std::vector<Table> tables;
  std::vector<Chart> charts;
  std::string part = {};  // of a shard: what its census counted (SuiteCensus::join reads it); not shown
};

}  // namespace plumbline::harness
