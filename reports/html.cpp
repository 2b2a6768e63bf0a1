#include "reports/html.h"

#include <fmt/format.h>

#include <utility>

#include "reports/html_sections.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace html {
namespace {

using harness::Verdict;

std::string cell(uint64_t count) {
  return fmt::format(R"(<td class="n{}">{}</td>)", count == 0 ? " zero" : "", format_count(count));
}

std::string head(const Summary& s) {
  const bool green = s.outcome.green();
  std::string out = fmt::format(
      R"(<header><span class="badge {}">{}</span><h1>{}</h1><p class="quiet">Suite <b>{}</b>, subject <b>{}</b>, seed {}, {}, )"
      R"({}.</p><code class="copy">{}</code></header>)",
      green ? "good" : "bad", green ? "green" : "red", escape_markup(s.headline()), escape_markup(s.run.suite),
      escape_markup(s.run.subject), s.run.seed, escape_markup(s.run.date), format_seconds(s.outcome.seconds),
      escape_markup(s.run.command));
  out += R"(<ul class="tiles">)";
  for (int v = 0; v < harness::kVerdicts; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    const uint64_t n = s.outcome.verdicts[v];
    out += fmt::format(R"(<li class="{}"><b>{}</b>{}</li>)", n == 0 ? "none" : tone(verdict), format_count(n),
                       to_string(verdict));
  }
  out += "</ul>";
  if (s.planned != s.cases.size()) {
    out += fmt::format(R"(<p class="quiet">{} cases were planned, {} were run.</p>)", format_count(s.planned),
                       format_count(s.cases.size()));
  }
  if (!s.outcome.errors.empty()) {
    out += R"(<div class="errors">)";
    for (const auto& error : s.outcome.errors) out += fmt::format("<p>{}</p>", escape_markup(error));
    out += "</div>";
  }
  return out;
}

std::string options(const Summary& s) {
  std::string out =
      "<section><h2>Options</h2><p class=\"quiet\">Cases by option value. A value counts as covered only where it "
      "acted on "
      "the result of a case that was judged.</p><div class=\"wide\"><table><thead><tr><th>option</th><th>value</th>"
      "<th class=\"n\">cases</th><th class=\"n\">acted</th>";
  for (int v = 0; v < harness::kVerdicts; ++v) {
    out += fmt::format(R"(<th class="n">{}</th>)", to_string(static_cast<Verdict>(v)));
  }
  out += "<th></th></tr></thead>";
  std::string previous;
  for (const auto& [value, count] : s.options) {
    const size_t split = value.find('=');
    const std::string name = value.substr(0, split);
    uint64_t cases = 0, acted = 0, covered = 0;
    for (int v = 0; v < harness::kVerdicts; ++v) {
      const auto verdict = static_cast<Verdict>(v);
      cases += count.cases[v];
      acted += count.acted[v];
      if (verdict == Verdict::pass || verdict == Verdict::marginal || verdict == Verdict::fail)
        covered += count.acted[v];
    }
    const bool first = previous.empty() || name != previous;
    if (first) out += fmt::format("{}<tbody class=\"group\">", previous.empty() ? "" : "</tbody>");
    out +=
        fmt::format("<tr><td>{}</td><td>{}</td>{}{}", first ? "<b>" + escape_markup(name) + "</b>" : "",
                    split == std::string::npos ? "" : escape_markup(value.substr(split + 1)), cell(cases), cell(acted));
    for (const uint64_t n : count.cases) out += cell(n);
    out += fmt::format("<td>{}</td></tr>", covered == 0 ? R"(<span class="badge warn">not covered</span>)" : "");
    previous = name;
  }
  if (!previous.empty()) out += "</tbody>";
  return out + "</table></div></section>";
}

std::string times(const Summary& s) {
  const double all = s.times.total();
  const std::pair<const char*, double> parts[] = {{"generate", s.times.generate},
                                                  {"reference", s.times.reference},
                                                  {"contract", s.times.contract},
                                                  {"subject", s.times.subject},
                                                  {"compare", s.times.compare}};
  std::string bar, rows;
  for (int i = 0; const auto& [name, seconds] : parts) {
    const double share = all > 0 ? seconds / all * 100 : 0;
    bar += fmt::format(R"(<i class="s{}" style="width:{:.2f}%"></i>)", i, share);
    rows += fmt::format(
        R"(<tr><td><span class="dot s{}"></span>{}</td><td class="n">{}</td><td class="n">{:.1f} %</td></tr>)", i, name,
        format_seconds(seconds), share);
    ++i;
  }
  return fmt::format(
      R"(<section><h2>Time</h2><p class="quiet">{} of work on {} cores, {} elapsed.</p><div class="share">{}</div>)"
      R"(<div class="wide"><table><tbody>{}</tbody></table></div></section>)",
      format_seconds(all), s.run.cores, format_seconds(s.outcome.seconds), bar, rows);
}

std::string machine(const harness::RunDescription& run) {
  std::string out = "<section><h2>Machine and build</h2><dl>";
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("<dt>{}</dt><dd>{}</dd>", name, escape_markup(value));
  };
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
  return out + "</dl></section>";
}

}  // namespace
}  // namespace html

std::string write_html(const Summary& s) {
  using namespace html;
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>Plumbline: "
      "{}</title><style>{}</style>"
      "</head>\n<body><main>\n",
      s.outcome.green() ? "green" : "red", html_style());
  out += head(s) + "\n";
  if (s.red_cases() != 0) out += red_cases(s) + "\n";
  out += quantities(s) + "\n";
  if (!s.worst.kept().empty()) out += worst_cases(s) + "\n";
  if (!s.drift.empty()) out += drift(s) + "\n";
  if (!s.options.empty()) out += options(s) + "\n";
  out += times(s) + "\n" + machine(s.run);
  return out + "\n</main></body></html>\n";
}

}  // namespace plumbline::reports
