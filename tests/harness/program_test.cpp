// The program as a person starts it: exit codes, one line of complaint, nothing written by a run that did not happen.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <tuple>

#include "harness/bundle.h"
#include "harness/case.h"
#include "harness/subject.h"
#include "tests/harness/faulty.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Ended {
  int code = -1;
  std::string out, err;
};

class Program : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) / (std::string("plumbline-program-") +
                                                     testing::UnitTest::GetInstance()->current_test_info()->name());
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "work");
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  // In an empty folder of its own.
  Ended run(const std::string& arguments, const std::string& environment = "") const {
    const std::string command = fmt::format(
        "cd '{0}/work' && env -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX {1} '{2}' {3} >'{0}/out' 2>'{0}/err' "
        "</dev/null",
        folder_.string(), environment, PLUMBLINE_PROGRAM, arguments);
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text(folder_ / "out"), text(folder_ / "err")};
  }
  void expect_refused(const std::string& arguments, const std::string& says,
                      const std::string& environment = "") const {
    const Ended ended = run(arguments, environment);
    EXPECT_EQ(ended.code, 2) << arguments << "\n" << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(says)) << arguments;
    EXPECT_TRUE(ended.err.starts_with("plumbline: ")) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << arguments << "\n" << ended.err;
    EXPECT_TRUE(ended.err.ends_with('\n'));
    EXPECT_EQ(ended.out, "") << arguments;
    EXPECT_TRUE(fs::is_empty(folder_ / "work")) << arguments;
  }
};

TEST_F(Program, RunsAGoodCase) {
  const Ended ended = run("case 'shape=37x129 storage=al8 steps=3 seed=7' --subject host");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_THAT(ended.out, HasSubstr("parameter_drift"));
  EXPECT_TRUE(ended.out.ends_with("\npass\n")) << ended.out;
  EXPECT_TRUE(fs::is_empty(folder_ / "work"));
}

TEST_F(Program, EndsWithOneForARedCase) {
  const Ended ended = run("case 'shape=32x32 clip=1000 focus=clip steps=2 seed=1' --subject host");
  EXPECT_EQ(ended.code, 1) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("vacuous: clip never acted"));
}

TEST_F(Program, EndsWithOneForABundleThatIsNotReproduced) {
  const FaultySubject flipping([](int64_t step, Observation& now, const Observation&) {
    if (step == 2) now.parameter[2] ^= std::byte{0x40};
  });
  CaseOptions options;
  options.evidence = true;
  const CaseResult result = run_case(parse_problem("shape=8x32 steps=2 seed=7"), flipping, options);
  ASSERT_EQ(result.verdict, Verdict::fail);
  write_bundle(folder_ / "bundle", RunDescription{}, result);
  const Ended ended = run("case --bundle ../bundle --subject host");
  EXPECT_EQ(ended.code, 1) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_THAT(ended.out, HasSubstr("\npass\n"));
  EXPECT_THAT(ended.out, HasSubstr("not reproduced: from the same bits the step left others than recorded"));
}

TEST_F(Program, GivesHelpAndItsVersion) {
  for (const char* arguments : {"--help", "verify --help", "case --help", "--version", "help", "help verify"}) {
    const Ended ended = run(arguments);
    EXPECT_EQ(ended.code, 0) << arguments;
    EXPECT_EQ(ended.err, "");
    EXPECT_NE(ended.out, "");
  }
  EXPECT_EQ(run("help").out, run("--help").out);
  EXPECT_EQ(run("help verify").out, run("verify --help").out);
  const std::string version = run("--version").out;
  EXPECT_THAT(version, HasSubstr("kernels   "));
  EXPECT_THAT(version, HasSubstr("subjects  host, emulator, cuda"));
  EXPECT_THAT(version, HasSubstr("data      /"));
}

TEST_F(Program, DescribesItselfToShellsAndManualReaders) {
  const std::string page = run("help --man").out, bash = run("help --completion bash").out;
  for (const char* command : {"verify", "case", "judge", "hardware", "compare"}) {
    EXPECT_THAT(page, HasSubstr(std::string(".SS ") + command + "\n"));
    EXPECT_THAT(bash, HasSubstr(std::string("    ") + command + ") words=\""));
    EXPECT_THAT(run("help --completion zsh").out, HasSubstr(std::string("    '") + command + ":"));
    EXPECT_THAT(run("help --completion fish").out, HasSubstr(std::string(" -a ") + command + " -d '"));
  }
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-budget\\fR"));
  expect_refused("help --completion zhs", "shell 'zhs': expected bash, zsh or fish; did you mean 'zsh'?");
  expect_refused("help verfiy", "unknown command 'verfiy': expected one of");
}

