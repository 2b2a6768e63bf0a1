#include "harness/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/data.h"
#include "harness/error.h"
#include "tests/harness/trace_file.h"
#include "tests/harness/trace_fuzz.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// What reading the bytes as a trace gives: the message of an InputError, or nothing.
std::string refusal(const std::string& bytes) {
  try {
    Trace trace(SafeTensors::parse(as_bytes(bytes), "file"));
    for (const auto& info : trace.tensors()) {
      trace.tensor(info.name);
      for (int64_t t = 1; t <= std::min<int64_t>(trace.steps(), 3); ++t) trace.gradient(info.name, t);
      trace.parameter(info.name, 0);
      trace.slots(info.name);
    }
    return {};
  } catch (const InputError& e) {
    return e.what();
  }
}

TEST(SafeTensors, ReadsArraysAndMetadata) {
  TraceFile file;
  file.add("x", "U8", {3}, "abc");
  const SafeTensors read = SafeTensors::parse(as_bytes(file.bytes()), "file");
  EXPECT_EQ(read.name(), "file");
  EXPECT_EQ(read.metadata().at("format"), "optimizer-trace/1");
  ASSERT_NE(read.find("x"), nullptr);
  EXPECT_EQ(read.find("x")->elements(), 3);
  EXPECT_EQ(std::memcmp(read.data(*read.find("x")), "abc", 3), 0);
  EXPECT_EQ(read.find("y"), nullptr);
}

