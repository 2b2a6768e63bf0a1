#include "harness/terminal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "harness/case.h"
#include "harness/machine.h"
#include "harness/runner.h"
#include "harness/subject.h"
#include "properties/generated.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Shown {
  std::string summary;
  std::string progress;
  int64_t lines() const { return std::count(summary.begin(), summary.end(), '\n'); }
};

Shown run(const Subject& subject, int count) {
  std::vector<PlannedCase> cases;
  for (Problem& p : properties::generate_problems(1, count, 4096)) cases.push_back({std::move(p), "generated", false});
  cases.push_back({parse_problem("shape=64x64 steps=2 seed=1"), "traces", true});
  RunDescription run = describe_machine("host");
  run.subject = subject.name();
  run.suite = "quick";
  std::FILE* file = std::tmpfile();
  TerminalSummary summary("out/report.html");
  ProgressLine progress(file);
  Listener* const listeners[] = {&summary, &progress};
  run_cases(cases, subject, run, listeners);
  Shown shown{summary.text(), {}};
  std::rewind(file);
  for (int c; (c = std::fgetc(file)) != EOF;) shown.progress += char(c);
  std::fclose(file);
  return shown;
}

TEST(TerminalSummary, OfAGreenRunFitsTwelveLinesOfPlainText) {
  const Shown shown = run(*make_subject("host"), 300);
  EXPECT_LE(shown.lines(), 12);
  EXPECT_THAT(shown.summary, Not(HasSubstr("\x1b")));
  EXPECT_THAT(shown.summary, Not(HasSubstr("\r")));
  EXPECT_THAT(shown.summary, HasSubstr("subject host"));
  EXPECT_THAT(shown.summary, HasSubstr("301 (300 generated, 1 traces)"));
  EXPECT_THAT(shown.summary, HasSubstr("pass 301"));
  EXPECT_THAT(shown.summary, HasSubstr("out/report.html"));
  EXPECT_TRUE(shown.summary.ends_with("\ngreen\n")) << shown.summary;
}

TEST(TerminalSummary, OfARedRunShowsTheFirstFailuresWithTheirLines) {
  const FaultySubject faulty([](int64_t, Observation& now, const Observation&) { now.parameter[0] ^= std::byte{64}; });
  const Shown shown = run(faulty, 50);
  EXPECT_LE(shown.lines(), 18);
  EXPECT_THAT(shown.summary, HasSubstr("fail       parameter first broken at step 1"));
  EXPECT_THAT(shown.summary, HasSubstr("plumbline case 'shape="));
  EXPECT_THAT(shown.summary, HasSubstr("--subject faulty"));
  EXPECT_TRUE(shown.summary.ends_with("\nred\n")) << shown.summary;
}

TEST(TerminalSummary, OfTheWorstRunFitsTwentyFiveLines) {
  TerminalSummary summary("report/report.html");
  RunDescription description;
  summary.begin(description, 100);
  CaseResult red;
  red.verdict = Verdict::fail;
  red.reason = "row broke";
  red.evidence = std::make_shared<const Evidence>();
  RunSummary end;
  for (int i = 0; i < 100; ++i) {
    red.line = "shape=" + std::to_string(i);
    summary.on_case(red);
    ++end.verdicts[size_t(Verdict::fail)];
    end.errors.push_back("error " + std::to_string(i));
    Section section;
    section.green = false;
    summary.on_section(section);
  }
  summary.end(end);
  EXPECT_LE(std::count(summary.text().begin(), summary.text().end(), '\n'), 25);
  EXPECT_THAT(summary.text(), HasSubstr("plumbline case --bundle report/bundles/fail-"));
}

TEST(TerminalSummary, IsColouredOnlyWhereItIsToldTo) {
  for (const bool colour : {false, true}) {
    TerminalSummary summary("report/report.html", colour);
    summary.begin({}, 1);
    CaseResult one;
    summary.on_case(one);
    RunSummary end;
    end.verdicts[size_t(Verdict::pass)] = 1;
    summary.end(end);
    EXPECT_EQ(summary.text().find('\x1b') != std::string::npos, colour);
    EXPECT_TRUE(summary.text().ends_with(colour ? "\x1b[32mgreen\x1b[0m\n" : "\ngreen\n"));
  }
}