TEST_F(Program, SuggestsWhatWasMeant) {
  expect_refused("verfiy", "; did you mean 'verify'?");
  expect_refused("verify --sutie quick", "; did you mean '--suite'?");
  expect_refused("verify --buget=3s", "; did you mean '--budget'?");
  expect_refused("judge --arithmetics f32 x", "; did you mean '--arithmetic'?");
}

TEST_F(Program, RefusesAnUnknownOptionOrWord) {
  expect_refused("", "subcommand");
  expect_refused("frobnicate", "frobnicate");
  expect_refused("verify --frobnicate", "--frobnicate: expected --help, --subject, --report");
  expect_refused("judge --frobnicate x", "--frobnicate: expected --help, --report");
  expect_refused("case", "line");
  expect_refused("case 'shape=4x4 steps=1 seed=1 learning_rate=1'", "learning_rate");
  expect_refused("case 'shape=4x4 steps=1 seed=1' leftover", "leftover");
}

TEST_F(Program, RefusesValuesOutOfRange) {
  expect_refused("verify --seed x", "--seed");
  for (const char* command : {"verify", "codecs", "drift", "hardware", "mutants", "properties"})
    expect_refused(fmt::format("{} --seed -1", command), "--seed: '-1': expected a number from 0 on");
  expect_refused("verify --threads -1", "--threads");
  expect_refused("verify --budget soon", "budget 'soon'");
  expect_refused("verify --budget 0", "budget '0'");
  expect_refused("verify --budget -5s", "-5s");
  expect_refused("verify --budget 5d", "budget '5d'");
  expect_refused("verify --budget nan", "budget 'nan'");
  expect_refused("verify --shard 8/8", "shard '8/8'");
  expect_refused("verify --shard x", "shard 'x'");
  expect_refused("verify --suite huge", "suite 'huge'");
  expect_refused("case 'shape=4x4 lr=-1 steps=1 seed=1'", "lr");
  expect_refused("case 'shape=4x4 steps=0 seed=1'", "steps=0");
  expect_refused("case 'shape=0x4 steps=1 seed=1'", "shape=0");
}

TEST_F(Program, RefusesTracesWithoutStatesToStudy) {
  expect_refused("codecs nowhere.safetensors", "nowhere.safetensors");
  expect_refused("codecs --threads -1", "--threads");
  TraceFile empty = small_training();
  empty.header.erase("grad/w@2");
  empty.packed().write(folder_ / "no-states.safetensors");
  expect_refused(fmt::format("codecs '{}'", (folder_ / "no-states.safetensors").string()),
                 "neither state after step 2 nor a gradient of every step");
}

TEST_F(Program, RefusesWhatTheLibraryRefuses) {
  expect_refused("case 'shape=4x4 lr=1e7 steps=1 seed=1' --subject host", "lr");
  expect_refused("case 'shape=4x4 eps1=0 steps=1 seed=1' --subject host", "eps1");
  expect_refused("case 'shape=4x4 beta2_decay=-1 steps=1 seed=1' --subject host", "eps1");  // an impossible pair
}

TEST_F(Program, RefusesTracesThatAreNotRecordedRuns) {
  expect_refused("conformance nowhere.safetensors", "nowhere.safetensors: cannot be read");
  expect_refused("conformance .", "no *.safetensors");
}

TEST_F(Program, JudgesARecordedRunAndLeavesAReport) {
  const Ended ended = run(fmt::format("judge '{}/torch-default.safetensors' --report report", CONFORMANCE_FOLDER));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_THAT(ended.out, HasSubstr("20 (20 torch)"));
  for (const char* name : {"report.html", "report.json", "junit.xml", "report.md"})
    EXPECT_TRUE(fs::exists(folder_ / "work" / "report" / name)) << name;
}

