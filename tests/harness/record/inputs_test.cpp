// What people's recordings look like: each file of tests/data/inputs gets the verdict that is right of it, as it is or
// with the word that says what it means.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "harness/error.h"
#include "harness/judge_traces.h"
#include "harness/recorded.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

TraceFile input(const std::string& name) {
  std::ifstream in(fs::path(INPUTS_FOLDER) / (name + ".safetensors"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  TraceFile file;
  uint64_t length = 0;
  if (bytes.size() < 8) return file;
  std::memcpy(&length, bytes.data(), 8);
  file.header = json::parse(bytes.substr(8, length));
  file.data = bytes.substr(8 + length);
  return file;
}
TraceFile said(TraceFile file, const std::vector<std::pair<std::string, std::string>>& words) {
  json& meta = file.header["__metadata__"];
  meta["format"] = "optimizer-trace/2";
  for (const auto& [word, value] : words) meta[word] = value;
  return file;
}

Trace in_memory(const TraceFile& file) { return Trace(SafeTensors::parse(as_bytes(file.packed().bytes()), "input")); }
CaseResult judged(const TraceFile& file, const std::string& tensor) {
  return judge_recorded(in_memory(file), {"", tensor});
}
// Every tensor's verdict is a pass; vacuous ones are too few to matter.
void expect_pass(const TraceFile& file) {
  const Trace trace = in_memory(file);
  int passes = 0;
  for (const auto& tensor : trace.tensors()) {
    const CaseResult result = judge_recorded(trace, {"", tensor.name});
    EXPECT_TRUE(result.verdict == Verdict::pass || result.verdict == Verdict::vacuous)
        << tensor.name << ": " << to_string(result.verdict) << ": " << result.reason;
    passes += result.verdict == Verdict::pass;
  }
  EXPECT_GE(2 * passes, int(trace.tensors().size()));
}
std::string refusal_of(const std::string& name) {
  try {
    Trace::read(fs::path(INPUTS_FOLDER) / (name + ".safetensors"));
  } catch (const InputError& e) {
    return e.what();
  }
  return {};
}

TEST(Inputs, FilesThatBreakTheFormatAreRefused) {
  EXPECT_THAT(refusal_of("file-05-metanull"), HasSubstr("__metadata__ is not a JSON object"));
  EXPECT_THAT(refusal_of("file-14-dupkey"), HasSubstr("twice"));
  EXPECT_THAT(refusal_of("file-15-overlap"), HasSubstr("overlaps"));
  EXPECT_THAT(refusal_of("file-15-trailing4"), HasSubstr("4 bytes behind the last array"));
}

TEST(Inputs, ArraysThatNobodyReadsAreIgnored) {
  expect_pass(input("file-08-extra-F8_E4M3"));
  expect_pass(input("file-10-stepslot-i64"));
}

TEST(Inputs, AParameterWithoutAxesIsJudgedAsOneElement) { expect_pass(input("file-13-scalar")); }

TEST(Inputs, AnOptionThatChoosesAnImplementationIsNoRule) { expect_pass(input("torch-foreach")); }

TEST(Inputs, ATensorWithoutAGradientDoesNotStep) {
  TraceFile file = input("gradnone");
  expect_pass(file);
  // One that steps nevertheless fails: it is given the parameters of the step after.
  std::swap(file.header["param/w@2"], file.header["param/w@3"]);
  EXPECT_EQ(judged(file, "w").verdict, Verdict::fail);
}

TEST(Inputs, AStepThatWasSkippedForAnOverflow) {
  const TraceFile file = input("ampskip");
  EXPECT_EQ(judged(file, "w").verdict, Verdict::fail) << "nothing says so";
  expect_pass(said(file, {{"skipped", "[2]"}}));
  expect_pass(said(file, {{"tensors", R"({"w": {"shape": [16, 16], "skipped": [2]}})"}}));
  EXPECT_EQ(judged(said(file, {{"skipped", "[2, 3]"}}), "w").verdict, Verdict::fail) << "a step that was taken";
}

TEST(Inputs, AScheduleOfTheLearningRate) {
  const TraceFile file = input("lr-schedule-right");
  EXPECT_EQ(judged(file, "16x16").verdict, Verdict::fail);
  json changes = json::array();
  for (int t = 1; t <= 6; ++t) changes.push_back({{"step", t}, {"options", {{"lr", 0.002 * t}}}});
  expect_pass(said(file, {{"changes", changes.dump()}}));
  // The same schedule of the only group, and of another group than the tensor's.
  for (json& change : changes) change["group"] = 0;
  expect_pass(said(file, {{"changes", changes.dump()}}));
  for (json& change : changes) change["group"] = 1;
  const TraceFile other = said(file, {{"changes", changes.dump()}, {"groups", R"([{}, {"lr": 0.5}])"}});
  EXPECT_EQ(judged(other, "16x16").verdict, Verdict::fail);
  const TraceFile grouped = said(file, {{"changes", changes.dump()},
                                        {"groups", R"([{"lr": 0.5}, {}])"},
                                        {"tensors", R"({"16x16": {"shape": [16, 16], "group": 1}})"}});
  expect_pass(grouped);
}

TEST(Inputs, StochasticRoundingOfParameters) {
  const TraceFile right = input("sr-bf16-right"), nearest = input("sr-bf16-overridden-by-nearest");
  EXPECT_EQ(judged(right, "32x32").verdict, Verdict::fail) << "rounded to nearest, it says";
  EXPECT_EQ(judged(nearest, "32x32").verdict, Verdict::pass);
  const CaseResult good = judged(said(right, {{"storage", "stochastic"}}), "32x32");
  EXPECT_EQ(good.verdict, Verdict::pass) << good.reason;
  const CaseResult bad = judged(said(nearest, {{"storage", "stochastic"}}), "32x32");
  EXPECT_EQ(bad.verdict, Verdict::fail);
  EXPECT_THAT(bad.reason, HasSubstr("not rounded stochastically"));
  // 160 values are too few to tell both apart, and it says so.
  const CaseResult small = judged(said(right, {{"storage", "stochastic"}}), "40");
  EXPECT_NE(small.verdict, Verdict::fail) << small.reason;
  EXPECT_THAT(small.options, testing::Contains(testing::Truly([](const CaseResult::OptionUse& use) {
                return use.value == "storage=stochastic" && !use.acted;
              })));
}

TEST(Inputs, CompensatedAndMasterParameters) {
  for (const auto& [name, storage] : {std::pair("kahan", "compensated"), std::pair("master", "master")}) {
    EXPECT_EQ(judged(input(name), "w").verdict, Verdict::fail) << name;
    const CaseResult result = judged(said(input(name), {{"storage", storage}}), "w");
    EXPECT_EQ(result.verdict, Verdict::pass) << name << ": " << result.reason;
    EXPECT_THAT(result.options, testing::Contains(testing::Truly([&](const CaseResult::OptionUse& use) {
                  return use.value == std::string("storage=") + storage && use.acted;
                })));
  }
  // What is rounded to nearest and called master is not.
  const CaseResult lost = judged(said(input("sr-bf16-overridden-by-nearest"), {{"storage", "master"}}), "32x32");
  EXPECT_EQ(lost.verdict, Verdict::fail) << lost.reason;
}

// A parameter beside which a correction of eight bits is kept, made here of float32 masters.
TEST(Inputs, ParametersOfSixteenBitsAndACorrection) {
  TraceFile file = said(input("master"), {{"storage", "split"}});
  EXPECT_EQ(judged(file, "w").verdict, Verdict::pass);
  EXPECT_EQ(judged(said(input("sr-bf16-overridden-by-nearest"), {{"storage", "split"}}), "32x32").verdict,
            Verdict::fail);
}

// Codes judged given their scales, then everything from the decoded state.
TEST(Inputs, StateInCodes) {
  TraceFile file = input("a8-0.3.0-f32codes-q-beta1");
  expect_pass(file);
  const auto names = in_memory(file).slots("13x11");
  EXPECT_EQ(names.size(), 6u);
  // one code off by one in one block
  const size_t at = file.header["state/13x11/row_var_q@3"]["data_offsets"][0];
  TraceFile off = file;
  for (size_t i = 0; i < 13; ++i) off.data[at + i] = char(off.data[at + i] - 1);
  const CaseResult wrong = judged(off, "13x11");
  EXPECT_EQ(wrong.verdict, Verdict::fail);
  EXPECT_EQ(wrong.first_broken, Quantity::row_code) << wrong.reason;
  EXPECT_EQ(wrong.first_broken_step, 3);
  // the scale of the block beside it
  TraceFile swapped = file;
  const size_t scales = file.header["state/13x11/m_scale@3"]["data_offsets"][0];
  std::memcpy(swapped.data.data() + scales, file.data.data() + scales + 4, 4);
  const CaseResult neighbour = judged(swapped, "13x11");
  EXPECT_EQ(neighbour.verdict, Verdict::fail);
  EXPECT_EQ(neighbour.first_broken, Quantity::momentum_scale) << neighbour.reason;
  // described by the recording itself, as a codec nobody has heard of
  const char* own = R"({
    "row_var": {"codec": {"levels": "logarithmic", "lowest": -126}, "block": 1024},
    "col_var": {"codec": {"levels": "logarithmic", "lowest": -126}, "block": 1024},
    "variance": {"codec": {"levels": "logarithmic", "lowest": -126}, "block": 1024},
    "m": {"codec": {"levels": "linear", "bits": 4, "zero": 8, "low": -8, "high": 7, "steps": 8}, "block": 32}})";
  expect_pass(said(file, {{"codecs", own}}));
  const std::string low_first =
      std::string(own).replace(std::string(own).find("\"bits\": 4"), 9, "\"bits\": 4, \"packing\": \"low_first\"");
  EXPECT_EQ(judged(said(file, {{"codecs", low_first}}), "13x11").verdict, Verdict::fail) << "packed the other way";
}

