#include "reports/text.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "harness/error.h"
#include "harness/quoted.h"

namespace plumbline::reports {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The JSON library checks UTF-8 and replaces what is not.
std::string valid_utf8(std::string_view text) {
  bool ascii = true;
  for (const char c : text) ascii = ascii && static_cast<unsigned char>(c) < 0x80;
  if (ascii) return std::string(text);
  const auto quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

void fail(const std::filesystem::path& folder, std::string_view what) {
  throw harness::InputError(
      fmt::format("report folder '{}': {}; expected a folder that can be created and written", folder.string(), what));
}

std::string reason(int error) { return std::generic_category().message(error); }

// Empty when the file was written whole, else the system's reason.
std::string write_whole(const std::filesystem::path& path, std::string_view content) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (file) return {};
  return errno != 0 ? reason(errno) : "the write failed";
}

void remove_quietly(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

}  // namespace

std::string escape_markup(std::string_view text) {
  const std::string valid = valid_utf8(text);
  std::string out;
  out.reserve(valid.size() + 16);
  for (size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    const std::string_view three = std::string_view(valid).substr(i, 3);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\t':
        out += "&#9;";
        break;
      case '\n':
        out += "&#10;";
        break;
      case '\r':
        out += "&#13;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += kReplacement;
        } else if (three == "\xEF\xBF\xBE" || three == "\xEF\xBF\xBF") {  // U+FFFE, U+FFFF
          out += kReplacement;
          i += 2;
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string markdown_text(std::string_view text) {
  std::string out;
  for (const char c : valid_utf8(text)) {
    if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      if (std::string_view("\\`*_{}[]<>|#&~").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string markdown_code(std::string_view text) {
  // The fence is one backtick longer than the longest run inside.
  size_t run = 0, longest = 0;
  std::string inside;
  for (const char c : valid_utf8(text)) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
    if (c == '|') {
      inside += "\\|";  // tables split at bars, even inside code
    } else {
      inside += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  const std::string fence(longest + 1, '`');
  const char* pad = longest > 0 ? " " : "";
  return fmt::format("{0}{1}{2}{1}{0}", fence, pad, inside);
}

std::string case_command(std::string_view line) { return "plumbline case " + harness::shell_word(line); }

std::string format_number(double value) { return fmt::format("{:.3g}", value == 0 ? 0.0 : value); }

std::string format_cell(double value) {
  const double size = std::fabs(value);
  if (size >= 1e4 && size < 1e7) {  // "{:.4g}" would hide digits that people read
    const std::string digits = format_count(static_cast<uint64_t>(std::llround(size)));
    return value < 0 ? "-" + digits : digits;
  }
  return fmt::format("{:.4g}", value == 0 ? 0.0 : value);
}

std::string format_exact(double value) { return fmt::format("{}", value); }

std::string format_count(uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string format_seconds(double seconds) {
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = std::llround(seconds);
  return fmt::format("{} min {} s", whole / 60, whole % 60);
}

void check_writable(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(folder, error.message());
  if (!std::filesystem::is_directory(folder, error)) fail(folder, "is not a folder");
  const auto probe = folder / ".probe.partial";
  const std::string problem = write_whole(probe, "probe");
  remove_quietly(probe);
  if (!problem.empty()) fail(folder, problem);
}

void write_files(const std::filesystem::path& folder, const std::vector<File>& files) {
  const auto partial = [&](const File& file) { return folder / fmt::format(".{}.partial", file.name); };
  for (const File& file : files) {
    const std::string problem = write_whole(partial(file), file.content);
    if (problem.empty()) continue;
    for (const File& written : files) remove_quietly(partial(written));
    fail(folder, fmt::format("{}: {}", file.name, problem));
  }
  for (const File& file : files) {
    std::error_code error;
    std::filesystem::rename(partial(file), folder / file.name, error);
    if (!error) continue;
    for (const File& written : files) remove_quietly(partial(written));
    fail(folder, fmt::format("{}: {}", file.name, error.message()));
  }
}

}  // namespace plumbline::reports
