// The program's own description of its commands and options as a man page and as completions for shells.
#pragma once
#include <string>

namespace CLI {
class App;
}

namespace plumbline::harness {

// Of section 1, in the man macros.
std::string man_page(const CLI::App& app, const std::string& version);

// For bash, zsh or fish: commands, options, and files elsewhere. Throws InputError for another shell.
std::string completion(const CLI::App& app, const std::string& shell);

}  // namespace plumbline::harness
