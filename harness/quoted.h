// Text that others chose (names in files, error messages of theirs) on its way to a terminal or into a command.
#pragma once
#include <string>
#include <string_view>

namespace plumbline::harness {

// `text` with control characters, C0 and C1 and DEL, as \x1b, so that no terminal obeys them. Newlines too: a line
// stays one.
std::string plain_text(std::string_view text);

// One word of a POSIX shell that stands for `text` exactly: 'it'\''s'. Always in quotes.
std::string shell_word(std::string_view text);

// The same, without quotes where no shell needs them: letters, digits and _ . / : - + @ %
std::string bare_shell_word(std::string_view text);

}  // namespace plumbline::harness
