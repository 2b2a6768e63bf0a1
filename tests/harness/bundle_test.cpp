#include "harness/bundle.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "harness/case.h"
#include "harness/checksum.h"
#include "harness/error.h"
#include "harness/problem.h"
#include "harness/trace.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kLine = "shape=8x32 storage=al8 block=64 min_quantized_size=1 steps=3 seed=7";

// Flips a bit of parameter 5 in step 2.
FaultySubject flipping() {
  return FaultySubject([](int64_t step, Observation& now, const Observation&) {
    if (step == 2) now.parameter[4 * 5 + 2] ^= std::byte{0x40};
  });
}

CaseResult failing() {
  const FaultySubject subject = flipping();
  const auto host = make_subject("host");
  return run_case(parse_problem(kLine), subject, {"case", false, host.get(), true});
}

class BundleTest : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) /
                     (std::string("plumbline-bundle-") + testing::UnitTest::GetInstance()->current_test_info()->name());
  void SetUp() override {
    fs::remove_all(folder_);
    run_.commit = "abc";
    run_.cpu = "a CPU";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string text(const char* name) const {
    std::ostringstream out;
    out << std::ifstream(folder_ / "one" / name, std::ios::binary).rdbuf();
    return out.str();
  }
  RunDescription run_;
};

// Files of earlier versions stay readable, and what they describe still happens bit by bit.
TEST(Bundle, TakesOneOf010) {
  const Bundle old = read_bundle(PLUMBLINE_RELEASED "/0.1.0/bundle");
  EXPECT_EQ(old.first_broken, "parameter");
  EXPECT_EQ(old.step, 2);
  CaseOptions options;
  options.evidence_step = old.step;
  const FaultySubject same([](int64_t step, Observation& now, const Observation&) {
    if (step == 2) now.parameter[2] ^= std::byte{0x40};
  });
  const ReplayComparison replay = compare_replay(old, run_case(parse_problem(old.line), same, options));
  EXPECT_TRUE(replay.reproduced) << replay.text;
}

TEST(Evidence, OfAFailingCaseHoldsTheWorstElementBetweenItsNeighbours) {
  const CaseResult result = failing();
  ASSERT_EQ(result.verdict, Verdict::fail);
  ASSERT_EQ(result.first_broken, Quantity::parameter);
  ASSERT_TRUE(result.window);
  const ElementWindow& w = *result.window;
  EXPECT_EQ(w.quantity, Quantity::parameter);
  EXPECT_EQ(w.step, 2);
  EXPECT_EQ(w.type, "f32");
  EXPECT_EQ(w.index, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  for (size_t i = 0; i < w.index.size(); ++i) EXPECT_EQ(w.ratio[i] <= 1, w.index[i] != 5) << w.index[i];
  EXPECT_NE(w.got[4], w.expected[4]);
}

TEST(Evidence, OfACodeNamesItsBlockAndLeavesVerdictsAsTheyAre) {
  const FaultySubject subject([](int64_t step, Observation& now, const Observation&) {
    if (step == 3) now.state[0].values[3] = std::byte(uint8_t(now.state[0].values[3]) ^ 0x20);
  });
  const CaseResult plain = run_case(parse_problem(kLine), subject),
                   kept = run_case(parse_problem(kLine), subject, {"case", false, nullptr, true});
  EXPECT_EQ(plain.reason, kept.reason);
  ASSERT_EQ(kept.quantities.size(), plain.quantities.size());
  for (size_t i = 0; i < kept.quantities.size(); ++i) {
    EXPECT_EQ(kept.quantities[i].ratios.count, plain.quantities[i].ratios.count);
    EXPECT_EQ(kept.quantities[i].outside, plain.quantities[i].outside);
  }
  ASSERT_TRUE(kept.window);
  EXPECT_EQ(kept.window->type, "u8");
  EXPECT_EQ(kept.window->block.size(), kept.window->index.size());
  EXPECT_EQ(kept.window->block[0], 0);
  EXPECT_TRUE(kept.evidence);
  EXPECT_FALSE(plain.evidence);
}

TEST(Evidence, IsNotKeptOfACaseThatPasses) {
  const CaseResult result = run_case(parse_problem(kLine), *make_subject("host"), {"case", false, nullptr, true});
  EXPECT_EQ(result.verdict, Verdict::pass);
  EXPECT_FALSE(result.evidence);
  EXPECT_FALSE(result.window);
}

TEST(Checksum, OfACaseTellsBitsApartAndRepeats) {
  const CaseResult once = failing(), again = failing();
  EXPECT_NE(once.bits, 0u);
  EXPECT_EQ(once.bits, again.bits);
  EXPECT_NE(once.bits, run_case(parse_problem(kLine), *make_subject("host")).bits);
  EXPECT_EQ(run_case(parse_problem(kLine), *make_subject("host")).bits,
            run_case(parse_problem(kLine), *make_subject("emulator")).bits);
}

TEST(Checksum, SeesEveryBitEveryLengthAndTheOrder) {
  std::vector<std::byte> bytes(37);
  const auto sum = [](std::span<const std::byte> part) {
    Checksum s;
    s.add(part);
    return s.value();
  };
  std::set<uint64_t> seen = {sum(bytes)};
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte(1 << bit % 8);
    EXPECT_TRUE(seen.insert(sum(bytes)).second) << bit;
    bytes[bit / 8] ^= std::byte(1 << bit % 8);
  }
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_TRUE(seen.insert(sum(std::span(bytes).first(length))).second);
  Checksum split;
  split.add(std::span(bytes).first(8));
  split.add(std::span(bytes).subspan(8));
  EXPECT_TRUE(seen.insert(split.value()).second);
}