TEST_F(Program, EndsWithOneForARecordedRunThatFails) {
  // The options of the metadata are another step size than the run had.
  std::string bytes = text(fs::path(CONFORMANCE_FOLDER) / "came-default.safetensors");
  const size_t at = bytes.find("0.0002");
  ASSERT_NE(at, bytes.npos);
  bytes[at + 5] = '3';
  std::ofstream(folder_ / "altered.safetensors", std::ios::binary) << bytes;
  const Ended ended = run("judge ../altered.safetensors");
  EXPECT_EQ(ended.code, 1) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("parameter first broken at step 1"));
  EXPECT_THAT(ended.out, HasSubstr("plumbline case 'recorded trace=../altered.safetensors tensor="));
  const Ended again = run("case 'recorded trace=../altered.safetensors tensor=16x16'");
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.err, "");
  EXPECT_THAT(again.out, HasSubstr("\nfail: 16x16: parameter first broken at step 1"));
}

TEST_F(Program, RefusesRecordedRunsThatItCannotJudge) {
  expect_refused("judge", "traces");
  expect_refused("judge nowhere.safetensors", "nowhere.safetensors: cannot be read");
  expect_refused("judge .", "no *.safetensors");
  expect_refused(fmt::format("judge '{}' --arithmetic f31", CONFORMANCE_FOLDER), "expected f64, f32, bf16 or f16");
  small_training().write(folder_ / "none.safetensors");
  expect_refused("judge ../none.safetensors", "peer none: unknown, known: torch, huggingface");
  TraceFile file = small_training();
  file.header["__metadata__"]["peer"] = "torch";
  file.write(folder_ / "short.safetensors");
  expect_refused("judge ../short.safetensors", "array param/w@1 is missing");
  for (const char* array : {"param/w@1", "param/w@2"}) file.add(array, "F32", {2, 3}, std::string(24, '\0'));
  file.header["__metadata__"]["options"] = R"({"learning_rate": 1})";
  file.write(folder_ / "options.safetensors");
  expect_refused("judge ../options.safetensors", "option learning_rate: unknown, known: lr, beta2_decay");
  file.header["__metadata__"]["options"] = "lr = 1";
  file.write(folder_ / "notjson.safetensors");
  expect_refused("judge ../notjson.safetensors", "metadata 'options' is not JSON");
  expect_refused("case 'recorded tensor=x'", "expected trace=FILE tensor=NAME");
  expect_refused("case 'recorded trace=x'", "x: cannot be read");
  expect_refused("case 'recorded trace=x tensor=y shape=3'", "expected one of trace, tensor, arithmetic, subnormals");
}

// A library built with fast-math changes the mode of the process that loads it.
TEST_F(Program, RefusesAFloatingPointModeThatIsNotIeees) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer wants to be loaded first";
#endif
  const std::string preload = fmt::format("LD_PRELOAD={} PLUMBLINE_TEST_MODE=", FLOATING_POINT_MODE_LIBRARY);
  for (const std::string& command :
       {std::string("case 'shape=4x4 steps=1 seed=1' --subject host"),
        std::string("verify --suite quick --subject host"),
        std::string("verify --family w8a8 --suite quick --subject host"), fmt::format("judge '{}'", CONFORMANCE_FOLDER),
        fmt::format("conformance '{}'", CONFORMANCE_FOLDER)}) {
    expect_refused(command, "makes subnormal numbers zero: expected IEEE arithmetic", preload + "flush");
    expect_refused(command, "makes subnormal numbers zero", preload + "denormals");
    expect_refused(command, "does not round to nearest: expected IEEE arithmetic", preload + "upward");
  }
  const Ended none = run("case 'shape=8x8 steps=1 seed=1' --subject host", preload + "none");
  EXPECT_EQ(none.code, 0) << none.err;
}

TEST_F(Program, ANightDrawsFromASeedOfItsOwn) {
  const auto seed_of = [&](const std::string& more) {
    const Ended ended =
        run("verify --suite nightly --family w8a8 --subject host --budget 0.001s --report ../report " + more);
    const size_t at = ended.err.find("seed ");
    return at == ended.err.npos ? "" : ended.err.substr(at, ended.err.find('\n', at) - at);
  };
  const std::string first = seed_of("");
  EXPECT_NE(first, "");
  EXPECT_NE(seed_of(""), first);
  EXPECT_EQ(seed_of("--seed 7"), "") << "given: the summary says it";
  expect_refused("verify --suite nightly --subject host --shard 0/2", "--seed: missing");
}

