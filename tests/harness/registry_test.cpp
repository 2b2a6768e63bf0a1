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

// Tests of one program share the registry.
class Silent final : public Listener {
  void begin(const RunDescription&, uint64_t) override {}
  void on_case(const CaseResult&) override {}
  void end(const RunSummary&) override {}
};
std::unique_ptr<Listener> make_silent(const std::filesystem::path&) { return std::make_unique<Silent>(); }

TEST(Registry, ListsTheWritersOfThisProgramByName) {
  const RegisterReportWriter last({"zebra", make_silent});
  const RegisterReportWriter first({"aardvark", make_silent});
  EXPECT_THAT(names(), testing::ElementsAre("aardvark", "folder", "zebra"));
}

}  // namespace
}  // namespace plumbline::harness
