// The page around a report: style, scripts, charts' data; one self-contained file that opens offline. Well-formed XML
// too. Every chart is a figure with a title, a description and its numbers on demand.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "harness/section.h"

namespace plumbline::reports {

// Vega's modules; empty in a build without them: the page then shows tables instead of charts.
std::string_view chart_library();
std::string_view page_style();
std::string_view page_script();

class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}
  // Markup, well-formed.
  void add(std::string_view markup) { body_ += markup; }
  // A chart where the page now is; `broad`: over the whole width. Ids are unique within the page.
  void figure(const std::string& id, const harness::Chart& chart, bool broad = false);
  // As above, with the data that the page's script knows beyond a Chart's (see charts.js).
  void figure(const std::string& id, const harness::Chart& chart, bool broad, const nlohmann::ordered_json& extra);
  // Data for the page's script, found by its id.
  void data(std::string_view id, std::string_view json);
  std::string finish() &&;

 private:
  std::string title_, body_, charts_, data_;
};

// JSON text that may stand in a script element of a page that is XML too.
std::string script_json(std::string_view json);

}  // namespace plumbline::reports