TEST_F(Program, SaysWhichOptionsNoRecordingProves) {
  // eps1 = 1e-30 where the recorded run had none: invisible beside squares of its gradients.
  std::string bytes = text(fs::path(CONFORMANCE_FOLDER) / "rlx-default.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  nlohmann::json header = nlohmann::json::parse(bytes.substr(8, length));
  nlohmann::json options = nlohmann::json::parse(header["__metadata__"]["options"].get<std::string>());
  options["eps1"] = 2e-30;
  header["__metadata__"]["options"] = options.dump();
  TraceFile file;
  file.header = header;
  file.data = bytes.substr(8 + length);
  file.write(folder_ / "unproved.safetensors");
  const std::string said = "without proof of eps1=2e-30 (unproved.safetensors)\n";
  const Ended ended = run("judge ../unproved.safetensors");
  EXPECT_EQ(ended.code, 0) << ended.out << ended.err;
  EXPECT_TRUE(ended.out.ends_with("green, " + said)) << ended.out;
  const Ended strict = run("judge ../unproved.safetensors --require-proof");
  EXPECT_EQ(strict.code, 1);
  EXPECT_TRUE(strict.out.ends_with(said)) << strict.out;
}

TEST_F(Program, OneTensorThatCannotBeJudgedIsAnErrorOfItsOwn) {
  const std::string bytes = text(fs::path(CONFORMANCE_FOLDER) / "torch-default.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  TraceFile file;
  file.header = nlohmann::json::parse(bytes.substr(8, length));
  file.data = bytes.substr(8 + length);
  file.header.erase("param/16x16@3");
  file.packed().write(folder_ / "gap.safetensors");
  const Ended ended = run("judge ../gap.safetensors");
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("error 1"));
  EXPECT_THAT(ended.out, HasSubstr("array param/16x16@3 is missing"));
}

TEST_F(Program, RefusesImpossibleCombinations) {
  expect_refused("case 'shape=4x4 beta2=0.9 beta2_decay=-0.5 steps=1 seed=1'", "expected one of them");
  expect_refused("case 'shape=4x4 data=spike steps=1 seed=1'", "steps >= 2");
  expect_refused("case 'shape=4x4 trace=x steps=1 seed=1'", "both or neither");
}

TEST_F(Program, RefusesAnUnknownSubject) {
  expect_refused("verify --subject tpu", "subject 'tpu': expected host, emulator or cuda");
  expect_refused("case 'shape=4x4 steps=1 seed=1' --subject tpu", "subject 'tpu'");
}

TEST_F(Program, RefusesTheGpuThatIsNotThere) {
  if (subject_unavailable("cuda").empty()) GTEST_SKIP() << "there is one";
  expect_refused("verify --subject cuda", "subject 'cuda' is not available here: ");
}

TEST_F(Program, WithoutAGpuSaysSoInOneLineAndTakesTheTwin) {
  if (subject_unavailable("cuda").empty()) GTEST_SKIP() << "there is one";
  const Ended ended = run("case 'shape=37x129 steps=3 seed=7'");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.err, HasSubstr("the host twin is the subject"));
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1);
}

TEST_F(Program, RefusesAReportFolderThatCannotBeWritten) {
  std::ofstream(folder_ / "file") << "in the way";
  expect_refused("verify --suite quick --subject host --report '" + (folder_ / "file").string() + "'",
                 (folder_ / "file").string());
  expect_refused("verify --suite quick --subject host --report '" + (folder_ / "file" / "below").string() + "'",
                 "report");
  expect_refused("verify --suite quick --subject host --report /proc/plumbline", "/proc/plumbline");
  EXPECT_EQ(text(folder_ / "file"), "in the way");
}

