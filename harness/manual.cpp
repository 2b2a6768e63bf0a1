#include "harness/manual.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "harness/error.h"
#include "harness/suggest.h"

namespace plumbline::harness {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) text.replace(at, from.size(), to);
  return text;
}

// Text of roff: backslashes, hyphens that are to be copied, and no line that looks like a request.
std::string roff(const std::string& text) {
  std::string out = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  if (out.starts_with('.') || out.starts_with('\'')) out = "\\&" + out;
  return replaced(out, "\n", " ");
}

std::string value_of(const CLI::Option& option) {
  if (option.get_type_size() == 0) return {};
  return option.get_positional() ? option.get_name(true) : replaced(option.get_type_name(), "TEXT", "VALUE");
}

std::string describe(const CLI::Option& option) {
  std::string out = option.get_description();
  if (!option.get_default_str().empty()) out += fmt::format(" [{}]", option.get_default_str());
  return out;
}

void list_options(const CLI::App& app, std::string& out) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string value = value_of(*option);
    const std::string name =
        option->get_positional() ? fmt::format("\\fI{}\\fR", roff(option->get_name(true)))
        : value.empty()          ? fmt::format("\\fB{}\\fR", roff(option->get_name(false, true)))
                        : fmt::format("\\fB{}\\fR \\fI{}\\fR", roff(option->get_name(false, true)), roff(value));
    out += fmt::format(".TP\n{}\n{}\n", name, roff(describe(*option)));
  }
}

// The words that begin with "--".
std::vector<std::string> option_words(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string bash(const CLI::App& app) {
  std::string names, cases;
  for (const CLI::App* command : commands_of(app)) {
    names += (names.empty() ? "" : " ") + command->get_name();
    cases += fmt::format("    {}) words=\"{} {}\" ;;\n", command->get_name(), joined(option_words(*command)),
                         joined(option_words(app)));
  }
  return fmt::format(
      "# bash completion of plumbline, written by the program itself\n_plumbline() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} words i command=\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    if [[ \" {0} \" == *\" ${{COMP_WORDS[i]}} \"* ]]; then command=${{COMP_WORDS[i]}}; break; fi\n  done\n"
      "  case $command in\n{1}    *) words=\"{0} {2}\" ;;\n  esac\n"
      "  COMPREPLY=()\n"
      "  if [[ -z $command || $word == -* ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); fi\n}}\n"
      "complete -o default -o bashdefault -F _plumbline plumbline\n",
      names, cases, joined(option_words(app)));
}

std::string zsh(const CLI::App& app) {
  const auto quoted = [](const std::string& text) {
    return replaced(replaced(replaced(text, "'", "'\\''"), "[", "("), "]", ")");
  };
  const auto arguments = [&](const CLI::App& of) {
    std::string out;
    for (const CLI::Option* option : of.get_options())
      for (const std::string& name : option->get_lnames())
        out += fmt::format(" \\\n        '--{}[{}]{}'", name, quoted(describe(*option)),
                           option->get_type_size() == 0 ? "" : ":value:_files");
    return out;
  };
  std::string names, cases;
  for (const CLI::App* command : commands_of(app)) {
    names +=
        fmt::format("    '{}:{}'\n", command->get_name(), quoted(replaced(command->get_description(), ":", "\\:")));
    cases += fmt::format("    {})\n      _arguments{}{} \\\n        '*:file:_files' ;;\n", command->get_name(),
                         arguments(*command), arguments(app));
  }
  return fmt::format(
      "#compdef plumbline\n# written by the program itself\nlocal -a commands=(\n{})\n"
      "if ((CURRENT == 2)); then\n  _describe command commands\nelse\n  local command=$words[2]\n"
      "  shift words\n  ((CURRENT--))\n  case $command in\n{}  esac\nfi\n",
      names, cases);
}

std::string fish(const CLI::App& app) {
  const auto quoted = [](const std::string& text) {
    return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
  };
  std::string out = "# fish completion of plumbline, written by the program itself\n";
  const auto options = [&](const CLI::App& of, const std::string& when) {
    for (const CLI::Option* option : of.get_options())
      for (const std::string& name : option->get_lnames())
        out += fmt::format("complete -c plumbline{} -l {}{} -d {}\n", when, name,
                           option->get_type_size() == 0 ? "" : " -r", quoted(describe(*option)));
  };
  for (const CLI::App* command : commands_of(app)) {
    out += fmt::format("complete -c plumbline -f -n __fish_use_subcommand -a {} -d {}\n", command->get_name(),
                       quoted(command->get_description()));
    options(*command, fmt::format(" -n '__fish_seen_subcommand_from {}'", command->get_name()));
  }
  options(app, "");
  return out;
}

}  // namespace

std::string man_page(const CLI::App& app, const std::string& version) {
  std::string out = fmt::format(
      ".TH PLUMBLINE 1 \"\" \"plumbline {}\" \"User Commands\"\n.SH NAME\nplumbline \\- numerics verification for "
      "memory\\-efficient optimizers\n.SH SYNOPSIS\n.B plumbline\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH "
      "DESCRIPTION\n{}\n",
      roff(version), roff(app.get_description()));
  out += ".SH OPTIONS\n";
  list_options(app, out);
  out += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) {
    out += fmt::format(".SS {}\n{}\n", roff(command->get_name()), roff(command->get_description()));
    list_options(*command, out);
  }
  out +=
      ".SH EXIT STATUS\n.TP\n0\nall good\n.TP\n1\nsomething failed, or could not have failed; or the run was cut "
      "short; "
      "or a bundle was not reproduced\n.TP\n2\nbad usage or input\n.TP\n3\nof \\fBhardware\\fR: no GPU could be "
      "tested\n"
      ".TP\n130, 143\nstopped by Ctrl\\-C or SIGTERM; the report says so\n.SH ENVIRONMENT\n.TP\nPLUMBLINE_DATA\nfolder "
      "of "
      "the recorded data, unless \\fB\\-\\-data\\fR names one\n.TP\nGTEST_SHARD_INDEX, GTEST_TOTAL_SHARDS, "
      "SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT\nthe part of a suite that \\fBverify\\fR runs, without "
      "\\fB\\-\\-shard\\fR\n.TP\nNO_COLOR\nno colours\n";
  return out;
}

std::string completion(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return bash(app);
  if (shell == "zsh") return zsh(app);
  if (shell == "fish") return fish(app);
  const std::vector<std::string> known = {"bash", "zsh", "fish"};
  throw InputError(fmt::format("shell '{}': expected bash, zsh or fish{}", shell, did_you_mean(shell, known)));
}

}  // namespace plumbline::harness
