#include "harness/quoted.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace plumbline::harness {
namespace {

TEST(Quoted, NoControlCharacterReachesATerminal) {
  EXPECT_EQ(plain_text("w\x1b[2Jeight\r\n"), "w\\x1b[2Jeight\\x0d\\x0a");
  EXPECT_EQ(plain_text("\xc2\x9b"
                       "31m \x7f"),
            "\\x9b31m \\x7f");  // one character that begins a sequence, too
  EXPECT_EQ(plain_text("größe ≤ 2⁻²⁴"), "größe ≤ 2⁻²⁴");
}

// What the shell makes of the word is the text again, and runs nothing.
TEST(Quoted, AShellReadsTheTextBack) {
  for (const std::string text : {"recorded tensor=x'$(touch /tmp/never)'y", "a b", "", "'", "\\", "`id`", "${HOME}"}) {
    const std::string command = "printf %s " + shell_word(text);
    std::FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    char back[256] = {};
    const size_t n = std::fread(back, 1, sizeof back, pipe);
    pclose(pipe);
    EXPECT_EQ(std::string(back, n), text) << command;
  }
}

}  // namespace
}  // namespace plumbline::harness
