// The judge over recorded runs: honest replays in short arithmetic pass, whatever the order of their sums; faults fail.
#include "harness/recorded.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "harness/error.h"
#include "harness/judge_traces.h"
#include "tests/harness/float_peers.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

std::vector<fs::path> recorded_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(CONFORMANCE_FOLDER)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

Trace recorded(const std::string& stem) { return Trace::read(fs::path(CONFORMANCE_FOLDER) / (stem + ".safetensors")); }
Trace in_memory(const TraceFile& file) { return Trace(SafeTensors::parse(as_bytes(file.packed().bytes()), "replay")); }

CaseResult judge_tensor(const Trace& trace, const std::string& tensor, RecordedRun run = {}) {
  run.tensor = tensor;
  return judge_recorded(trace, run);
}

bool is_finite(const Trace& trace, const std::string& tensor) {
  for (int64_t t = 1; t <= trace.steps(); ++t)
    if (!trace.gradient(tensor, t).data.allFinite()) return false;
  return true;
}

// No tensor fails or is marginal. Gradients that the type does not hold are left out.
void expect_no_fault(const Trace& trace, const char* what, const RecordedRun& how = {}, int fewest_passes = 1) {
  int passes = 0;
  for (const auto& tensor : trace.tensors()) {
    if (!is_finite(trace, tensor.name)) continue;
    const CaseResult result = judge_tensor(trace, tensor.name, how);
    EXPECT_TRUE(result.verdict == Verdict::pass || result.verdict == Verdict::vacuous)
        << what << ": " << to_string(result.verdict) << ": " << result.reason;
    passes += result.verdict == Verdict::pass;
    for (const QuantityResult& q : result.quantities) EXPECT_LE(q.ratios.largest, 1) << what << " " << tensor.name;
  }
  EXPECT_GE(passes, fewest_passes) << what;
}

// The first tensor that fails, or none.
std::optional<CaseResult> first_failure(const Trace& trace) {
  for (const auto& tensor : trace.tensors()) {
    CaseResult result = judge_tensor(trace, tensor.name);
    if (result.verdict == Verdict::fail) return result;
  }
  return std::nullopt;
}

std::optional<CaseResult> failure_of(const Trace& run, Fault fault, bool record_state = true) {
  Replay how;
  how.fault = fault;
  how.record_state = record_state;
  return first_failure(in_memory(replay(run, how)));
}

class RecordedRuns : public testing::TestWithParam<fs::path> {
 protected:
  Trace run_ = Trace::read(GetParam());
  std::string stem_ = GetParam().stem();
  std::string peer_ = run_.peer();
  json options_ = json::parse(run_.options_json());

  bool has_momentum() const {
    return peer_ == "came" || peer_ == "apollo" || peer_ == "fira" || options_.contains("beta1") ||
           options_.contains("momentum");
  }
};
class ReplayedRuns : public RecordedRuns {};
class FactoredRuns : public RecordedRuns {};
class Eps1Runs : public RecordedRuns {};

