// Sections, tables and charts as JSON, to and from: the form that report.json and the page's script share.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "harness/section.h"

namespace plumbline::reports {

// JSON has no infinities and no NaN: they are the strings "inf", "-inf" and "nan".
nlohmann::ordered_json number_json(double value);
double number_from(const nlohmann::ordered_json& value);  // throws nlohmann's exceptions
std::vector<double> numbers_from(const nlohmann::ordered_json& values);

nlohmann::ordered_json chart_json(const harness::Chart& chart);
nlohmann::ordered_json section_json(const harness::Section& section);
harness::Section section_from(const nlohmann::ordered_json& value);  // throws nlohmann's exceptions

// A text with its quotes.
std::string quote_json(std::string_view text);
// On one line; bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const nlohmann::ordered_json& value);

const char* to_string(harness::Chart::Kind kind);

}  // namespace plumbline::reports
