#include "harness/data_folder.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <system_error>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;

fs::path& named() {
  static fs::path folder;
  return folder;
}

// Of a build folder, of an installation.
std::array<fs::path, 2> places_of(const std::string& name) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  return {program / ("plumbline-" + name), program.parent_path() / "share/plumbline" / name};
}

}  // namespace

fs::path folder_of_program(const std::string& name) {
  std::error_code error;
  for (const fs::path& place : places_of(name))
    if (fs::is_directory(place, error)) return place;
  return {};
}

fs::path data_folder() {
  if (!named().empty()) return named();
  if (const char* folder = std::getenv("PLUMBLINE_DATA"); folder && *folder) return folder;
  if (const fs::path place = folder_of_program("data"); !place.empty()) return place;
  const auto places = places_of("data");
  throw InputError(
      fmt::format("the recorded data are neither in {} nor in {}: give their folder as --data or PLUMBLINE_DATA",
                  places[0].string(), places[1].string()));
}

fs::path data_file(const std::string& name) { return data_folder() / name; }

void use_data_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw InputError(
        fmt::format("data folder '{}': cannot be read: expected a folder with traces/, w8a8/, digits/ and "
                    "codec_study/",
                    folder.string()));
  named() = folder;
}

}  // namespace plumbline::harness