std::string test_name(const testing::TestParamInfo<fs::path>& parameter) {
  std::string name = parameter.param.stem();
  std::ranges::replace_if(
      name, [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}
// float_peers.h speaks the rules of the first seven peers alone.
const std::vector<std::string> kNotReplayed = {"adafactor8bit-", "torch-adamw-", "galore-", "pytorch-optimizer-",
                                               "timm-"};
std::vector<fs::path> files_but(std::vector<std::string> beginnings) {
  beginnings.insert(beginnings.end(), kNotReplayed.begin(), kNotReplayed.end());
  std::vector<fs::path> files = recorded_files();
  std::erase_if(files, [&](const fs::path& file) {
    return std::any_of(beginnings.begin(), beginnings.end(),
                       [&](const std::string& b) { return file.stem().string().starts_with(b); });
  });
  return files;
}
INSTANTIATE_TEST_SUITE_P(Traces, RecordedRuns, testing::ValuesIn(recorded_files()), test_name);
INSTANTIATE_TEST_SUITE_P(Traces, ReplayedRuns, testing::ValuesIn(files_but({})), test_name);
INSTANTIATE_TEST_SUITE_P(Traces, FactoredRuns, testing::ValuesIn(files_but({"apollo", "fira", "optax-unfactored"})),
                         test_name);
// Those of rlx record no state, and its default of 1e-30 moves no parameter.
INSTANTIATE_TEST_SUITE_P(Traces, Eps1Runs,
                         testing::ValuesIn(files_but({"rlx-clip", "rlx-decay", "rlx-default", "rlx-manual"})),
                         test_name);

TEST_P(RecordedRuns, AsRecordedPass) { expect_no_fault(run_, "float64", {}, int(run_.tensors().size()) - 1); }

TEST_P(ReplayedRuns, Float32ReplaysPass) {
  const int all_but_one = int(run_.tensors().size()) - 1;
  expect_no_fault(in_memory(replay(run_, {})), "forward sums", {}, all_but_one);
  Replay how;
  how.summation = Summation::pairwise;
  how.float32_hyperparameters = true;
  expect_no_fault(in_memory(replay(run_, how)), "pairwise sums, float32 hyperparameters", {}, all_but_one);
  how = {};
  how.summation = Summation::backward;
  how.record_state = false;
  expect_no_fault(in_memory(replay(run_, how)), "backward sums, parameters alone", {}, int(run_.tensors().size()) / 2);
}

TEST_P(ReplayedRuns, SixteenBitReplaysPass) {
  // Warm-up moves parameters by less than an ulp of 16 bits: such a run shows nothing, whatever its states do.
  const int fewest = stem_ == "huggingface-warmup" ? 0 : 1;
  const RecordedRun float32{"", "", DType::float32};
  Replay how;
  how.parameter = how.state = DType::bfloat16;
  expect_no_fault(in_memory(replay(run_, how)), "bfloat16 storage", float32, fewest);
  how.results = DType::bfloat16;
  expect_no_fault(in_memory(replay(run_, how)), "bfloat16 arithmetic", {}, fewest);
  how = {};
  how.parameter = DType::float16;
  expect_no_fault(in_memory(replay(run_, how)), "float16 parameters", {}, fewest);
}

TEST_P(ReplayedRuns, AStepSkippedFails) {
  const auto failure = failure_of(run_, Fault::step_skipped);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->first_broken_step, 3);
  EXPECT_TRUE(failure_of(run_, Fault::step_skipped, false)) << "parameters alone";
}

TEST_P(ReplayedRuns, ABetaOffByATenThousandthFails) {
  const auto beta2 = failure_of(run_, Fault::beta2);
  ASSERT_TRUE(beta2);
  const std::map<std::string, Quantity> stages = {{"apollo", Quantity::low_rank_second_moment},
                                                  {"fira", Quantity::low_rank_second_moment},
                                                  {"rlx", Quantity::parameter}};  // records no state
  const Quantity first = *beta2->first_broken;
  if (stages.contains(peer_))
    EXPECT_EQ(first, stages.at(peer_)) << to_string(first);
  else
    EXPECT_TRUE(first == Quantity::row || first == Quantity::second_moment) << to_string(first);
  // Warm-up moves parameters by less than an ulp: nothing of beta2 is left in them.
  if (stem_ != "huggingface-warmup") {
    EXPECT_TRUE(failure_of(run_, Fault::beta2, false)) << "parameters alone";
  }

  if (has_momentum()) {
    const auto beta1 = failure_of(run_, Fault::beta1);
    ASSERT_TRUE(beta1);
    const bool low_rank = peer_ == "apollo" || peer_ == "fira";
    const Quantity momentum = low_rank           ? Quantity::low_rank_momentum
                              : peer_ == "optax" ? Quantity::parameter  // records none
                                                 : Quantity::momentum;
    EXPECT_EQ(beta1->first_broken, momentum) << beta1->reason;
    EXPECT_TRUE(failure_of(run_, Fault::beta1, false)) << "parameters alone";
  }
  if (peer_ == "came") {
    const auto beta3 = failure_of(run_, Fault::beta3);
    ASSERT_TRUE(beta3);
    EXPECT_EQ(beta3->first_broken, Quantity::confidence_row) << beta3->reason;
  }
}

TEST_P(FactoredRuns, AColumnAverageOneStepStaleFails) {
  const auto failure = failure_of(run_, Fault::column_stale);
  ASSERT_TRUE(failure);
  EXPECT_GE(*failure->first_broken_step, 2);
  // The averages themselves are right, so what is made of them breaks first.
  const Quantity first = *failure->first_broken;
  EXPECT_TRUE(first == Quantity::parameter || first == Quantity::momentum) << to_string(first);
  EXPECT_TRUE(failure_of(run_, Fault::column_stale, false)) << "parameters alone";
}

// It acts where it is of the size of the squares, or of averages that are zero without it.
TEST_P(Eps1Runs, ATenfoldEps1FailsWhereItActs) {
  EXPECT_TRUE(failure_of(run_, Fault::eps1_tenfold));
  if (stem_.ends_with("-eps")) {
    EXPECT_TRUE(failure_of(run_, Fault::eps1_tenfold, false)) << "parameters alone";
  }
}

// Not a fault of the mathematics: the order R C / mean R of torch.optim.Adafactor overflows float32 for |g| > 4e9.
TEST(RecordedRun, ProductsOfAveragesThatOverflowAreFound) {
  Replay how;
  how.fault = Fault::row_times_column;
  const Trace trace = in_memory(replay(recorded("torch-default"), how));
  const CaseResult huge = judge_tensor(trace, "16x16-huge");
  EXPECT_EQ(huge.verdict, Verdict::fail);
  EXPECT_EQ(huge.first_broken, Quantity::parameter);
  EXPECT_EQ(judge_tensor(trace, "16x16").verdict, Verdict::pass);
}

// A recording under another peer's name and options.
Trace renamed(const std::string& stem, const std::string& peer, const std::string& options) {
  std::ifstream in(fs::path(CONFORMANCE_FOLDER) / (stem + ".safetensors"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  TraceFile file;
  file.header = json::parse(bytes.substr(8, length));
  file.data = bytes.substr(8 + length);
  file.header["__metadata__"]["peer"] = peer;
  file.header["__metadata__"]["options"] = options;
  return in_memory(file);
}

struct Failures {
  int tensors = 0;
  double largest = 0;  // error/bound of a parameter
};
Failures failures_of(const Trace& trace) {
  Failures out;
  for (const auto& tensor : trace.tensors()) {
    const CaseResult result = judge_tensor(trace, tensor.name);
    out.tensors += result.verdict == Verdict::fail;
    out.largest = std::max(out.largest, result.quantities.front().ratios.largest);
  }
  return out;
}

// What rlx does where the paper says mean, and where it says d: the same runs judged by the paper's rule.
TEST(RecordedRun, DefectsOfRlxAreFoundByThePapersRule) {
  const Failures sum = failures_of(renamed("rlx-eps", "huggingface", R"({"eps": [1e-8, 0.1], "decay_rate": -0.5})"));
  EXPECT_EQ(sum.tensors, 8);
  EXPECT_GT(sum.largest, 4e4);
  const Failures clip = failures_of(renamed("rlx-clip", "huggingface", R"({"clip_threshold": 2.0})"));
  EXPECT_EQ(clip.tensors, 11);
  EXPECT_GT(clip.largest, 1e6);
}

// u - M = beta1 (u - M_old): what M holds of u is no error of the difference. With beta1 small, two independent errors
// would be larger than it.
TEST(RecordedRun, BoundsOfTheConfidenceAreFinite) {
  std::mt19937_64 random(11);
  const auto between = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  uint64_t all = 0, unbounded = 0;
  for (int draw = 0; draw < 12; ++draw) {
    const double beta1 = std::array{0.0, 1e-3, 0.1, 0.5, 0.9, 0.99}[size_t(draw) % 6];
    const json options = {{"lr", std::exp(between(-9, -4))},
                          {"betas", {beta1, between(0.9, 0.9999), between(0.9, 0.9999)}},
                          {"eps", {1e-30, 1e-16}}};
    Replay how;
    how.record_state = draw % 2 == 0;
    const Trace run = in_memory(replay(renamed("came-default", "came", options.dump()), how));
    for (const auto& tensor : run.tensors()) {
      if (!is_finite(run, tensor.name)) continue;
      const CaseResult result = judge_tensor(run, tensor.name);
      EXPECT_NE(result.verdict, Verdict::fail) << options << " " << tensor.name << ": " << result.reason;
      for (const QuantityResult& q : result.quantities) {
        if (q.quantity >= Quantity::row_drift) continue;
        all += q.ratios.total() + q.unbounded;
        unbounded += q.unbounded;
      }
    }
  }
  EXPECT_LE(double(unbounded), 0.01 * double(all)) << unbounded << " of " << all;
  RecordProperty("unbounded", std::to_string(double(unbounded) / double(all)));
}

// beta1 = 0 leaves u - M = 0, so that u / sqrt(S) with S = eps2 alone is what shows.
TEST(RecordedRun, ABetaThreeThatIsOffIsNoPassWithoutMomentum) {
  for (const bool off : {false, true}) {
    Replay how;
    if (off) how.fault = Fault::beta3;
    const Trace run =
        in_memory(replay(renamed("came-default", "came", R"({"lr": 2e-4, "betas": [0.0, 0.999, 0.9999]})"), how));
    const CaseResult result = judge_tensor(run, "16x16");
    if (off)
      EXPECT_TRUE(result.verdict == Verdict::fail || result.verdict == Verdict::vacuous) << to_string(result.verdict);
    else
      EXPECT_NE(result.verdict, Verdict::fail) << result.reason;
  }
}

TEST(RecordedRun, BoundsGrowWhereStateIsCarried) {
  Replay alone;
  alone.record_state = false;
  const Trace run = recorded("huggingface-momentum");
  const CaseResult with = judge_tensor(in_memory(replay(run, {})), "16x16"),
                   without = judge_tensor(in_memory(replay(run, alone)), "16x16");
  const auto of = [](const CaseResult& result) {
    for (const QuantityResult& q : result.quantities)
      if (q.quantity == Quantity::parameter) return q;
    return QuantityResult{};
  };
  EXPECT_EQ(with.quantities.size(), 8u);  // row, col, momentum, parameter, local and global
  EXPECT_EQ(without.quantities.size(), 2u);
  EXPECT_LE(of(without).ratios.quantile(0.5), of(with).ratios.quantile(0.5));
  EXPECT_LE(of(without).ratios.largest, 1);
}

TEST(RecordedRun, AnOptimizerThatDoesNothingFails) {
  TraceFile file = replay(recorded("torch-default"), {});
  for (auto& [name, entry] : file.header.items())  // every parameter is the first one
    if (name.starts_with("param/16x16@")) entry = file.header["param/16x16@0"];
  EXPECT_EQ(judge_tensor(in_memory(file), "16x16").verdict, Verdict::fail);
}

TEST(RecordedRun, ACaseThatCouldNotFailIsVacuous) {
  Replay how;  // updates of a millionth are far below an ulp of bfloat16
  how.parameter = DType::bfloat16;
  how.record_state = false;
  const CaseResult result = judge_tensor(in_memory(replay(recorded("huggingface-warmup"), how)), "16x16");
  EXPECT_EQ(result.verdict, Verdict::vacuous);
  EXPECT_THAT(result.reason, HasSubstr("does nothing"));
}

// Equal terms added one after the other round the same way each time, if their last eleven bits are just below a half:
// inside n - 1 roundings, far outside 7 sqrt(n - 1).
TEST(RecordedRun, SumsThatRoundOneWayAreMarginal) {
  float gradient = 1;
  while ((std::bit_cast<uint32_t>(gradient * gradient) & 0x7ff) < 0x3c0 ||
         (std::bit_cast<uint32_t>(gradient * gradient) & 0x7ff) > 0x3ff)
    gradient = std::nextafter(gradient, 2.0f);
  const std::vector<int64_t> shape = {2, 4096};
  TraceFile file;
  json& meta = file.header["__metadata__"];
  meta["peer"] = "huggingface";
  meta["options"] = "{}";
  meta["steps"] = "1";
  meta["tensors"] = R"({"w": {"shape": [2, 4096]}})";
  const auto add = [&](const std::string& name, const std::vector<int64_t>& extents, double value) {
    size_t size = 1;
    for (const int64_t extent : extents) size *= size_t(extent);
    std::vector<double> values(size);
    for (size_t i = 0; i < size; ++i) values[i] = name.starts_with("param") ? 0.1 * double(i % 7 + 1) : value;
    std::string bytes(8 * size, '\0');
    store(DType::float64, values, reinterpret_cast<std::byte*>(bytes.data()));
    file.add(name, "F64", extents, bytes);
  };
  add("param/w@0", shape, 0);
  add("param/w@1", shape, 0);
  add("grad/w@1", shape, gradient);
  add("state/w/exp_avg_sq_row@1", {2}, 0);
  add("state/w/exp_avg_sq_col@1", {4096}, 0);
  const Trace run = in_memory(file);
  const CaseResult forward = judge_tensor(in_memory(replay(run, {})), "w");
  EXPECT_EQ(forward.verdict, Verdict::marginal) << forward.reason;
  EXPECT_THAT(forward.reason, HasSubstr("row at step 1"));
  Replay how;
  how.summation = Summation::pairwise;
  EXPECT_EQ(judge_tensor(in_memory(replay(run, how)), "w").verdict, Verdict::pass);
}

TEST(RecordedRun, ANanOfThePeerFails) {
  TraceFile file = replay(recorded("came-default"), {});
  const size_t at = file.header["param/16x16@4"]["data_offsets"][0];
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(file.data.data() + at + 4 * 17, &nan, 4);
  const CaseResult result = judge_tensor(in_memory(file), "16x16");
  EXPECT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(result.first_broken, Quantity::parameter);
  EXPECT_EQ(result.first_broken_step, 4);
  EXPECT_THAT(result.reason, HasSubstr("element 17: got nan"));
}

// --- recordings that cannot be judged ---

std::string refusal(const TraceFile& file, const std::string& tensor) {
  try {
    judge_tensor(in_memory(file), tensor);
    return "";
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
}

class BadRecording : public testing::Test {
 protected:
  TraceFile file_ = replay(recorded("torch-default"), {});
  json& meta_ = file_.header["__metadata__"];
};

TEST_F(BadRecording, ANanInTheGradientThatThePeerDidNotSee) {
  const size_t at = file_.header["grad/16x16@2"]["data_offsets"][0];
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(file_.data.data() + at, &nan, 4);
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("state/16x16/col_var@2: element 0 is"));
}
TEST_F(BadRecording, AnUnknownPeerListsTheKnownOnes) {
  meta_["peer"] = "tensorflow";
  EXPECT_THAT(refusal(file_, "16x16"),
              HasSubstr("peer tensorflow: unknown, known: torch, huggingface, came, apollo, fira, optax, rlx, "
                        "torch-adamw, galore, pytorch-optimizer-adafactor, timm-adafactor, timm-adafactor-bv, "
                        "pytorch-optimizer-came, adafactor8bit-0.1, adafactor8bit, plumbline"));
}
TEST_F(BadRecording, AnUnknownOptionListsTheKnownOnes) {
  meta_["options"] = R"({"momentum": 0.9})";
  EXPECT_THAT(
      refusal(file_, "16x16"),
      HasSubstr("peer torch: option momentum: unknown, known: lr, beta2_decay, eps, d, weight_decay, maximize"));
}
TEST_F(BadRecording, AValueOutOfRangeSaysTheRange) {
  meta_["options"] = R"({"lr": -1})";
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("option lr: value -1, valid: [0, inf)"));
}
// A tensor without a gradient does not step; this one did.
TEST_F(BadRecording, AMissingGradient) {
  file_.header.erase("grad/16x16@5");
  const CaseResult result = judge_tensor(in_memory(file_), "16x16");
  EXPECT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(result.first_broken_step, 5);
}
TEST_F(BadRecording, AMissingParameter) {
  file_.header.erase("param/16x16@3");
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("array param/16x16@3 is missing"));
}
TEST_F(BadRecording, AStateThatChangesItsShape) {
  json& entry = file_.header["state/16x16/row_var@4"];
  entry["shape"] = {15};
  entry["data_offsets"][1] = entry["data_offsets"][0].get<size_t>() + 60;
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("state/16x16/row_var@4 has 15 values: expected 16"));
}
TEST_F(BadRecording, AStateThatTheDialectDoesNotHave) {
  file_.header["state/16x16/exp_avg@4"] = file_.header["state/16x16/row_var@4"];
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("exp_avg@4: the dialect has no such slot, known: row_var, col_var"));
}
TEST_F(BadRecording, AStateToStartFromThatIsNotANewOptimizers) {
  const json later = file_.header["state/16x16/row_var@2"];
  file_.header["state/16x16/row_var@0"] = later;
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("state/16x16/row_var@0: element 0 is"));
  EXPECT_THAT(refusal(file_, "16x16"), HasSubstr("expected 0, the state of a new optimizer"));
  file_.header.erase("state/16x16/row_var@0");
  file_.add("state/16x16/row_var@0", "F32", {16, 1}, std::string(64, '\0'));
  EXPECT_EQ(judge_tensor(in_memory(file_), "16x16").verdict, Verdict::pass);
}
TEST_F(BadRecording, AnUnknownTensorListsTheKnownOnes) {
  EXPECT_THAT(refusal(file_, "17x17"), HasSubstr("no tensor '17x17': expected one of 1, 16x16, "));
}
TEST(BadRecordings, AProjectionThatIsNotRecorded) {
  TraceFile file = replay(recorded("apollo-svd"), {});
  file.header.erase("projection/16x16@1");
  EXPECT_THAT(refusal(file, "16x16"), HasSubstr("projection/16x16@1 is missing"));
}

