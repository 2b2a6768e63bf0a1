#include "reports/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "reports/html_parts.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace html {
namespace {

using harness::Verdict;

// What the options' values met together belongs to the options.
constexpr std::string_view kCoverage = "coverage";

struct Part {
  const char* name;
  double seconds;
};

std::array<Part, 5> parts_of(const harness::CaseTimes& t) {
  return {{{"inputs", t.generate},
           {"reference", t.reference},
           {"bounds", t.contract},
           {"subject", t.subject},
           {"comparison", t.compare}}};
}

void fact(std::string& out, std::string_view name, const std::string& markup) {
  if (!markup.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, markup);
}

// The beginning of a long line, cut between words.
std::string shortened(const std::string& line) {
  constexpr size_t kMost = 44;
  if (line.size() <= kMost) return line;
  const size_t space = line.rfind(' ', kMost);
  return line.substr(0, space == std::string::npos ? kMost : space) + " \u2026";
}

std::string slowest_fact(const Summary& s) {
  const double all = s.times.total();
  if (!(all > 0)) return {};
  const auto parts = parts_of(s.times);
  const auto slowest =
      std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.seconds < b.seconds; });
  std::string out = fmt::format(R"(<b>{}</b>, {:.0f} % of <a href="#time">{}</a>)", slowest->name,
                                slowest->seconds / all * 100, format_seconds(all));
  const auto longest = std::max_element(s.cases.begin(), s.cases.end(),
                                        [](const CaseEntry& a, const CaseEntry& b) { return a.seconds < b.seconds; });
  if (longest != s.cases.end())
    out +=
        fmt::format(R"(<br/><span class="quiet" title="{}">longest case {}: {}</span>)", escape_markup(longest->line),
                    format_seconds(longest->seconds), escape_markup(shortened(longest->line)));
  return out;
}

std::string covered_fact(const Summary& s) {
  if (s.options.empty()) return {};
  const auto covered =
      std::count_if(s.options.begin(), s.options.end(), [](const auto& option) { return option.second.covered() > 0; });
  return fmt::format(R"(<b>{} of {}</b> <a href="#options">option values</a> acted in a judged case)", covered,
                     s.options.size());
}

void head(Page& page, const Summary& s) {
  const std::string_view state = s.state();
  const harness::RunDescription& run = s.run;
  std::string out = fmt::format(
      R"(<main id="content"><header><div class="top"><span class="badge {0}">{1}</span><span class="quiet">Plumbline {2}</span>)"
      R"(<button type="button" id="theme" hidden="hidden">colours: system</button></div><h1>{3}</h1>)",
      state == "green" ? "good"
      : state == "red" ? "bad"
                       : "warn",
      state, escape_markup(run.version), escape_markup(s.headline()));
  if (!s.cases.empty()) {
    out += R"(<ul class="tiles">)";
    for (int v = 0; v < harness::kVerdicts; ++v) {
      const auto verdict = static_cast<Verdict>(v);
      const uint64_t n = s.outcome.verdicts[v];
      if (n == 0) continue;
      out += fmt::format(R"(<li class="{}"><b>{}</b>{}</li>)", tone(verdict), format_count(n), to_string(verdict));
    }
    out += "</ul>";
  }
  if (s.planned != 0 && s.planned != s.all_cases() && s.outcome.stopped.empty())
    out += fmt::format(R"(<p class="quiet">{} cases were planned, {} were run.</p>)", format_count(s.planned),
                       format_count(s.all_cases()));
  if (!s.outcome.errors.empty()) {
    out += R"(<div class="errors">)";
    for (const auto& error : s.outcome.errors) out += fmt::format("<p>{}</p>", escape_markup(error));
    out += "</div>";
  }
  out += R"(<dl class="facts">)";
  out += sheet(s);
  fact(out, "subject",
       fmt::format("<b>{}</b>{}", escape_markup(run.subject), run.gpu.empty() ? "" : " on " + escape_markup(run.gpu)));
  fact(out, "machine", fmt::format("{}, {} cores", escape_markup(run.cpu), run.cores));
  fact(out, "date", fmt::format("{}, {} elapsed", escape_markup(run.date), format_seconds(s.outcome.seconds)));
  fact(out, "commit", escape_markup(run.commit));
  fact(out, "suite", fmt::format("{}, seed {}", escape_markup(run.suite), run.seed));
  fact(out, "options", covered_fact(s));
  fact(out, "slowest part", slowest_fact(s));
  out += "</dl>" + copy_text(run.command) + "</header>";
  out += R"(<nav aria-label="parts of the report"><ul>)";
  const auto link = [&](std::string_view id, std::string_view name, bool red = false) {
    out += fmt::format("<li><a href=\"#{}\">{}</a>{}</li>", escape_markup(id), escape_markup(name),
                       red ? R"( <span class="badge bad">red</span>)" : "");
  };
  if (s.red_cases() != 0) link("red", "red cases");
  if (!s.cases.empty()) link("nearest", "how exact");
  if (!s.options.empty()) link("options", "options");
  for (const harness::Section& section : s.sections)
    if (section.id == kCoverage) link(section.id, "coverage", !section.green);
  if (!s.cases.empty()) link("bounds", "error / bound");
  if (!s.drift.empty()) link("drift", "drift");
  for (const harness::Section& section : s.sections)
    if (section.id != kCoverage) link(section.id, section.title, !section.green);
  if (!s.cases.empty()) link("time", "time");
  if (!s.cases.empty()) link("names", "names");
  link("machine", "machine and build");
  page.add(out + "</ul></nav>\n");
}

