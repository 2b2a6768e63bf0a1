#include "reports/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <tuple>

#include "reports/drift_plot.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

using harness::Verdict;

constexpr size_t kRedShown = 100;
constexpr size_t kDriftShown = 400;  // trainings with plots; the largest drifts first
constexpr size_t kDriftOpen = 4;     // of those, unfolded

std::string_view tone(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "good";
    case Verdict::marginal:
      return "warn";
    case Verdict::skipped:
      return "none";
    default:
      return "bad";
  }
}

std::string badge(Verdict verdict) {
  return fmt::format(R"(<span class="badge {}">{}</span>)", tone(verdict), to_string(verdict));
}

std::string copy_line(std::string_view line) {
  return fmt::format(R"(<code class="copy">{}</code>)", escape_markup(case_command(line)));
}

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

std::string first_broken(const harness::CaseResult& c) {
  if (!c.first_broken) return {};
  std::string out = to_string(*c.first_broken);
  if (c.first_broken_step) out += fmt::format(R"(<br/><span class="quiet">step {}</span>)", *c.first_broken_step);
  return out;
}

// got, expected and bound of the element that broke first, or else of the worst.
std::string element(const harness::CaseResult& c) {
  const harness::QuantityResult* shown = nullptr;
  for (const auto& q : c.quantities) {
    const bool first = c.first_broken && q.quantity == *c.first_broken;
    if (first || shown == nullptr || (!c.first_broken && q.ratios.largest > shown->ratios.largest)) shown = &q;
    if (first) break;
  }
  if (shown == nullptr) return {};
  const auto& w = shown->worst;
  return fmt::format(R"(<div class="quiet">{}[{}] at step {}: got {}, expected {} ± {}, error/bound {}</div>)",
                     to_string(shown->quantity), w.index, w.step, format_exact(w.got), format_exact(w.expected),
                     format_number(w.bound), format_number(w.ratio));
}

std::string red_cases(const Summary& s) {
  std::string out =
      "<section><h2>Red cases</h2><p class=\"quiet\">The first quantity outside its bound names the broken stage. A "
      "click "
      "selects a whole line.</p><div class=\"wide\"><table><thead><tr><th>verdict</th><th>first outside</th>"
      "<th>what happened, and the line that repeats it</th></tr></thead><tbody>";
  size_t shown = 0;
  for (const auto& c : s.red.kept()) {
    if (shown == kRedShown) break;
    ++shown;
    out += fmt::format(R"(<tr><td>{}</td><td class="nowrap">{}</td><td class="reason">{}{}{}</td></tr>)",
                       badge(c.verdict), first_broken(c), escape_markup(c.reason), element(c), copy_line(c.line));
  }
  out += "</tbody></table></div>";
  if (s.red_cases() > shown) {
    out += fmt::format(R"(<p class="quiet">{} more are in report.json.</p>)", format_count(s.red_cases() - shown));
  }
  return out + "</section>";
}

// The distribution of error / bound: exact zeros at the left, then octaves from 2^-24 to 2^6, logarithmic heights.
std::string strip(const harness::RatioHistogram& ratios) {
  constexpr int kOne = 97;  // first bucket above 1
  constexpr double kBar = 1.5, kHeight = 20;
  const double tallest = std::log1p(static_cast<double>(*std::max_element(ratios.count.begin(), ratios.count.end())));
  const auto x = [](int bucket) { return bucket == 0 ? 0.0 : 6 + bucket * kBar; };
  std::string inside, outside, exact;
  for (int bucket = 0; bucket < harness::RatioHistogram::kBuckets; ++bucket) {
    if (ratios.count[bucket] == 0) continue;
    const double height = std::max(1.0, std::log1p(static_cast<double>(ratios.count[bucket])) / tallest * kHeight);
    std::string& path = bucket == 0 ? exact : bucket < kOne ? inside : outside;
    path += fmt::format("M{} 21v-{:.1f}h{}v{:.1f}z", x(bucket), height, bucket == 0 ? 4 : kBar, height);
  }
  return fmt::format(
      R"(<svg class="strip" viewBox="0 0 200 22" role="img" aria-label="distribution of error over bound">)"
      R"(<path class="base" d="M0 21.5H200"/><path class="limit" d="M{} 0V22"/><path class="exact" d="{}"/>)"
      R"(<path class="inside" d="{}"/><path class="outside" d="{}"/></svg>)",
      x(kOne), exact, inside, outside);
}

std::string quantity_rows(const Summary& s, int quantity) {
  std::string out;
  const char* name = to_string(static_cast<harness::Quantity>(quantity));
  for (int j = 0; j < harness::kSizeClasses; ++j) {
    const QuantitySize& q = s.quantities[quantity][j];
    if (q.empty()) continue;
    const auto size = static_cast<harness::SizeClass>(j);
    std::string remark;
    if (q.outside != 0) {
      remark = fmt::format(R"(<span class="badge bad">{} outside</span>)", format_count(q.outside));
    } else if (is_loose(q, size)) {
      remark = fmt::format(R"(<span class="badge warn">loose, below {}</span>)", harness::loose_below(size));
    } else if (q.exact()) {
      remark = R"(<span class="badge none">exact</span>)";
    }
    out += fmt::format(
        R"(<tr><td><b>{}</b></td><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td>)"
        R"(<td class="n"><b>{}</b></td><td>{}</td><td>{}</td></tr>)",
        out.empty() ? name : "", to_string(size), format_count(q.cases), format_count(q.ratios.total()),
        format_number(q.quantile(0.5)), format_number(q.quantile(0.99)), format_number(q.ratios.largest),
        strip(q.ratios), remark);
  }
  return out.empty() ? out : R"(<tbody class="group">)" + out + "</tbody>";
}