TEST_F(Program, RefusesATraceThatIsMissingCutOrAnother) {
  const auto path = [&](const char* name) { return (folder_ / name).string(); };
  const auto with = [&](const std::string& trace, const std::string& words) {
    return fmt::format("case 'trace={} {} seed=1' --subject host", trace, words);
  };
  const std::string good = "tensor=w shape=2x3 steps=2";
  small_training().write(path("good.safetensors"));
  EXPECT_EQ(run(with(path("good.safetensors"), good)).code, 0);

  const std::string whole = small_training().bytes();
  std::ofstream(path("cut.safetensors"), std::ios::binary) << whole.substr(0, whole.size() - 5);
  std::ofstream(path("empty.safetensors"), std::ios::binary);
  expect_refused(with(path("missing.safetensors"), good), "missing.safetensors: cannot be read");
  expect_refused(with(path("cut.safetensors"), good), "cut.safetensors: ");
  expect_refused(with(path("empty.safetensors"), good), "empty.safetensors: 0 bytes");
  expect_refused(with(folder_.string() + "/", good), "cannot be read");
  expect_refused(with(path("good.safetensors"), "tensor=v shape=2x3 steps=2"), "no tensor 'v'");
  expect_refused(with(path("good.safetensors"), "tensor=w shape=3x2 steps=2"), "has shape 2x3");
  expect_refused(with(path("good.safetensors"), "tensor=w shape=2x3 steps=3"), "holds 2 steps");
}

TEST_F(Program, RefusesToVerifyWithoutTheRecordedTrainings) {
  expect_refused("verify --subject host", "cannot be read", "PLUMBLINE_DATA=/nonexistent");
  expect_refused("--data /nonexistent verify --subject host", "data folder '/nonexistent': cannot be read");
  expect_refused("verify --subject host --data /nonexistent", "data folder '/nonexistent': cannot be read");
  fs::create_directories(folder_ / "data/traces");
  fs::create_directories(folder_ / "data/w8a8");
  for (const char* name : {"digits_cnn", "gpt_bytes"})
    std::ofstream(folder_ / "data/traces" / (std::string(name) + ".safetensors")) << "not a trace at all";
  expect_refused("verify --subject host",
                 "digits_cnn.safetensors: ", "PLUMBLINE_DATA='" + (folder_ / "data").string() + "'");
}

TEST_F(Program, VerifiesAndReports) {
  const Ended ended = run("verify --suite quick --subject host --shard 3/40 --report report");
  EXPECT_EQ(ended.code, 0) << ended.out << ended.err;
  EXPECT_EQ(ended.err, "");  // no progress line in a pipe
  EXPECT_TRUE(ended.out.ends_with("\ngreen\n")) << ended.out;
  for (const char* name : {"report.json", "junit.xml", "report.md", "report.html"})
    EXPECT_TRUE(fs::exists(folder_ / "work/report" / name)) << name;
}

TEST_F(Program, MergesShardsIntoTheReportOfTheWholeRun) {
  const std::string verify = "verify --family w8a8 --suite quick --subject host --quiet --report ";
  std::string shards;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(run(fmt::format("{} part{} --shard {}/3", verify, i, i)).code, 0);
    shards += fmt::format(" part{}", i);
  }
  EXPECT_EQ(run(verify + "whole").code, 0);
  const Ended merged = run("merge --report merged" + shards);
  EXPECT_EQ(merged.code, 0) << merged.err;
  EXPECT_TRUE(merged.out.ends_with("\ngreen\n")) << merged.out;
  // Times apart, every value in its place.
  const auto timeless = [&](const char* folder) {
    static const std::set<std::string> times = {"seconds",  "subject_seconds", "generate", "reference",
                                                "contract", "subject",         "compare",  "date"};
    const auto is_time = [](int, nlohmann::ordered_json::parse_event_t event, nlohmann::ordered_json& parsed) {
      if (event != nlohmann::ordered_json::parse_event_t::object_end) return true;
      for (auto i = parsed.begin(); i != parsed.end();)
        i = times.contains(i.key()) && (i->is_number() || i.key() == "date") ? parsed.erase(i) : std::next(i);
      return true;
    };
    return nlohmann::ordered_json::parse(text(folder_ / "work" / folder / "report.json"), is_time).dump();
  };
  EXPECT_EQ(timeless("merged"), timeless("whole"));
  EXPECT_EQ(run("compare whole merged --ignore-speed --report compared").code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "work/compared/compare.html"));
}

