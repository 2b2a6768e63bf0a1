#include "reports/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "reports/nearest.h"
#include "reports/red_groups.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

constexpr size_t kRedShown = 20;
constexpr size_t kWorstShown = 5;
constexpr size_t kTableRowsShown = 40;

std::string verdict_table(const Summary& s) {
  std::string head = "|", rule = "|", row = "|";
  for (int v = 0; v < harness::kVerdicts; ++v) {
    head += fmt::format(" {} |", to_string(static_cast<harness::Verdict>(v)));
    rule += "---:|";
    row += fmt::format(" {} |", format_count(s.outcome.verdicts[v]));
  }
  return head + "\n" + rule + "\n" + row + "\n";
}

std::string red_table(const Summary& s) {
  std::string out = "\n## Red cases\n\n| what | cases | what they share and the green ones do not |\n|---|---:|---|\n";
  for (const RedGroup& group : group_red(s))
    out += fmt::format("| {} | {} | {} |\n", markdown_text(group.what), format_count(group.cases),
                       markdown_text(describe_shared(group)));
  out += "\n| verdict | first outside | reason | reproduce |\n|---|---|---|---|\n";
  auto to = std::back_inserter(out);
  size_t shown = 0;
  for (const auto& c : s.red.kept()) {
    if (shown == kRedShown) break;
    ++shown;
    fmt::format_to(to, "| {} | {} | {} | {} |\n", to_string(c.entry.verdict),
                   c.entry.first_broken ? to_string(*c.entry.first_broken) : "", markdown_text(c.entry.reason),
                   markdown_code(case_command(c.entry.line)));
  }
  if (s.red_cases() > shown) fmt::format_to(to, "\n{} more are in report.json.\n", format_count(s.red_cases() - shown));
  return out;
}

std::string quantity_table(const Summary& s) {
  std::string out =
      "\n## Error / bound\n\n| quantity | tensors | elements | median | p99 | max | "
      "|\n|---|---|---:|---:|---:|---:|---|\n";
  auto to = std::back_inserter(out);
  for (int i = 0; i < harness::kQuantities; ++i) {
    for (int j = 0; j < harness::kSizeClasses; ++j) {
      const QuantitySize& q = s.quantities[i][j];
      if (q.empty()) continue;
      const auto size = static_cast<harness::SizeClass>(j);
      std::string remark = q.outside != 0 ? "outside" : is_loose(q, size) ? "loose" : q.exact() ? "exact" : "";
      if (q.unbounded != 0)
        remark += fmt::format("{}{} without a bound", remark.empty() ? "" : ", ", format_count(q.unbounded));
      if (q.out_of_range != 0)
        remark += fmt::format("{}{} out of range", remark.empty() ? "" : ", ", format_count(q.out_of_range));
      fmt::format_to(to, "| {} | {} | {} | {} | {} | {} | {} |\n", to_string(static_cast<harness::Quantity>(i)),
                     to_string(size), format_count(q.ratios.total()), format_number(q.quantile(0.5)),
                     format_number(q.quantile(0.99)), format_number(q.ratios.largest), remark);
    }
  }
  return out;
}

std::string nearest_table(const Summary& s) {
  std::string out =
      "\n## Nearest to their bounds\n\n| quantity | 1 - worst | typical | reproduce |\n|---|---:|---:|---|\n";
  auto to = std::back_inserter(out);
  const std::vector<Nearest> rows = nearest(s, false);
  for (size_t i = 0; i < std::min(kWorstShown, rows.size()); ++i)
    fmt::format_to(to, "| {} | {} | {} | {} |\n", to_string(rows[i].quantity), format_number(rows[i].left()),
                   format_number(rows[i].typical), markdown_code(case_command(rows[i].line)));
  return rows.empty() ? "" : out;
}

std::string cell_text(const harness::Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return markdown_text(*text);
  if (const auto* count = std::get_if<int64_t>(&cell)) return std::to_string(*count);
  const double value = std::get<double>(cell);
  return std::isnan(value) ? "" : format_cell(value);
}

std::string study(const harness::Section& section) {
  std::string out = fmt::format("\n## {}{}\n", markdown_text(section.title), section.green ? "" : ": red");
  if (!section.text.empty()) out += fmt::format("\n{}\n", markdown_text(section.text));
  for (const harness::Table& table : section.tables) {
    if (!table.caption.empty()) out += fmt::format("\n**{}**\n", markdown_text(table.caption));
    std::string head = "\n|", rule = "|";
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const bool numbers = !table.rows.empty() && i < table.rows.front().size() &&
                           !std::holds_alternative<std::string>(table.rows.front()[i]);
      head += fmt::format(" {} |", markdown_text(table.columns[i]));
      rule += numbers ? "---:|" : "---|";
    }
    out += head + "\n" + rule + "\n";
    for (size_t row = 0; row < std::min(table.rows.size(), kTableRowsShown); ++row) {
      out += "|";
      for (const harness::Cell& cell : table.rows[row]) out += fmt::format(" {} |", cell_text(cell));
      out += "\n";
    }
    if (table.rows.size() > kTableRowsShown)
      out += fmt::format("\n{} more rows are in report.json.\n", format_count(table.rows.size() - kTableRowsShown));
  }
  return out;
}

std::string machine(const harness::RunDescription& run) {
  std::string out = fmt::format("\n## Machine and build\n\n- CPU: {}, {} cores, {}\n", markdown_text(run.cpu),
                                run.cores, markdown_text(run.os));
  auto to = std::back_inserter(out);
  if (!run.gpu.empty()) {
    fmt::format_to(to, "- GPU: {}, driver {}, CUDA {}, kernels for {}\n", markdown_text(run.gpu),
                   markdown_text(run.gpu_driver), markdown_text(run.cuda_toolkit), markdown_text(run.gpu_architecture));
  }
  fmt::format_to(to, "- Build: plumbline {} {}, {}, {}, {}\n", markdown_text(run.version), markdown_text(run.commit),
                 markdown_text(run.compiler), markdown_text(run.build_type), markdown_code(run.flags));
  return out;
}

}  // namespace

std::string write_markdown(const Summary& s) {
  std::string out = fmt::format("# Plumbline: {}\n\n{}\n\n", s.state(), markdown_text(s.headline()));
  auto to = std::back_inserter(out);
  fmt::format_to(to, "Suite {}, subject {}, seed {}, {} in {}.\n\n{}\n\n", markdown_text(s.run.suite),
                 markdown_text(s.run.subject), s.run.seed, markdown_text(s.run.date), format_seconds(s.outcome.seconds),
                 markdown_code(s.run.command));
  for (const auto& error : s.outcome.errors) fmt::format_to(to, "- error: {}\n", markdown_text(error));
  if (!s.outcome.errors.empty()) out += "\n";
  if (!s.cases.empty() || s.sections.empty()) out += verdict_table(s);
  if (s.red_cases() != 0) out += red_table(s);
  if (!s.cases.empty()) out += quantity_table(s);
  out += nearest_table(s);
  for (const harness::Section& section : s.sections) out += study(section);
  out += machine(s.run);
  return out;
}

}  // namespace plumbline::reports
