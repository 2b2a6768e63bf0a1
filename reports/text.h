// Text as the writers need it: escaping, numbers, files that appear whole or not at all.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline::reports {

// For text and double-quoted attributes of XML and HTML. Bytes that are not UTF-8 and characters that XML 1.0 forbids
// become U+FFFD; tabs and line ends become character references, so that they survive in attributes.
std::string escape_markup(std::string_view text);

// For one cell of a Markdown table, as code: `text`, whatever it contains.
std::string markdown_code(std::string_view text);
// For one cell of a Markdown table, as prose.
std::string markdown_text(std::string_view text);

// The command that runs one case again, quoted for a POSIX shell.
std::string case_command(std::string_view line);

std::string format_number(double value);     // three significant digits, "inf", "-inf", "nan"
std::string format_cell(double value);       // four significant digits, whole numbers whole: for tables
std::string format_exact(double value);      // shortest text that reads back to the same value
std::string format_count(uint64_t value);    // 1,234,567
std::string format_seconds(double seconds);  // "830 ms", "12.3 s", "4 min 10 s"

struct File {
  std::string name;
  std::string content;
};

// Creates the folder if need be and shows that files can be made in it. Throws harness::InputError.
void check_writable(const std::filesystem::path& folder);
// Writes every file under a temporary name, then renames them all. Throws harness::InputError; where a
// write fails (a full disk), no file under its own name was touched.
void write_files(const std::filesystem::path& folder, const std::vector<File>& files);

}  // namespace plumbline::reports