TEST_F(Program, RefusesToMergeOrCompareWhatIsNotWholeAndWritesNothing) {
  EXPECT_EQ(run("verify --suite quick --subject host --quiet --shard 0/300 --report ../part").code, 0);
  const std::string part = "'" + (folder_ / "part").string() + "'";
  expect_refused("merge", "reports");
  expect_refused("merge nowhere", "nowhere: cannot be read");
  expect_refused("merge " + part + " " + part, "shard 0/300 is given twice");
  expect_refused("merge " + part + " --report " + part, "is to be read and written");
  const std::string whole = text(folder_ / "part/report.json");
  std::ofstream(folder_ / "cut.json") << whole.substr(0, whole.size() / 2);
  expect_refused("merge '" + (folder_ / "cut.json").string() + "'", "cut.json: cut off after");
  expect_refused("compare '" + (folder_ / "cut.json").string() + "' " + part, "cut.json: cut off after");
  expect_refused("compare " + part, "after");
  expect_refused("compare . " + part, "holds no report.json");
  expect_refused("case --bundle nowhere", "nowhere/case.json: cannot be read");
  EXPECT_EQ(text(folder_ / "part/report.json"), whole);
  // Shards that are missing: a report that says so, and red.
  const Ended incomplete = run("merge " + part + " --report incomplete");
  EXPECT_EQ(incomplete.code, 1) << incomplete.err;
  EXPECT_THAT(text(folder_ / "work/incomplete/report.json"), HasSubstr("299 of 300 shards are missing: 1, 2, 3"));
}

TEST_F(Program, SkipsWhatTheBudgetDoesNotReachAndIsNotGreenThen) {
  const Ended ended = run("verify --suite quick --subject host --shard 0/100 --budget 1e-9s --report report");
  EXPECT_EQ(ended.code, 1) << ended.out << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("pass 0"));
}

TEST_F(Program, ABudgetThatIsSpentIsNotGreenUnlessAsked) {
  // Many cases and little time, so that the fastest machine is stopped, too; each core's first case is begun at once.
  const std::string some = "verify --suite quick --subject host --shard 0/2 --budget 0.05s --report report";
  Ended ended = run(some);
  EXPECT_EQ(ended.code, 1) << ended.out;
  EXPECT_THAT(ended.out, HasSubstr("cases were not begun: the budget of 0.05 s was spent"));
  EXPECT_TRUE(ended.out.ends_with("\ntruncated: nothing that ran is red, and not everything ran\n")) << ended.out;
  const auto report = nlohmann::json::parse(text(folder_ / "work/report/report.json"));
  EXPECT_EQ(report["outcome"]["green"], false);
  EXPECT_GT(report["outcome"]["not_begun"], 0);
  EXPECT_EQ(report["outcome"]["cases"], report["outcome"]["planned"]);
  ended = run(some + " --accept-truncated");
  EXPECT_EQ(ended.code, 0) << ended.out;
  EXPECT_TRUE(ended.out.ends_with("\ngreen\n")) << ended.out;
  EXPECT_THAT(ended.out, HasSubstr("truncated  "));
}

TEST_F(Program, StoppedBySignalsLeavesAPartialReportThatSaysSo) {
  for (const auto& [signal, code, reason] :
       {std::tuple{"INT", 130, "stopped by Ctrl-C"}, std::tuple{"TERM", 143, "stopped by SIGTERM"}}) {
    EXPECT_EQ(run("verify --suite quick --subject host --shard 3/40 --report report").code, 0);  // an older green one
    // As soon as the run has begun: its report of before is gone. The program is a command of its own in the script, or
    // $! would be a shell that waits for it.
    const std::string script = fmt::format(
        "cd '{0}/work'\n'{1}' verify --suite full --subject host --report report >'{0}/out' 2>'{0}/err' & run=$!; "
        "until grep -q 'has not ended' '{0}/work/report/report.json' 2>/dev/null; do kill -0 $run || break; done; "
        "kill -{2} $run; wait $run",
        folder_.string(), PLUMBLINE_PROGRAM, signal);
    std::ofstream(folder_ / "script.sh") << "set -m\n" << script;
    const int status = std::system(fmt::format("bash '{}/script.sh'", folder_.string()).c_str());
    EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, code);
    const auto report = nlohmann::json::parse(text(folder_ / "work/report/report.json"));
    EXPECT_EQ(report["outcome"]["green"], false);
    EXPECT_EQ(report["outcome"]["stopped"], reason);
    EXPECT_GT(report["outcome"]["not_begun"], 0);
    EXPECT_EQ(report["outcome"]["cases"], report["outcome"]["planned"]);
    EXPECT_THAT(text(folder_ / "err"), HasSubstr("stopping; what has ended is reported"));
    EXPECT_THAT(text(folder_ / "work/report/report.html"), HasSubstr(reason));
  }
}

