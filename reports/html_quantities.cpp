#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "reports/html_parts.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

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
  const std::string name = quantity_link(static_cast<harness::Quantity>(quantity));
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
    if (q.unbounded != 0)
      remark += fmt::format(R"( <span class="badge warn">{} without a bound</span>)", format_count(q.unbounded));
    if (q.out_of_range != 0)
      remark += fmt::format(R"( <span class="badge none">{} out of range</span>)", format_count(q.out_of_range));
    out += fmt::format(
        R"(<tr><td><b>{}</b></td><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td>)"
        R"(<td class="n"><b>{}</b></td><td>{}</td><td>{}</td></tr>)",
        out.empty() ? name : std::string(), to_string(size), format_count(q.cases), format_count(q.ratios.total()),
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

// All stages at one glance: a row per quantity, error / bound across in quarter octaves, shade by the share of
// elements.
void distributions(Page& page, const Summary& s) {
  harness::Chart chart;
  chart.title = "Where the elements lie below their bounds";
  chart.description =
      "A row per quantity in the order of the computation; error/bound runs from 2^-24 to 2^6, the red line is the "
      "bound. The deeper the colour, the "
      "larger the share of elements, on a logarithmic scale. Exact agreement is not drawn.";
  chart.kind = harness::Chart::Kind::heatmap;
  chart.x.title = "error / bound";
  chart.y = {"share of elements", true};
  for (int i = 0; i < harness::kQuantities; ++i) {
    harness::RatioHistogram all;
    for (const QuantitySize& q : s.quantities[i]) all.merge(q.ratios);
    if (all.total() == 0 || all.count[0] == all.total()) continue;
    harness::Series& row = chart.series.emplace_back();
    row.name = to_string(static_cast<harness::Quantity>(i));
    for (int bucket = 1; bucket < harness::RatioHistogram::kBuckets; ++bucket) {
      if (all.count[bucket] == 0) continue;
      row.x.push_back(-24 + (bucket - 0.5) / 4);
      row.y.push_back(double(all.count[bucket]) / double(all.total()));
    }
  }
  if (chart.series.empty()) return;
  page.add(R"(<div class="figures">)");
  page.figure("distributions", chart, true,
              nlohmann::ordered_json{{"rule", 0}, {"x", {{"title", chart.x.title}, {"powers", true}}}});
  page.add("</div>");
}

}  // namespace

void quantities(Page& page, const Summary& s) {
  if (s.cases.empty()) return;
  open_section(page, "bounds", "Error / bound");
  page.add(
      "<p class=\"quiet\">By quantity, in the order of the computation, and by the size of the tensor (small: up to 64 "
      "elements, medium: to "
      "1,024, large: above). 1 is the bound.</p>");
  const std::string loose = loose_list(s);
  page.add(loose.empty() ? "<p>No quantity is loose.</p>"
                         : fmt::format(R"(<p><span class="badge warn">loose</span> {}</p>)", loose));
  distributions(page, s);
  std::string out =
      R"(<div class="wide" role="region" tabindex="0" aria-label="Error over bound by quantity"><table><caption class="unseen">Error over bound by )"
      R"(quantity and tensor size</caption><thead><tr><th scope="col">quantity</th><th scope="col">tensors</th><th scope="col" class="n">cases</th>)"
      R"(<th scope="col" class="n">elements</th><th scope="col" class="n">median</th><th scope="col" class="n">p99</th><th scope="col" class="n">max</th>)"
      R"(<th scope="col">distribution</th><th></th></tr></thead>)";
  for (int i = 0; i < harness::kQuantities; ++i) out += quantity_rows(s, i);
  page.add(out +
           "</table></div><p class=\"quiet\">Distributions run from 2<sup>-24</sup> to 2<sup>6</sup> with logarithmic "
           "heights; the bar apart on the "
           "left counts exact agreement. Median and p99 are upper edges of quarter octaves.</p>");
  close_section(page);
}

}  // namespace plumbline::reports::html
