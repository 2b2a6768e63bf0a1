#include "reports/page.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reports/section_json.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

// A script of a page that is read as HTML or as XML.
std::string script(std::string_view text) { return fmt::format("<script>//<![CDATA[\n{}\n//]]></script>\n", text); }

}  // namespace

std::string script_json(std::string_view json) {
  std::string out;
  out.reserve(json.size() + json.size() / 16);
  for (const char c : json) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void Page::figure(const std::string& id, const harness::Chart& chart, bool broad) {
  figure(id, chart, broad, nlohmann::ordered_json::object());
}

void Page::figure(const std::string& id, const harness::Chart& chart, bool broad, const nlohmann::ordered_json& extra) {
  const std::string anchor = escape_markup(id), title = escape_markup(chart.title);
  const std::string description = escape_markup(chart.description);
  body_ += fmt::format(
      R"(<figure id="{0}" data-chart="{0}"{1}><figcaption>{2}</figcaption>)"
      R"(<div class="plot" role="img" tabindex="0" aria-label="{2}{3}{4}"></div>{5}<p class="walked" aria-live="polite"></p>)"
      R"(<details class="data"><summary>Numbers</summary></details></figure>)",
      anchor, broad ? R"( class="broad")" : "", title, description.empty() ? "" : ": ", description,
      description.empty() ? "" : fmt::format(R"(<p class="quiet">{}</p>)", description));
  nlohmann::ordered_json data = chart_json(chart);
  for (const auto& [name, value] : extra.items()) data[name] = value;
  charts_ += fmt::format("{}{}:{}", charts_.empty() ? "" : ",\n", dump_json(id), dump_json(data));
}

void Page::data(std::string_view id, std::string_view json) {
  data_ += fmt::format("<script type=\"application/json\" id=\"{}\">{}</script>\n", id, script_json(json));
}

std::string Page::finish() && {
  data("charts", "{" + charts_ + "}");
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><link rel=\"icon\" href=\"data:,\"/>"
      "<title>{}</title>\n<style>{}</style></head>\n<body><a class=\"skip\" href=\"#content\">to the content</a>\n",
      escape_markup(title_), page_style());
  out += body_;
  out += "\n<div id=\"status\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></div>\n";
  out += data_;
  if (!chart_library().empty()) out += script(chart_library());
  out += script(page_script());
  return out + "</body></html>\n";
}

}  // namespace plumbline::reports