TEST(StoredBits, AreThoseOfTheValueRoundedToItsType) {
  EXPECT_EQ(stored_bits("f32", 1.0), 0x3f800000u);
  EXPECT_EQ(stored_bits("bf16", 1.0 + 0x1p-9), 0x3f80u);
  EXPECT_EQ(stored_bits("f16", -2.0), 0xc000u);
  EXPECT_EQ(stored_bits("f64", 0.5), 0x3fe0000000000000u);
  EXPECT_EQ(stored_bits("u8", 254.7), 255u);
  EXPECT_EQ(stored_bits("count", 3), std::nullopt);
}

TEST_F(BundleTest, HoldsLineMachineBitsAndTensors) {
  const CaseResult result = failing();
  write_bundle(folder_ / "one", run_, result);
  const auto told = nlohmann::json::parse(text("case.json"));
  EXPECT_EQ(told["line"], result.line);
  EXPECT_EQ(told["run"]["cpu"], "a CPU");
  EXPECT_EQ(told["first_broken"], "parameter");
  const auto& worst = told["elements"]["around_the_worst"][4];
  EXPECT_EQ(worst["index"], 5);
  EXPECT_EQ(worst["xor"], "0x00400000");
  const SafeTensors tensors = SafeTensors::read(folder_ / "one" / "tensors.safetensors");
  for (const char* name :
       {"before/parameter", "gradient", "before/row/values", "before/row/scales", "after/parameter", "after/row/values",
        "after/col/scales", "twin/parameter", "expected/parameter", "bound/parameter", "expected/row", "bound/col"})
    EXPECT_NE(tensors.find(name), nullptr) << name;
  EXPECT_EQ(tensors.find("after/parameter")->shape, (std::vector<int64_t>{8, 32}));
  const auto *after = tensors.find("after/parameter"), *twin = tensors.find("twin/parameter");
  size_t differing = 0;
  for (size_t i = 0; i < size_t(8 * 32); ++i)
    differing += std::memcmp(tensors.data(*after) + 4 * i, tensors.data(*twin) + 4 * i, 4) != 0;
  EXPECT_EQ(differing, 1u);
}

TEST_F(BundleTest, IsWrittenOnce) {
  const CaseResult result = failing();
  write_bundle(folder_ / "one", run_, result);
  const std::string first = text("case.json");
  run_.cpu = "another";
  write_bundle(folder_ / "one", run_, result);
  EXPECT_EQ(text("case.json"), first);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_)) ++entries;
  EXPECT_EQ(entries, 1u);
  EXPECT_THROW(write_bundle("/proc/plumbline/one", run_, result), InputError);
}

TEST_F(BundleTest, ItsNameTellsCasesSubjectsCommitsAndBitsApart) {
  CaseResult result = failing();
  std::set<std::string> names = {bundle_name(run_, result)};
  EXPECT_THAT(*names.begin(), testing::MatchesRegex("fail-[0-9a-f]+"));
  EXPECT_FALSE(names.insert(bundle_name(run_, result)).second);
  ++result.bits;
  EXPECT_TRUE(names.insert(bundle_name(run_, result)).second);
  run_.commit = "def";
  EXPECT_TRUE(names.insert(bundle_name(run_, result)).second);
  result.line += " ";
  EXPECT_TRUE(names.insert(bundle_name(run_, result)).second);
}

TEST_F(BundleTest, ReplaysToTheSameBitsOrSaysWhatDiffers) {
  const CaseResult result = failing();
  write_bundle(folder_ / "one", run_, result);
  const Bundle bundle = read_bundle(folder_ / "one");
  EXPECT_EQ(bundle.line, result.line);
  EXPECT_EQ(bundle.step, 2);
  CaseOptions options{"case", false, nullptr};
  options.evidence_step = bundle.step;
  const FaultySubject subject = flipping();
  const ReplayComparison same = compare_replay(bundle, run_case(parse_problem(bundle.line), subject, options));
  EXPECT_TRUE(same.reproduced);
  EXPECT_THAT(same.text, HasSubstr("reproduced: every bit of every step as recorded"));
  const ReplayComparison mended =
      compare_replay(bundle, run_case(parse_problem(bundle.line), *make_subject("host"), options));
  EXPECT_FALSE(mended.reproduced);
  EXPECT_THAT(mended.text, HasSubstr("not reproduced: from the same bits the step left others than recorded"));
  EXPECT_THAT(mended.text, HasSubstr("after/parameter                    1 of 256 elements differ"));
  const ReplayComparison other = compare_replay(
      bundle, run_case(parse_problem("shape=8x32 storage=al8 block=64 min_quantized_size=1 steps=3 seed=8"),
                       *make_subject("host"), options));
  EXPECT_FALSE(other.reproduced);
  EXPECT_THAT(other.text, HasSubstr("the step read other bits than recorded"));
}

TEST_F(BundleTest, RefusesWhatIsNotABundle) {
  const auto refusal = [&] {
    try {
      read_bundle(folder_ / "one");
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal(), HasSubstr("case.json: cannot be read"));
  write_bundle(folder_ / "one", run_, failing());
  const std::string whole = text("case.json");
  const auto put = [&](const std::string& content) {
    std::ofstream(folder_ / "one" / "case.json", std::ios::binary) << content;
  };
  put(whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refusal(), HasSubstr("is not JSON, or is cut off"));
  put("{\"schema\": \"plumbline-bundle/2\"}");
  EXPECT_THAT(refusal(), HasSubstr("schema 'plumbline-bundle/2': expected 'plumbline-bundle/1'"));
  put(whole);
  fs::resize_file(folder_ / "one" / "tensors.safetensors", 100);
  EXPECT_THAT(refusal(), HasSubstr("tensors.safetensors: "));
}

}  // namespace
}  // namespace plumbline::harness
