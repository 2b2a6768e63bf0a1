#include "harness/section_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/quoted.h"

namespace plumbline::harness {
namespace {

constexpr size_t kWidth = 100;

struct Shown {
  std::string text;
  bool number = false;
};

Shown show(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return {plain_text(*text), false};
  if (const auto* count = std::get_if<int64_t>(&cell)) return {std::to_string(*count), true};
  const double value = std::get<double>(cell);
  if (std::isnan(value)) return {"", true};
  if (std::abs(value) >= 1000 && std::abs(value) < 1e6) return {fmt::format("{:.0f}", value), true};
  return {fmt::format("{:.3g}", value), true};
}

// Characters, not bytes: continuation bytes of UTF-8 take no column.
size_t width(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
}

void pad(std::string& line, const std::string& text, size_t columns, bool right) {
  const std::string space(columns - std::min(columns, width(text)), ' ');
  line += right ? space + text : text + space;
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string wrapped(const std::string& text) {
  std::string out, line;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find_first_of(" \n", at), text.size());
    const std::string word = text.substr(at, end - at);
    if (!line.empty() && width(line) + 1 + width(word) > kWidth) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    if (end < text.size() && text[end] == '\n') {
      out += line + "\n";
      line.clear();
    }
    at = end + 1;
  }
  return line.empty() ? out : out + line + "\n";
}

}  // namespace

std::string table_text(const Table& table) {
  const size_t columns = table.columns.size();
  std::vector<std::vector<Shown>> rows;
  std::vector<size_t> widths(columns);
  std::vector<bool> right(columns, !table.rows.empty());
  for (size_t c = 0; c < columns; ++c) widths[c] = width(table.columns[c]);
  for (const auto& row : table.rows) {
    std::vector<Shown>& cells = rows.emplace_back();
    for (size_t c = 0; c < columns; ++c) {
      cells.push_back(c < row.size() ? show(row[c]) : Shown{});
      widths[c] = std::max(widths[c], width(cells[c].text));
      if (!cells[c].number && !cells[c].text.empty()) right[c] = false;
    }
  }
  std::string out = table.caption.empty() ? "" : wrapped(table.caption), head, rule;
  for (size_t c = 0; c < columns; ++c) {
    pad(head, table.columns[c], widths[c], right[c]);
    rule += std::string(widths[c], '-') + "  ";
    head += "  ";
  }
  out += trimmed(head) + trimmed(rule);
  for (const auto& cells : rows) {
    std::string line;
    for (size_t c = 0; c < columns; ++c) {
      pad(line, cells[c].text, widths[c], right[c]);
      line += "  ";
    }
    out += trimmed(line);
  }
  return out;
}

std::string section_text(const Section& section, TablesShown shown) {
  std::string out =
      section.title + (section.green ? "" : ": red") + "\n" + std::string(width(section.title), '=') + "\n";
  if (!section.text.empty()) out += wrapped(section.text);
  for (const Table& table : section.tables) {
    out += "\n" + table_text(table);
    if (shown == TablesShown::first) break;
  }
  return out;
}

}  // namespace plumbline::harness