TEST(Trace, ReadsATrainingInEveryFloatType) {
  for (const auto& [name, type] : {std::pair("F64", DType::float64), std::pair("F32", DType::float32),
                                   std::pair("BF16", DType::bfloat16), std::pair("F16", DType::float16)}) {
    const TraceFile file = small_training(type, name);
    const Trace trace(SafeTensors::parse(as_bytes(file.bytes()), "file"));
    EXPECT_EQ(trace.steps(), 2);
    EXPECT_EQ(trace.peer(), "none");
    ASSERT_EQ(trace.tensors().size(), 1u);
    EXPECT_EQ(trace.tensor("w").shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(trace.dtype("grad/w@1"), type);
    const reference::Tensor g = trace.gradient("w", 2);
    EXPECT_EQ(g.shape, (std::vector<int64_t>{2, 3}));
    for (int i = 0; i < 6; ++i) EXPECT_EQ(g.data[i], 2 + i * 0.25);
    EXPECT_EQ(trace.parameter("w", 0).data[5], 1.25);
  }
}

TEST(Trace, NamesTheStateSlotsOfATensor) {
  TraceFile file = small_training();
  for (const char* name : {"state/w/row@1", "state/w/row@2", "state/w/col@1", "state/w2/momentum@1"})
    file.add(name, "F32", {1}, std::string(4, '\0'));
  const Trace trace(SafeTensors::parse(as_bytes(file.bytes()), "file"));
  EXPECT_EQ(trace.slots("w"), (std::vector<std::string>{"col", "row"}));
  EXPECT_EQ(trace.slots("w2"), (std::vector<std::string>{"momentum"}));
}

TEST(Trace, AFileCutAtAnyLengthIsRefused) {
  const std::string whole = small_training().bytes();
  ASSERT_EQ(refusal(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string message = refusal(whole.substr(0, length));
    EXPECT_THAT(message, HasSubstr("file: ")) << length;
    EXPECT_EQ(message.find('\n'), message.npos) << length;
  }
}

TEST(Trace, ALengthOfTheHeaderThatLiesIsRefused) {
  const std::string good = small_training().bytes();
  uint64_t header = 0;
  std::memcpy(&header, good.data(), 8);
  for (const uint64_t lie : {uint64_t{0}, uint64_t{1}, header - 1, header + 1, uint64_t(good.size() - 8),
                             uint64_t(good.size()), uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{7}}) {
    std::string bytes = good;
    std::memcpy(bytes.data(), &lie, 8);
    EXPECT_NE(refusal(bytes), "") << lie;
  }
}

TEST(Trace, AnEntryOfTheHeaderThatLiesIsRefused) {
  const std::vector<std::pair<std::function<void(json&)>, std::string>> lies = {
      {[](json& e) {
         e["data_offsets"] = {0, 25};
       },
       "25 bytes stored"},
      {[](json& e) {
         e["data_offsets"] = {24, 0};
       },
       "leave the data section"},
      {[](json& e) {
         e["data_offsets"] = {0, 1u << 20};
       },
       "leave the data section"},
      {[](json& e) {
         e["data_offsets"] = {~uint64_t{0} - 23, ~uint64_t{0}};
       },
       "leave the data section"},
      {[](json& e) {
         e["data_offsets"] = {-24, 0};
       },
       "non-negative data_offsets"},
      {[](json& e) {
         e["data_offsets"] = {0, 24, 48};
       },
       "two data_offsets"},
      {[](json& e) {
         e["data_offsets"] = {"0", "24"};
       },
       "non-negative data_offsets"},
      {[](json& e) {
         e["data_offsets"] = {0.0, 24.0};
       },
       "non-negative data_offsets"},
      {[](json& e) { e.erase("data_offsets"); }, "two data_offsets"},
      {[](json& e) {
         e["shape"] = {2, 4};
       },
       "24 bytes stored, shape and type say 32"},
      {[](json& e) {
         e["shape"] = {2, -3};
       },
       "non-negative integers"},
      {[](json& e) {
         e["shape"] = {2, 1.5};
       },
       "non-negative integers"},
      {[](json& e) { e["shape"] = "2x3"; }, "expected dtype, shape"},
      {[](json& e) {
         e["shape"] = {1ull << 32, 1ull << 32, 6};
       },
       "larger than the file"},
      {[](json& e) {
         e["shape"] = {1ull << 62, 4, 6};
       },
       "larger than the file"},
      {[](json& e) {
         e["shape"] = {0, 3};
       },
       "24 bytes stored, shape and type say 0"},
      {[](json& e) { e.erase("shape"); }, "expected dtype, shape"},
      {[](json& e) { e["dtype"] = "F31"; }, "has type F31: expected F64, F32, BF16 or F16"},
      {[](json& e) { e["dtype"] = 32; }, "expected dtype"},
      {[](json& e) { e["dtype"] = "F64"; }, "24 bytes stored, shape and type say 48"},
      {[](json& e) { e = 7; }, "expected dtype"},
      {[](json& e) { e = json::array(); }, "expected dtype"},
  };
  for (size_t i = 0; i < lies.size(); ++i) {
    TraceFile file = small_training();
    lies[i].first(file.header["param/w@0"]);
    const std::string message = refusal(file.bytes());
    EXPECT_THAT(message, HasSubstr("param/w@0")) << i;
    EXPECT_THAT(message, HasSubstr(lies[i].second)) << i;
  }
}

TEST(Trace, MetadataThatIsNotATraceIsRefused) {
  const std::vector<std::tuple<std::string, json, std::string>> lies = {
      {"format", "optimizer-trace/3", "expected optimizer-trace/1 or optimizer-trace/2"},
      {"format", nullptr, "expected a string"},
      {"options", "{", "'options' is not JSON"},
      {"options", "[]", "expected a JSON object"},
      {"steps", "two", "'steps' is not JSON"},
      {"steps", "0", "from 1 to 10^9"},
      {"steps", "-1", "from 1 to 10^9"},
      {"steps", "1.5", "from 1 to 10^9"},
      {"steps", "1000000001", "from 1 to 10^9"},
      {"steps", "\"2\"", "from 1 to 10^9"},
      {"tensors", "{}", "expected a JSON object"},
      {"tensors", "[]", "expected a JSON object"},
      {"tensors", "{\"w\": 3}", "expected a shape"},
      {"tensors", "{\"w\": {}}", "expected a shape"},
      {"tensors", "{\"w\": {\"shape\": []}}", "has shape 2x3: expected 1"},
      {"tensors", "{\"w\": {\"shape\": [2, 0]}}", "has shape 2x3: expected 2x0"},
      {"tensors", "{\"w\": {\"shape\": [2, -3]}}", "non-negative extents"},
      {"tensors", "{\"w\": {\"shape\": [3, 2]}}", "has shape 2x3: expected 3x2"},
      {"tensors", "{\"w\": {\"shape\": [6]}}", "has shape 2x3: expected 6"},
      {"tensors", "{\"v\": {\"shape\": [2, 3]}}", "grad/v@1 is missing"},
  };
  for (const auto& [key, value, expects] : lies) {
    TraceFile file = small_training();
    file.header["__metadata__"][key] = value;
    EXPECT_THAT(refusal(file.bytes()), HasSubstr(expects)) << key << " = " << value;
  }
  for (const char* key : {"format", "peer", "options", "steps", "tensors"}) {
    TraceFile file = small_training();
    file.header["__metadata__"].erase(key);
    EXPECT_THAT(refusal(file.bytes()), HasSubstr(std::string("metadata '") + key + "' is missing"));
  }
  TraceFile file = small_training();
  file.header.erase("__metadata__");
  EXPECT_THAT(refusal(file.bytes()), HasSubstr("metadata 'format' is missing"));
  file.header["__metadata__"] = 3;
  EXPECT_THAT(refusal(file.bytes()), HasSubstr("__metadata__ is not a JSON object"));
}

TEST(Trace, AHeaderThatIsNotJsonIsRefused) {
  for (const std::string header : {"", "nonsense", "[1, 2]", "{\"a\":", "\xff\xfe", "3"}) {
    uint64_t length = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_NE(refusal(bytes + header), "") << header;
  }
}

TEST(Trace, AMissingArrayATypeThatIsNoFloatAndAnEmptyOneAreRefused) {
  TraceFile missing = small_training();
  missing.header.erase("grad/w@2");
  EXPECT_THAT(refusal(missing.packed().bytes()), HasSubstr("grad/w@2 is missing"));
  TraceFile integers = small_training();
  integers.header["grad/w@1"]["dtype"] = "I32";
  EXPECT_THAT(refusal(integers.bytes()), HasSubstr("type I32: expected F64, F32, BF16 or F16"));
  TraceFile empty = small_training();
  empty.add("state/w/row@1", "F32", {0}, "");
  const Trace trace(SafeTensors::parse(as_bytes(empty.bytes()), "file"));
  EXPECT_THROW(trace.load("state/w/row@1"), InputError);
  EXPECT_THROW(trace.tensor("v"), InputError);
}

// Steps are a claim of the metadata: work must follow what is in the file.
TEST(Trace, MoreStepsThanArraysAreRefused) {
  TraceFile file = small_training();
  file.header["__metadata__"]["steps"] = "1000000000";
  EXPECT_THAT(refusal(file.bytes()), HasSubstr("'steps': 1000000000: expected no more than the 3 arrays"));
}

// --- the format's own rules ---

TEST(SafeTensors, ArraysThatOverlapOrLeaveGapsAreRefused) {
  TraceFile file = small_training();
  file.header["grad/w@1"]["data_offsets"] = {0, 24};
  EXPECT_THAT(refusal(file.bytes()), HasSubstr("overlaps"));
  TraceFile gap = small_training();
  gap.header.erase("grad/w@1");
  EXPECT_THAT(refusal(gap.bytes()), HasSubstr("array grad/w@2 begins at byte 48, expected 24: 24 bytes before it"));
  EXPECT_THAT(refusal(small_training().bytes() + "1234"), HasSubstr("4 bytes behind the last array: expected none"));
}

TEST(SafeTensors, ANameTwiceIsRefused) {
  std::string bytes = small_training().bytes();
  const size_t at = bytes.find("grad/w@2");
  bytes[at + 7] = '1';
  EXPECT_THAT(refusal(bytes), HasSubstr("header has the name \"grad/w@1\" twice"));
  TraceFile file = small_training();
  file.header["__metadata__"]["options"] = R"({"lr": 1, "lr": 2})";
  EXPECT_THAT(refusal(file.bytes()), HasSubstr("'options' has the name \"lr\" twice"));
}

TEST(SafeTensors, JsonOfManyLevelsIsRefused) {
  TraceFile file = small_training();
  file.header["__metadata__"]["options"] = "{\"lr\": " + std::string(80000, '[') + std::string(80000, ']') + "}";
  EXPECT_THAT(refusal(file.bytes()), HasSubstr("'options': nests deeper than 64 levels"));
}

TEST(SafeTensors, AnArrayThatNobodyReadsMayHaveAnyType) {
  TraceFile file = small_training();
  file.add("state/w/step@1", "I64", {}, std::string(8, '\1'));
  file.add("notes", "F8_E8M0", {5}, "abcde");
  file.add("half bytes", "F4", {6}, "abc");
  EXPECT_EQ(refusal(file.bytes()), "");
}

TEST(SafeTensors, OtherFormatsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> others = {
      {std::string("PK\x03\x04\x14\0\0\0archive/data.pkl", 24), "a PyTorch checkpoint (.pt)"},
      {std::string("PK\x03\x04\x14\0\0\0grad.npy", 16), "a NumPy archive (.npz)"},
      {"\x93NUMPY\x01and more", "a NumPy array (.npy)"},
      {"\x80\x02}q\x01(X\x05", "a Python pickle"},
      {R"({"metadata": {}, "weight_map": {}})", "an index (.index.json)"},
      {R"({"lr": 0.1, "betas": [1]})", "JSON"}};
  for (const auto& [bytes, name] : others) EXPECT_THAT(refusal(bytes), HasSubstr(name)) << name;
}

TEST(Trace, AParameterWithoutAxesIsOneElement) {
  TraceFile file;
  json& meta = file.header["__metadata__"];
  meta["peer"] = "none";
  meta["options"] = "{}";
  meta["steps"] = "1";
  meta["tensors"] = R"({"temperature": {"shape": []}})";
  const float two = 2;
  const std::string bytes(reinterpret_cast<const char*>(&two), 4);
  for (const char* name : {"param/temperature@0", "grad/temperature@1"}) file.add(name, "F32", {}, bytes);
  const Trace trace(SafeTensors::parse(as_bytes(file.bytes()), "file"));
  EXPECT_EQ(trace.tensor("temperature").shape, std::vector<int64_t>{1});
  EXPECT_EQ(trace.gradient("temperature", 1).data[0], 2);
}

// What is wrong with one tensor is the error of that tensor alone.
TEST(Trace, ATensorThatIsWrongLeavesTheOthers) {
  TraceFile file = small_training();
  file.header["__metadata__"]["tensors"] = R"({"w": {"shape": [2, 3]}, "v": {"shape": "none"}, "x": 3})";
  const Trace trace(SafeTensors::parse(as_bytes(file.bytes()), "file"));
  EXPECT_EQ(trace.tensors().size(), 3u);
  EXPECT_EQ(trace.tensor("w").name, "w");
  EXPECT_THROW(trace.tensor("v"), InputError);
  EXPECT_THROW(trace.tensor("x"), InputError);
}

TEST(Trace, AShapeIsCheckedWhateverTheNamesLookLike) {
  TraceFile file = small_training();
  file.header["__metadata__"]["tensors"] = R"({"w": {"shape": [2, 3]}, "w@1": {"shape": [1]}})";
  file.add("param/w@1@0", "F32", {1}, std::string(4, '\0'));
  file.add("grad/w@1@1", "F32", {1}, std::string(4, '\0'));
  file.add("grad/w@1@2", "F32", {1}, std::string(4, '\0'));
  EXPECT_EQ(refusal(file.bytes()), "");
}

TEST(Trace, AFileThatIsNotThereOrIsAFolderIsRefused) {
  EXPECT_THROW(Trace::read("/nonexistent/trace.safetensors"), InputError);
  EXPECT_THROW(Trace::read(testing::TempDir()), InputError);
}

// A tenth of a million here; the program trace_fuzz takes any number.
TEST(Trace, MutatedFilesAreReadOrRefused) {
  constexpr uint64_t kFiles = 100000;
  const FuzzCounts counts = fuzz_reader(kFiles, 20240917);
  EXPECT_EQ(counts.broken, "");
  EXPECT_GT(counts.judged, kFiles / 200);
  EXPECT_GT(counts.read, kFiles / 100);
  EXPECT_GT(counts.refused, kFiles / 2);
}

// --- what a case wants of a trace ---

class TraceOnDisk : public testing::Test {
 protected:
  std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) /
      (std::string("plumbline-") + testing::UnitTest::GetInstance()->current_test_info()->name() + ".safetensors");
  void SetUp() override { small_training().write(path_); }
  void TearDown() override { std::filesystem::remove(path_); }

  std::string open(const std::string& words) const {
    try {
      DataSource source(parse_problem("trace=" + path_.string() + " seed=1 " + words));
      Realized g, p;
      source.gradient(2, g);
      source.initial_parameter(p);
      EXPECT_EQ(g.values.data[3], 2.75);
      EXPECT_EQ(p.values.data[3], 0.75);
      return {};
    } catch (const InputError& e) {
      return e.what();
    }
  }
};

TEST_F(TraceOnDisk, GivesACaseItsGradients) { EXPECT_EQ(open("tensor=w shape=2x3 steps=2"), ""); }
TEST_F(TraceOnDisk, LacksATensorWithAnotherName) {
  EXPECT_THAT(open("tensor=v shape=2x3 steps=2"), HasSubstr("no tensor 'v': expected one of w"));
}
TEST_F(TraceOnDisk, RefusesAnotherShape) {
  EXPECT_THAT(open("tensor=w shape=3x2 steps=2"), HasSubstr("tensor w has shape 2x3: the case says 3x2"));
}
TEST_F(TraceOnDisk, RefusesMoreStepsThanItHolds) {
  EXPECT_THAT(open("tensor=w shape=2x3 steps=3"), HasSubstr("holds 2 steps: the case asks for 3"));
}

}  // namespace
}  // namespace plumbline::harness
