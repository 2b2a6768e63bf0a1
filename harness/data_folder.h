// Where the project's recorded data lie: traces, layers, digits, inputs of the codec study. Looked for in this order:
// what use_data_folder() named (the option --data), PLUMBLINE_DATA, `plumbline-data` beside the program (a build
// folder), `../share/plumbline/data` from it (an installation).
#pragma once
#include <filesystem>
#include <string>

namespace plumbline::harness {

// Throws InputError where there is none: it says where it looked. What was named is taken as it is.
std::filesystem::path data_folder();

// A file of it, such as "traces/digits_cnn.safetensors". Throws as data_folder().
std::filesystem::path data_file(const std::string& name);

// Another folder that comes with the program, such as "python": `plumbline-python` beside it, or
// `../share/plumbline/python` from it; empty where it is in neither.
std::filesystem::path folder_of_program(const std::string& name);

// Before anything is read. Throws InputError where `folder` is not a folder.
void use_data_folder(const std::filesystem::path& folder);

}  // namespace plumbline::harness