TEST_F(Program, KilledLeavesAReportThatSaysThatItHasNotEnded) {
  EXPECT_EQ(run("verify --suite quick --subject host --shard 3/40 --report report").code, 0);
  const std::string script = fmt::format(
      "cd '{0}/work'\n'{1}' verify --suite full --subject host --report report >'{0}/out' 2>'{0}/err' & run=$!; "
      "until grep -q 'has not ended' '{0}/work/report/report.json' 2>/dev/null; do kill -0 $run || break; done; "
      "kill -KILL $run; wait $run",
      folder_.string(), PLUMBLINE_PROGRAM);
  std::ofstream(folder_ / "script.sh") << "set -m\n" << script;
  const int status =
      std::system(fmt::format("bash '{}/script.sh' 2>'{}/noise'", folder_.string(), folder_.string()).c_str());
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 137);
  for (const char* name : {"report.json", "report.html", "report.md", "junit.xml"})
    EXPECT_THAT(text(folder_ / "work/report" / name), HasSubstr("has not ended")) << name;
  // And the next run takes the folder over.
  EXPECT_EQ(run("verify --suite quick --subject host --shard 3/40 --report report").code, 0);
}

TEST_F(Program, HardwareKeepsItsBudgetAndCallsWhatDidNotRunNeitherGoodNorWrong) {
  const auto start = std::chrono::steady_clock::now();
  Ended ended = run("hardware --device host --budget 3s --only functions,operations,codecs");
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  EXPECT_LT(spent.count(), 3 * 1.2) << ended.out;
  EXPECT_EQ(ended.code, 3) << ended.out << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("left out: "));
  EXPECT_THAT(ended.out, HasSubstr("\nincomplete: host: "));
  EXPECT_THAT(ended.out, testing::Not(HasSubstr("RED")));
  EXPECT_THAT(ended.out, testing::Not(HasSubstr("good in")));
  const auto report = nlohmann::json::parse(text(folder_ / "work/plumbline-report/hardware/report.json"));
  EXPECT_EQ(report["outcome"]["green"], false);
  EXPECT_THAT(report["outcome"]["stopped"].get<std::string>(), HasSubstr("in the time that --budget leaves"));
  // What has no GPU to run on was asked for by name.
  ended = run("hardware --device host --budget 20s --only soak,operations");
  EXPECT_EQ(ended.code, 3) << ended.out << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("incomplete: host: soak: needs a GPU"));
  ended = run("hardware --device host --budget 20s --only operations");
  EXPECT_EQ(ended.code, 0) << ended.out << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("\ngood in "));
}

TEST_F(Program, OutputThatCannotBeWrittenIsAnError) {
  const int status =
      std::system(fmt::format("'{}' case 'shape=37x129 steps=1 seed=7' --subject host >/dev/full 2>'{}/err'",
                              PLUMBLINE_PROGRAM, folder_.string())
                      .c_str());
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 2);
  EXPECT_THAT(text(folder_ / "err"), HasSubstr("No space left on device"));
}

TEST_F(Program, DriftReportsBothLoopsAndRefusesWhatItDoesNotKnow) {
  expect_refused("drift --storage al7", "storage=al7");
  expect_refused("drift --closed mnist", "training 'mnist'");
  expect_refused("drift --trace nowhere", "nowhere");
  expect_refused("drift --steps 0", "--steps");
  expect_refused("drift 'beta2=2'", "beta2");
  const Ended ended = run("drift --steps 30 --storage al8,fp32 --closed quadratic --closed-steps 20 --seeds 2");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_THAT(ended.out, HasSubstr("Drift over 30 steps"));
  EXPECT_THAT(ended.out, HasSubstr("Closed loop: quadratic, 20 steps, 2 seeds"));
  EXPECT_TRUE(fs::exists(folder_ / "work/plumbline-report/drift/report.html"));
}

}  // namespace
}  // namespace plumbline::harness