void times(Page& page, const Summary& s) {
  const double all = s.times.total();
  if (s.cases.empty()) return;
  std::string bar, rows;
  for (int i = 0; const auto& [name, seconds] : parts_of(s.times)) {
    const double share = all > 0 ? seconds / all * 100 : 0;
    bar += fmt::format(R"(<i class="s{}" style="width:{:.2f}%"></i>)", i, share);
    rows += fmt::format(
        R"(<tr><td><span class="dot s{}"></span>{}</td><td class="n">{}</td><td class="n">{:.1f} %</td></tr>)", i, name,
        format_seconds(seconds), share);
    ++i;
  }
  open_section(page, "time", "Time");
  page.add(fmt::format(
      R"(<p class="quiet">{} of work on {} cores, {} elapsed.</p><div class="share" aria-hidden="true">{}</div>)"
      R"(<div class="wide"><table><thead><tr><th scope="col">part</th><th scope="col" class="n">time</th>)"
      R"(<th scope="col" class="n">share</th></tr></thead><tbody>{}</tbody></table></div>)",
      format_seconds(all), s.run.cores, format_seconds(s.outcome.seconds), bar, rows));
  close_section(page);
}

void machine(Page& page, const harness::RunDescription& run) {
  std::string out = R"(<dl class="facts">)";
  const auto row = [&](const char* name, const std::string& value) { fact(out, name, escape_markup(value)); };
  row("version", run.version + (run.commit.empty() ? "" : " (" + run.commit + ")"));
  row("CPU", fmt::format("{}, {} cores", run.cpu, run.cores));
  row("system", run.os);
  row("GPU", run.gpu);
  row("driver", run.gpu_driver);
  row("CUDA toolkit", run.cuda_toolkit);
  row("kernels for", run.gpu_architecture);
  row("compiler", run.compiler);
  row("build type", run.build_type);
  row("flags", run.flags);
  open_section(page, "machine", "Machine and build");
  page.add(out + "</dl>");
  close_section(page);
}

}  // namespace
}  // namespace html

std::string write_html(const Summary& s) {
  using namespace html;
  Page page(fmt::format("Plumbline: {}", s.state()));
  head(page, s);
  red_cases(page, s);
  exactness(page, s);
  drift(page, s);
  options(page, s);
  for (const harness::Section& section : s.sections)
    if (section.id == kCoverage) study(page, section);
  quantities(page, s);
  for (const harness::Section& section : s.sections)
    if (section.id != kCoverage) study(page, section);
  times(page, s);
  glossary(page, s);
  machine(page, s.run);
  page.add("</main>");
  return std::move(page).finish();
}

}  // namespace plumbline::reports