// adafactor8bit as several versions of it keep state; recordings of format 1 tell the version in their source.
TEST(Inputs, VersionsOfAPackage) {
  for (const char* name :
       {"a8-0.1.0-f32codes-q", "a8-0.2.2-f32-default", "a8-0.4.6-f32codes-q-beta1", "a8-0.4.6-f64-default"}) {
    SCOPED_TRACE(name);
    expect_pass(input(name));
  }
  // The rules of another version are not these.
  const TraceFile other = said(input("a8-0.4.6-f64-default"), {{"version", "0.2.2"}});
  EXPECT_EQ(judged(other, "7-tiny").verdict, Verdict::fail) << "eps1 in the averages of vectors";
}

// A run that begins at a checkpoint: the second half of a recording, its state and clock given.
TEST(Inputs, ARunThatBeginsAtACheckpoint) {
  const TraceFile whole = input("torch-foreach");
  TraceFile half;
  half.header["__metadata__"] = whole.header["__metadata__"];
  half.data = whole.data;
  for (const auto& [name, entry] : whole.header.items()) {
    const size_t at = name.rfind('@');
    if (name == "__metadata__" || at == std::string::npos) continue;
    const int t = std::stoi(name.substr(at + 1)) - 2;
    if (t > 0 || (t == 0 && !name.starts_with("grad/")))
      half.header[name.substr(0, at + 1) + std::to_string(t)] = entry;
  }
  const auto words = [](const std::string& before) {
    return std::vector<std::pair<std::string, std::string>>{{"steps", "2"}, {"steps_before", before}};
  };
  expect_pass(said(half, words("2")));
  EXPECT_EQ(judged(said(half, words("3")), "w").verdict, Verdict::fail) << "another clock";
  TraceFile without = said(half, words("2"));
  without.header.erase("state/w/col_var@0");
  try {
    judged(without, "w");
    ADD_FAILURE();
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("state/w/col_var@0 is missing: a run that begins after 2 steps gives its state"));
  }
}

