#include "harness/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plumbline::harness {
namespace {

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& writer : report_writers()) out.push_back(writer.name);
  return out;
}

TEST(Registry, ListsTheWritersOfThisProgramByName) {
  const RegisterReportWriter last({"zebra", nullptr});
  const RegisterReportWriter first({"aardvark", nullptr});
  EXPECT_THAT(names(), testing::ElementsAre("aardvark", "folder", "zebra"));
}

}  // namespace
}  // namespace plumbline::harness