// --- as a problem ---

TEST(RecordedRun, PrintsAndParsesItself) {
  for (const RecordedRun& run :
       {RecordedRun{"a b.safetensors", "layer 0/100%", DType::bfloat16, true}, RecordedRun{"mine.safetensors", "w"}}) {
    EXPECT_EQ(parse_recorded_run(to_string(run)), run) << to_string(run);
    EXPECT_EQ(std::get<RecordedRun>(parse_any_problem(to_string(run))), run);
  }
  EXPECT_EQ(to_string(RecordedRun{"a b", "c"}), "recorded trace=a%20b tensor=c");
  for (const char* line : {"recorded tensor=x", "recorded trace=x tensor=y arithmetic=f31",
                           "recorded trace=x tensor=y shape=3", "recorded trace=x trace=x tensor=y",
                           "recorded trace=%zz tensor=y", "recorded trace=x tensor=y subnormals=lost"})
    EXPECT_THROW(parse_recorded_run(line), InputError) << line;
}

TEST(RecordedRun, EveryTensorOfATraceIsPlanned) {
  const std::string file = fs::path(CONFORMANCE_FOLDER) / "rlx-eps.safetensors";
  const auto cases = plan_recorded({file}, DType::float64);
  ASSERT_EQ(cases.size(), recorded("rlx-eps").tensors().size());
  EXPECT_EQ(cases.front().suite, "rlx");
  EXPECT_EQ(std::get<RecordedRun>(cases.front().problem).arithmetic, DType::float64);
  EXPECT_TRUE(cases.front().record_drift);
  // What cannot be read is a case that says so; where nothing else is there, the run is refused.
  const auto unreadable = plan_recorded({"/nonexistent.safetensors", file});
  EXPECT_EQ(unreadable.size(), cases.size() + 1);
  EXPECT_NO_THROW(refuse_unless_one_can_be_judged(unreadable));
  EXPECT_THROW(refuse_unless_one_can_be_judged(plan_recorded({"/nonexistent.safetensors"})), InputError);
}

}  // namespace
}  // namespace plumbline::harness
