// report.json read back into what it was written from: the one reader for compare and merge.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "reports/summary.h"

namespace plumbline::reports {

// The file, or the folder that holds it as report.json. Throws harness::InputError naming the file, what is wrong (not
// JSON, cut off, another schema, a member that is missing or of another kind) and what was expected.
Summary read_report(const std::filesystem::path& path);
// The same for a text; `name` stands for the path in messages.
Summary parse_report(std::string_view text, const std::string& name);
// Where read_report looks.
std::filesystem::path report_file(const std::filesystem::path& path);

inline constexpr const char* kReportSchema = "plumbline-report/1";

}  // namespace plumbline::reports
