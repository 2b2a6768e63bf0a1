// Includes follow the arrows: reference, cuda <- harness <- properties, reports <- tests.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace plumbline {
namespace {

namespace fs = std::filesystem;

// The folders that each folder may include, itself aside. The harness reaches cuda/ only from harness/subjects/.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"reference", {}},
    {"cuda", {}},
    {"harness", {"reference"}},
    {"harness/subjects", {"reference", "cuda"}},
    {"properties", {"harness", "reference"}},
    {"reports", {"harness"}},
    {"tests", {"reference", "cuda", "harness", "properties", "reports"}},
};

// Headers that the build makes.
const std::set<std::string> kGenerated = {"plumbline_commit.h"};

std::string top(const std::string& path) { return path.substr(0, path.find('/')); }

std::string layer(const std::string& path) {
  return path.starts_with("harness/subjects/") ? "harness/subjects" : top(path);
}

// What is wrong with one include line of one file (paths relative to the root); nothing where it follows the arrows.
std::optional<std::string> objection(const std::string& file, const std::string& line) {
  // Quoted includes name our files; so do angled ones of our folders, but for the toolkit's <cuda/...>, which have no
  // extension.
  static const std::regex include(R"re(^\s*#\s*include\s*(["<])([^">]+)[">])re");
  std::smatch match;
  if (!std::regex_search(line, match, include)) return std::nullopt;
  const std::string target = match[2];
  const bool quoted = match[1] == "\"";
  const bool ours = kMayInclude.contains(top(target)) &&
                    (quoted ? target.find('/') != std::string::npos : fs::path(target).has_extension());
  if (!ours) {
    if (!quoted || kGenerated.contains(target)) return std::nullopt;
    return fmt::format("{} includes \"{}\": our includes are relative to the root of the repository", file, target);
  }
  if (target.find("..") != std::string::npos) return fmt::format("{} includes \"{}\" by way of ..", file, target);
  const std::string from = top(file), to = top(target);
  if (from == to) return std::nullopt;
  if (kMayInclude.at(layer(file)).contains(to)) return std::nullopt;
  return fmt::format("{} includes \"{}\": {} may not include {}", file, target, layer(file), to);
}

bool is_source(const fs::path& path) {
  static const std::set<std::string> extensions = {".h", ".cuh", ".cpp", ".cu", ".inc"};
  return extensions.contains(path.extension().string());
}

std::vector<std::string> sources(const fs::path& root) {
  std::vector<std::string> out;
  for (const auto& [folder, allowed] : kMayInclude) {
    if (folder.find('/') != std::string::npos || !fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && is_source(entry.path())) {
        out.push_back(fs::relative(entry.path(), root).generic_string());
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Arrows, EveryIncludeOfTheTreeFollowsThem) {
  const fs::path root = PLUMBLINE_SOURCE_DIR;
  const auto files = sources(root);
  std::set<std::string> folders;
  size_t includes = 0;
  for (const auto& file : files) {
    folders.insert(top(file));
    std::ifstream stream(root / file);
    ASSERT_TRUE(stream) << file;
    for (std::string line; std::getline(stream, line);) {
      includes += line.find("#include \"") != std::string::npos ? 1 : 0;
      const auto wrong = objection(file, line);
      EXPECT_FALSE(wrong.has_value()) << *wrong;
    }
  }
  EXPECT_THAT(folders, testing::IsSupersetOf({"reference", "cuda", "harness", "reports", "tests"}));
  EXPECT_GT(includes, files.size() / 2) << "the pattern no longer finds includes";
}

TEST(Arrows, TellsRightFromWrong) {
  struct Example {
    std::string file, line;
    bool allowed;
  };
  const Example examples[] = {
      {"reference/factored.cpp", "#include \"reference/tensor.h\"", true},
      {"reference/factored.cpp", "#include \"cuda/core/average.h\"", false},
      {"reference/factored.cpp", "#include \"harness/result.h\"", false},
      {"cuda/twin/twin.cpp", "#include \"reference/tensor.h\"", false},
      {"cuda/twin/twin.cpp", "#include <reference/tensor.h>", false},
      {"cuda/twin/twin.cpp", "  #  include \"harness/result.h\"", false},
      {"cuda/twin/twin.cpp", "#include \"average.h\"", false},
      {"cuda/twin/twin.cpp", "#include \"../core/average.h\"", false},
      {"cuda/twin/twin.cpp", "#include \"cuda/twin/../../reference/tensor.h\"", false},
      {"cuda/kernels/factored.cu", "#include <cuda/std/limits>", true},
      {"harness/judge.cpp", "#include \"reference/tensor.h\"", true},
      {"harness/machine.cpp", "#include \"plumbline_commit.h\"", true},
      {"harness/judge.cpp", "#include \"cuda/api/options.h\"", false},
      {"harness/judge.cpp", "#include \"reports/json.h\"", false},
      {"harness/judge.cpp", "#include \"properties/generators.h\"", false},
      {"harness/subjects/host.cpp", "#include \"cuda/api/options.h\"", true},
      {"harness/subjects/host.cpp", "#include \"harness/subject.h\"", true},
      {"harness/subjects/host.cpp", "#include \"properties/generators.h\"", false},
      {"properties/generators.cpp", "#include \"harness/problem.h\"", true},
      {"properties/generators.cpp", "#include \"reports/json.h\"", false},
      {"properties/generators.cpp", "#include \"cuda/api/options.h\"", false},
      {"reports/json.cpp", "#include \"harness/result.h\"", true},
      {"reports/json.cpp", "#include \"properties/coverage.h\"", false},
      {"reports/json.cpp", "#include <nlohmann/json.hpp>", true},
      {"reports/json.cpp", "// #include \"cuda/api/options.h\" is not for us", true},
      {"tests/cuda/average_test.cpp", "#include \"cuda/core/average.h\"", true},
      {"tests/harness/judge_test.cpp", "#include \"tests/harness/samples.h\"", true},
      {"reports/json.cpp", "#include \"tests/reports/samples.h\"", false},
  };
  for (const auto& example : examples) {
    EXPECT_EQ(!objection(example.file, example.line).has_value(), example.allowed)
        << example.file << ": " << example.line;
  }
}

}  // namespace
}  // namespace plumbline