TEST(Colour, IsNotForPipesNorForThoseWhoSaidNo) {
  std::FILE* file = std::tmpfile();
  EXPECT_FALSE(wants_colour(file));
  std::fclose(file);
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) GTEST_SKIP() << "no pseudo-terminals here";
  std::FILE* stream = std::fopen(ptsname(terminal), "w");
  ASSERT_NE(stream, nullptr);
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  EXPECT_TRUE(wants_colour(stream));
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(wants_colour(stream));
  unsetenv("NO_COLOR");
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(wants_colour(stream));
  std::fclose(stream);
  close(terminal);
}

TEST(ProgressLine, InAPipeIsAPlainLineNowAndThen) {
  std::FILE* file = std::tmpfile();
  ProgressLine progress(file, std::chrono::milliseconds(0));
  progress.begin({}, 4);
  progress.on_case({});
  progress.on_case({});
  progress.end({});
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += char(c);
  std::fclose(file);
  EXPECT_THAT(text, testing::MatchesRegex("1/4 cases  [0-9]+/s  [0-9]+:[0-9]+ left  0 red\n2/4 cases  [^\r\x1b]*\n"));
}

TEST(ProgressLine, TellsAlsoWhileNoCaseEnds) {
  std::FILE* file = std::tmpfile();
  ProgressLine progress(file, std::chrono::milliseconds(1));
  progress.begin({}, 4);
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (lseek(fileno(file), 0, SEEK_END) == 0 && std::chrono::steady_clock::now() < patience) sched_yield();
  Section section;
  section.title = "Properties";
  for (int i = 0; i < 4; ++i) progress.on_case({});
  progress.on_section(section);
  const auto before = lseek(fileno(file), 0, SEEK_END);
  while (lseek(fileno(file), 0, SEEK_END) == before && std::chrono::steady_clock::now() < patience) sched_yield();
  progress.end({});
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += char(c);
  std::fclose(file);
  EXPECT_TRUE(text.starts_with("0/4 cases  0/s  0 red\n")) << text;
  EXPECT_THAT(text, HasSubstr("4/4 cases"));
  EXPECT_THAT(text, HasSubstr("so far: Properties  0 red\n"));
}

TEST(ProgressLine, WritesNothingOfAShortRunWhereThereIsNoTerminal) {
  EXPECT_EQ(run(*make_subject("host"), 30).progress, "");
}

TEST(ProgressLine, RewritesOneLineOnATerminalAndClearsIt) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) GTEST_SKIP() << "no pseudo-terminals here";
  std::FILE* stream = std::fopen(ptsname(terminal), "w");
  ASSERT_NE(stream, nullptr);
  ProgressLine progress(stream);
  progress.begin({}, 3);
  progress.end({});
  std::fflush(stream);
  char text[256] = {};
  ASSERT_GT(read(terminal, text, sizeof text - 1), 0);
  EXPECT_STREQ(text, "\r\x1b[K");
  std::fclose(stream);
  close(terminal);
}

TEST(DescribeCase, ShowsEveryQuantityTheOptionsAndTheVerdict) {
  const CaseResult result = run_case(parse_problem("shape=64x64 steps=2 seed=1"), *make_subject("host"));
  const std::string text = describe_case(result);
  EXPECT_THAT(text, HasSubstr(result.line));
  for (const QuantityResult& q : result.quantities)
    EXPECT_THAT(text, HasSubstr(std::string("\n") + to_string(q.quantity)));
  EXPECT_THAT(text, HasSubstr("storage=al8"));
  EXPECT_THAT(text, HasSubstr("eps2=floor (did not act)"));
  EXPECT_TRUE(text.ends_with("\npass\n")) << text;
}

TEST(DescribeMachine, SaysWhatAReportNeeds) {
  const RunDescription run = describe_machine("host");
  for (const std::string& text : {run.version, run.commit, run.cpu, run.os, run.compiler, run.flags, run.build_type})
    EXPECT_NE(text, "");
  EXPECT_THAT(run.date, testing::MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z"));
  EXPECT_THAT(run.flags, HasSubstr("-ffp-contract=off"));
  EXPECT_GE(run.cores, 1);
  EXPECT_EQ(run.gpu, "");
}

}  // namespace
}  // namespace plumbline::harness