std::string loose_list(const Summary& s) {
  std::string out;
  for (int i = 0; i < harness::kQuantities; ++i) {
    for (int j = 0; j < harness::kSizeClasses; ++j) {
      const QuantitySize& q = s.quantities[i][j];
      const auto size = static_cast<harness::SizeClass>(j);
      if (!is_loose(q, size)) continue;
      out += fmt::format("{}{} ({} tensors: {})", out.empty() ? "" : ", ", to_string(static_cast<harness::Quantity>(i)),
                         to_string(size), format_number(q.ratios.largest));
    }
  }
  return out;
}

std::string quantities(const Summary& s) {
  std::string out =
      "<section><h2>Error / bound</h2><p class=\"quiet\">By quantity, in the order of the computation, and by the size "
      "of "
      "the tensor (small: up to 64 elements, medium: to 1,024, large: above). 1 is the bound, marked red in the "
      "distribution, which runs from 2<sup>-24</sup> to 2<sup>6</sup> with logarithmic heights; the bar apart on its "
      "left "
      "counts exact agreement. Median and p99 are upper edges of quarter octaves.</p>";
  const std::string loose = loose_list(s);
  out += loose.empty() ? "<p>No quantity is loose.</p>"
                       : fmt::format(R"(<p><span class="badge warn">loose</span> {}</p>)", loose);
  out +=
      "<div class=\"wide\"><table><thead><tr><th>quantity</th><th>tensors</th><th class=\"n\">cases</th>"
      "<th class=\"n\">elements</th><th class=\"n\">median</th><th class=\"n\">p99</th><th class=\"n\">max</th>"
      "<th>distribution</th><th></th></tr></thead>";
  for (int i = 0; i < harness::kQuantities; ++i) out += quantity_rows(s, i);
  return out + "</table></div></section>";
}

std::string worst_cases(const Summary& s) {
  std::string out =
      "<section><h2>Nearest to their bounds</h2><div class=\"wide\"><table><thead><tr><th class=\"n\">error / "
      "bound</th>"
      "<th>verdict</th><th>worst element, and the line that repeats the case</th></tr></thead><tbody>";
  for (const auto& c : s.worst.kept()) {
    harness::CaseResult without_stage;  // the worst element, not the first broken one
    without_stage.quantities = c.quantities;
    out += fmt::format(R"(<tr><td class="n"><b>{}</b></td><td>{}</td><td class="reason">{}{}</td></tr>)",
                       format_number(largest_ratio(c)), badge(c.verdict), element(without_stage), copy_line(c.line));
  }
  return out + "</tbody></table></div></section>";
}

double largest_drift(const harness::CaseResult& c) {
  double largest = 0;
  for (const auto& point : c.drift) largest = point.drift <= largest ? largest : point.drift;  // NaN wins
  return largest;
}

std::string legend(std::string_view name, std::string_view meaning) {
  return fmt::format(
      R"(<span><svg viewBox="0 0 30 8" aria-hidden="true"><path class="{}" d="M2 4H28"/></svg>{}</span>)", name,
      meaning);
}

// "row 0.22, col 0.38, parameter 0.014": where the drift stands at the end.
std::string last_drifts(const std::vector<DriftSeries>& all_series) {
  std::string out;
  for (const DriftSeries& series : all_series) {
    const std::string name = to_string(series.quantity);
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name.substr(0, name.rfind("_drift")),
                       format_number(series.points.back().drift));
  }
  return out;
}

std::string drift(const Summary& s) {
  std::vector<const harness::CaseResult*> order;
  for (const auto& c : s.drift) order.push_back(&c);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const double drift_a = largest_drift(*a), drift_b = largest_drift(*b);
    return std::make_tuple(std::isnan(drift_a), drift_a) > std::make_tuple(std::isnan(drift_b), drift_b);
  });
  std::string out =
      "<section><h2>Drift of recorded trainings</h2><p class=\"quiet\">Distance from the free-running double-precision "
      "reference after each step, relative to its norm, on a logarithmic scale; the largest drifts first.</p>"
      "<div class=\"legend\">" +
      legend("drift", "drift") + legend("quantization", "part of stored codes") +
      legend("bound", "derived bound of the rest") + "</div>";
  for (size_t i = 0; i < std::min(order.size(), kDriftShown); ++i) {
    const auto& c = *order[i];
    const auto all_series = split_drift(c.drift);
    out += fmt::format("<details{}><summary><b>{}</b> {}</summary>{}<div class=\"plots\">",
                       i < kDriftOpen ? " open=\"open\"" : "", last_drifts(all_series), escape_markup(c.line),
                       copy_line(c.line));
    for (const DriftSeries& series : all_series) out += plot_drift(series);
    out += "</div></details>";
  }
  if (order.size() > kDriftShown) {
    out += fmt::format(R"(<p class="quiet">{} more are in report.json.</p>)", order.size() - kDriftShown);
  }
  return out + "</section>";
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

std::string write_html(const Summary& s) {
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
