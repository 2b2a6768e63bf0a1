// Commands of the program beyond those that main.cpp knows: a part of the product registers its own.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace plumbline::harness {

struct Command {
  std::string name, help;
  // Adds options and arguments to `app`. What it returns is called when the command was given, with the whole command
  // line as text, and gives the exit code: 0 all good, 1 something is red; bad input throws InputError.
  std::function<std::function<int(const std::string& line)>(CLI::App& app)> make;
};

// Every registered command, by name.
const std::vector<Command>& commands();

// A static object of this type registers a command before main; in a source file of an object library or of the
// program, since a linker leaves out what nobody refers to in an archive.
struct RegisterCommand {
  explicit RegisterCommand(Command command);
};

}  // namespace plumbline::harness
