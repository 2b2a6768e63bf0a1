#include "reports/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "harness/error.h"
#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              (std::string("plumbline-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string content(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_)) out.push_back(entry.path().filename().string());
    return out;
  }

  fs::path folder_;
};

TEST(Markup, SurvivesAReader) {
  const std::string plain = "a<b & \"c\" 'd' ]]> | `e` \\ \t\r\n é";
  const auto root = samples::parse_xml("<r a=\"" + escape_markup(plain) + "\">" + escape_markup(plain) + "</r>");
  EXPECT_EQ(root.text, plain);
  EXPECT_EQ(root.attributes.at("a"), plain);
}

TEST(Markup, ReplacesWhatXmlForbids) {
  EXPECT_EQ(escape_markup("\x01"), "\xEF\xBF\xBD");
  EXPECT_EQ(escape_markup(std::string(1, '\0')), "\xEF\xBF\xBD");
  EXPECT_EQ(escape_markup("\xEF\xBF\xBF"), "\xEF\xBF\xBD");
  EXPECT_EQ(escape_markup("x\xFFy"), "x\xEF\xBF\xBDy");
  EXPECT_NO_THROW(samples::parse_xml("<r a=\"" + escape_markup(samples::kHostile) + "\"/>"));
}

TEST(Markdown, KeepsOneCellOnOneLine) {
  EXPECT_EQ(markdown_text("a|b\nc *d*"), "a\\|b c \\*d\\*");
  EXPECT_EQ(markdown_code("a|b\nc"), "`a\\|b c`");
  EXPECT_EQ(markdown_code("a ``b`` c"), "``` a ``b`` c ```");
}

TEST(Command, IsQuotedForAShell) {
  EXPECT_EQ(case_command("came shape=3x4"), "plumbline case 'came shape=3x4'");
  EXPECT_EQ(case_command("it's"), "plumbline case 'it'\\''s'");
}

TEST(Numbers, AreShortOrExact) {
  EXPECT_EQ(format_number(0.123456), "0.123");
  EXPECT_EQ(format_number(-0.0), "0");
  EXPECT_EQ(format_number(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(format_number(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(std::stod(format_exact(0.1 + 0.2)), 0.1 + 0.2);
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_seconds(0.0123), "12 ms");
  EXPECT_EQ(format_seconds(12.34), "12.3 s");
  EXPECT_EQ(format_seconds(250), "4 min 10 s");
}

TEST_F(Files, AreWrittenWhole) {
  check_writable(folder_ / "made" / "deep");
  check_writable(folder_);
  write_files(folder_, {{"a.txt", "first"}, {"b.txt", std::string("zero\0byte", 9)}});
  write_files(folder_, {{"a.txt", "second"}});
  EXPECT_EQ(content("a.txt"), "second");
  EXPECT_EQ(content("b.txt"), std::string("zero\0byte", 9));
  EXPECT_THAT(names(), testing::UnorderedElementsAre("a.txt", "b.txt", "made"));
}

TEST_F(Files, AFolderThatCannotBeMadeIsSaidInOneLine) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "file") << "in the way";
  for (const fs::path& bad : {folder_ / "file", folder_ / "file" / "below", fs::path("/proc/plumbline")}) {
    try {
      check_writable(bad);
      FAIL() << bad;
    } catch (const harness::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("report folder '" + bad.string() + "'"));
      EXPECT_THAT(error.what(), HasSubstr("expected"));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

TEST_F(Files, AFailedWriteLeavesTheOldReportAndNothingPartial) {
  check_writable(folder_);
  write_files(folder_, {{"a.txt", "old"}});
  fs::create_directories(folder_ / ".b.txt.partial");  // no file can be made under this name
  EXPECT_THROW(write_files(folder_, {{"a.txt", "new"}, {"b.txt", "new"}}), harness::InputError);
  EXPECT_EQ(content("a.txt"), "old");
  EXPECT_FALSE(fs::exists(folder_ / ".a.txt.partial"));
}

}  // namespace
}  // namespace plumbline::reports