// A tensor without elements is listed; what is wrong with one tensor leaves the others judged.
TEST(Inputs, EmptyAndBadTensorsAmongOthers) {
  TraceFile file =
      said(input("torch-foreach"),
           {{"tensors", R"({"w": {"shape": [16, 16]}, "none": {"shape": [0, 4]}, "bad": {"shape": "x"}})"}});
  file.add("param/none@0", "F32", {0, 4}, "");
  EXPECT_EQ(judged(file, "w").verdict, Verdict::pass);
  EXPECT_EQ(judged(file, "none").verdict, Verdict::skipped);
  EXPECT_THROW(judged(file, "bad"), InputError);
}

TEST(Inputs, SeveralFilesWithAnIndex) {
  const fs::path folder = fs::path(testing::TempDir()) / "plumbline-inputs-index";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const TraceFile whole = input("torch-foreach");
  TraceFile parts[2];
  json index = {{"metadata", whole.header["__metadata__"]}, {"weight_map", json::object()}};
  for (auto& part : parts) part.header.erase("__metadata__");
  for (const auto& [name, entry] : whole.header.items()) {
    if (name == "__metadata__") continue;
    const int which = name.ends_with("@1") || name.ends_with("@0") ? 0 : 1;
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    parts[which].add(name, entry["dtype"], entry["shape"], whole.data.substr(begin, end - begin));
    index["weight_map"][name] = fmt::format("run-{}.safetensors", which);
  }
  parts[0].write(folder / "run-0.safetensors");
  parts[1].write(folder / "run-1.safetensors");
  std::ofstream(folder / "run.safetensors.index.json") << index.dump();
  const auto cases = plan_recorded({folder.string()});
  ASSERT_EQ(cases.size(), 1u) << "parts are no recordings of their own";
  const auto& run = std::get<RecordedRun>(cases[0].problem);
  EXPECT_TRUE(run.trace.ends_with("run.safetensors.index.json"));
  EXPECT_EQ(judge_recorded(*Trace::shared(run.trace), run).verdict, Verdict::pass);
  index["weight_map"]["param/w@1"] = "../run-0.safetensors";
  std::ofstream(folder / "other.safetensors.index.json") << index.dump();
  EXPECT_THROW(Trace::read(folder / "other.safetensors.index.json"), InputError);
  fs::remove_all(folder);
}

