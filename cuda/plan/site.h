// Where a call stands, for messages. std::source_location without the compiler support that clang-tidy 14 lacks.
#pragma once

namespace plumbline {

class Site {
 public:
  constexpr Site() = default;
  // As a default argument: the place of the call.
  static constexpr Site current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    Site site;
    site.file_ = file;
    site.line_ = line;
    return site;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr unsigned line() const { return line_; }

 private:
  const char* file_ = "";
  unsigned line_ = 0;
};

}  // namespace plumbline
