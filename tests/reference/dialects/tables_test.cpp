// DIALECTS.md holds the tables that the code makes.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "reference/dialects/describe.h"
#include "reference/dialects/dialect.h"

namespace plumbline::reference {
namespace {

constexpr std::string_view kBegin = "<!-- generated: dialect_tables() -->\n", kEnd = "<!-- end -->";

TEST(DialectTables, AreThoseOfTheDocument) {
  std::ifstream in(DIALECTS_FILE);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  ASSERT_NE(begin, text.npos);
  ASSERT_NE(end, text.npos);
  const std::string expected = dialect_tables();
  if (text.substr(begin + kBegin.size(), end - begin - kBegin.size()) != expected)
    FAIL() << "between the markers of DIALECTS.md belongs:\n" << expected;
}

TEST(DialectTables, SayWhatTheChainDoes) {
  const Optimizer torch = find_dialect("torch").make(
      std::vector<NamedOption>{{"eps", "[1e-6, 0.001]"}, {"d", "2"}, {"maximize", "true"}}, {4, 3}, {});
  EXPECT_EQ(describe(torch),
            "−g · R, C: w = t^-0.8, mean R ≥ 1e-06 · u = x/√max(V̂, 1e-12) · clip to 2, NaN is 1 · "
            "α = min(0.01, 1/√t)·max(0.001, RMS p), NaN is the floor · p − u");
}

TEST(DialectTables, ATransformWithoutWordsIsNotPassedOver) {
  class Silent final : public Transform {
    void apply(Step&) override {}
  };
  EXPECT_THROW(describe(Silent{}), std::logic_error);
}

}  // namespace
}  // namespace plumbline::reference