TEST(Inputs, WordsThatAreWrongAreRefusedInOneLine) {
  const std::vector<std::tuple<std::string, std::string, std::string>> wrong = {
      {"storage", "kahan", "storage 'kahan': expected one of nearest, stochastic, compensated, master, split"},
      {"skipped", "[0]", "'skipped': expected steps from 1 to 4"},
      {"skipped", "[5]", "'skipped': expected steps from 1 to 4"},
      {"steps_before", "-1", "'steps_before': expected a number"},
      {"clock", "wall", "'clock': expected tensor or run"},
      {"changes", R"([{"step": 9, "options": {}}])", "step: expected an integer from 1 to 4"},
      {"changes", R"([{"step": 1, "options": {}, "group": 1}])", "group: expected an integer from 0 to 0"},
      {"changes", R"([{"when": 1}])", "unknown word 'when': expected one of step, group, options"},
      {"groups", "[]", "'groups': expected an array of objects"},
      {"arithmetic", R"({"rsqrt_ulps": 1e9})", "rsqrt_ulps: expected ulps from 0.5 to 1024"},
      {"arithmetic", R"({"results": "f8"})", "type 'f8': expected f64, f32, bf16 or f16"},
      {"codecs", "[]", "'codecs': expected a JSON object"},
      {"defects", "[1]", "'defects': expected an array of names"}};
  for (const auto& [word, value, says] : wrong) try {
      in_memory(said(input("torch-foreach"), {{word, value}}));
      ADD_FAILURE() << word << " = " << value;
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(), HasSubstr(says));
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    }
}

}  // namespace
}  // namespace plumbline::harness
