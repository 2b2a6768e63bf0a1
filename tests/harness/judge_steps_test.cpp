// The judge over steps that no file holds: the host twin live, in plumbline's own rule, and trainings whose options
// change, whose steps are skipped and whose gradients are missing.
#include "harness/judge_steps.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "harness/data.h"
#include "harness/error.h"
#include "harness/peer.h"
#include "harness/recorded.h"
#include "harness/slots.h"
#include "harness/subject.h"
#include "reference/dialects/plumbline.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;
using reference::Tensor;
using reference::Vector;
using testing::HasSubstr;

// Steps in memory.
class MadeSteps : public Steps {
 public:
  StepsHead made;
  std::vector<StepShown> all;
  const StepsHead& head() const override { return made; }
  const StepShown& step(int64_t t) override { return all.at(size_t(t - 1)); }
};

json option_json(const std::string& text) {
  json value = json::parse(text, nullptr, false);
  return value.is_discarded() ? json(text) : value;
}

// A problem of production's own, run by a subject that is asked for nothing but what it shows.
MadeSteps live(const std::string& line, const char* subject = "host") {
  const Problem problem = parse_problem(line);
  MadeSteps out;
  out.made.where = subject;
  out.made.tensor = "w";
  out.made.peer = "plumbline";
  json options = json::object();
  for (const auto& row : reference::option_table<reference::PlumblineOptions>())
    options[row.name] = option_json(reference::get_option(problem.options, row.name));
  out.made.options = options.dump();
  out.made.shape = problem.shape;
  out.made.steps = problem.steps;
  out.made.parameter = problem.parameter;
  const DataSource source(problem);
  Realized parameter, gradient;
  source.initial_parameter(parameter);
  out.made.start = parameter.values;
  const auto session = make_subject(subject)->start(problem, parameter.bytes);
  Observation shown;
  for (int64_t t = 1; t <= problem.steps; ++t) {
    source.gradient(t, gradient);
    session->step(gradient.bytes, shown);
    StepShown step;
    step.gradient = gradient.values;
    step.parameter = Tensor(problem.shape);
    load(problem.parameter, shown.parameter.data(), {step.parameter.data.data(), size_t(step.parameter.size())});
    for (const SlotState& slot : shown.state) {
      if (t == 1) out.made.slots.push_back({info(slot.slot).name, DType::float32});
      Vector values(slot.count);
      load(DType::float32, slot.values.data(), {values.data(), size_t(slot.count)});
      step.state.push_back({true, values});
    }
    if (shown.previous_norm) {
      if (t == 1) out.made.slots.push_back({"previous_norm", DType::float64});
      step.state.push_back({true, Vector::Constant(1, *shown.previous_norm)});
    }
    out.all.push_back(std::move(step));
  }
  out.made.state.resize(out.made.slots.size());
  return out;
}

// The same as a file.
TraceFile as_trace(const MadeSteps& steps) {
  TraceFile file;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape, const Vector& values, DType type) {
    std::string bytes(size_t(values.size()) * size_of(type), '\0');
    store(type, {values.data(), size_t(values.size())}, reinterpret_cast<std::byte*>(bytes.data()));
    file.add(name, type == DType::float64 ? "F64" : type == DType::float32 ? "F32" : "BF16", shape, bytes);
  };
  json& meta = file.header["__metadata__"];
  meta["peer"] = steps.made.peer;
  meta["options"] = steps.made.options;
  meta["steps"] = std::to_string(steps.made.steps);
  meta["tensors"] = json{{"w", {{"shape", steps.made.shape}}}}.dump();
  add("param/w@0", steps.made.shape, steps.made.start.data, steps.made.parameter);
  for (size_t t = 1; t <= steps.all.size(); ++t) {
    const StepShown& shown = steps.all[t - 1];
    add(fmt::format("param/w@{}", t), steps.made.shape, shown.parameter.data, steps.made.parameter);
    add(fmt::format("grad/w@{}", t), steps.made.shape, shown.gradient->data, DType::float32);
    for (size_t k = 0; k < shown.state.size(); ++k)
      add(fmt::format("state/w/{}@{}", steps.made.slots[k].name, t), {shown.state[k].values.size()},
          shown.state[k].values, steps.made.slots[k].type);
  }
  return file;
}

const std::vector<std::string>& own_problems() {
  static const std::vector<std::string> lines = [] {
    std::vector<std::string> out;
    for (const char* options :
         {"", "weight_decay=0.1", "maximize=true weight_decay=0.1 weight_decay_by=lr", "relative_step=true", "clip=0",
          "clip=0.5 scale_parameter=false", "beta2=0.999", "factored=false", "beta1=0.9", "beta1=0.9 beta2=0.99",
          "beta1=0.9 momentum_of=update", "beta1=0.9 momentum_of=update beta3=0.999 eps_came=1e-16",
          "limiter_margin=0.01", "param=bf16", "eps1=1e-5", "projection_rank=4",
          "projection_rank=4 projection_scale_by=tensor projection_scale=4",
          "projection_rank=4 projection_factored=true projection_refresh=2 beta1=0.9 limiter_margin=0.01"})
      for (const char* shape : {"12x20", "8x3x5", "33"})
        out.push_back(fmt::format("shape={} {} storage=fp32 momentum_storage=fp32 steps=6 seed={}", shape, options,
                                  out.size() + 1));
    return out;
  }();
  return lines;
}

TEST(OwnRule, TheHostTwinPassesByBoundsOfAnyOrder) {
  int passed = 0;
  for (const std::string& line : own_problems()) {
    MadeSteps steps = live(line);
    const CaseResult result = judge_steps(steps);
    EXPECT_TRUE(result.verdict == Verdict::pass || result.verdict == Verdict::vacuous) << line << ": " << result.reason;
    passed += result.verdict == Verdict::pass;
  }
  EXPECT_GE(passed, int(own_problems().size()) - 2);
}

TEST(OwnRule, ARecordingOfTheTwinIsJudgedAsTheTwinIs) {
  for (size_t i = 0; i < own_problems().size(); i += 5) {
    MadeSteps steps = live(own_problems()[i]);
    const CaseResult alive = judge_steps(steps);
    const Trace trace(SafeTensors::parse(as_bytes(as_trace(steps).bytes()), "twin"));
    const CaseResult recorded = judge_recorded(trace, {"twin", "w"});
    EXPECT_EQ(recorded.verdict, alive.verdict) << recorded.reason;
    ASSERT_EQ(recorded.quantities.size(), alive.quantities.size());
    for (size_t q = 0; q < alive.quantities.size(); ++q)
      EXPECT_EQ(recorded.quantities[q].ratios.largest, alive.quantities[q].ratios.largest) << own_problems()[i];
  }
}

TEST(OwnRule, WrongOptionsFail) {
  for (const auto& [options, wrong] : std::map<std::string, std::pair<const char*, json>>{
           {"weight_decay=0.1", {"weight_decay", 0.101}},
           {"beta2=0.999", {"beta2", 0.9991}},
           {"beta1=0.9", {"beta1", 0.9001}},
           {"beta1=0.9 momentum_of=update beta3=0.999 eps_came=1e-16", {"beta3", 0.9991}},
           {"limiter_margin=0.01", {"limiter_margin", 0.0101}},
           {"projection_rank=4", {"projection_seed", 1}},
           {"eps1=1e-5", {"eps1", 1e-4}}}) {
    MadeSteps steps = live("shape=12x20 " + options + " storage=fp32 momentum_storage=fp32 steps=6 seed=3");
    json given = json::parse(steps.made.options);
    given[wrong.first] = wrong.second;
    steps.made.options = given.dump();
    const CaseResult result = judge_steps(steps);
    EXPECT_EQ(result.verdict, Verdict::fail) << options << ": " << result.reason;
  }
}

// --- what happens in a training ---

// The rule of torch in double, with what the caller makes of each step before it is taken.
struct Training {
  MadeSteps steps;
  Training() {
    steps.made.where = "made";
    steps.made.tensor = "w";
    steps.made.peer = "torch";
    steps.made.options = R"({"lr": 0.01, "weight_decay": 0.1})";
    steps.made.shape = {5, 7};
    steps.made.parameter = DType::float64;
    steps.made.slots = {{"row_var", DType::float64}, {"col_var", DType::float64}};
    steps.made.state.resize(2);
    std::mt19937_64 random(7);
    std::normal_distribution<double> normal;
    steps.made.start = Tensor(steps.made.shape);
    for (double& x : steps.made.start.data) x = normal(random);
    for (int t = 1; t <= 6; ++t) {
      StepShown shown;
      shown.gradient = Tensor(steps.made.shape);
      for (double& x : shown.gradient->data) x = normal(random);
      steps.all.push_back(std::move(shown));
    }
    steps.made.steps = 6;
  }
  void run() {
    std::string options = steps.made.options;
    reference::Optimizer optimizer = make_reference(steps.made);
    Tensor p = steps.made.start;
    for (StepShown& shown : steps.all) {
      if (!shown.options.empty()) {
        options = changed_options(steps.made, options, shown.options);
        continue_as(make_reference(steps.made, options), optimizer);
      }
      if (shown.stepped()) optimizer.step(p, *shown.gradient);
      shown.parameter = p;
      shown.state = {{true, optimizer.state(reference::Slot::row)->data},
                     {true, optimizer.state(reference::Slot::col)->data}};
    }
  }
  CaseResult judged() { return judge_steps(steps); }
};

TEST(JudgeSteps, OptionsThatChangeAreFollowed) {
  Training training;
  for (size_t t = 0; t < 6; ++t) training.steps.all[t].options = fmt::format(R"({{"lr": {}}})", 0.001 * double(t + 1));
  training.run();
  EXPECT_EQ(training.judged().verdict, Verdict::pass) << training.judged().reason;
  for (StepShown& shown : training.steps.all) shown.options.clear();
  const CaseResult unsaid = training.judged();
  EXPECT_EQ(unsaid.verdict, Verdict::fail);
  EXPECT_EQ(unsaid.first_broken, Quantity::parameter);
  training.steps.all[2].options = "[]";
  EXPECT_THROW(training.judged(), InputError);
}

TEST(JudgeSteps, AStepThatIsSkippedLeavesAllAndTheClockToo) {
  Training training;
  training.steps.all[2].skipped = true;
  training.run();
  EXPECT_EQ(training.judged().verdict, Verdict::pass) << training.judged().reason;
  training.steps.all[2].skipped = false;
  EXPECT_EQ(training.judged().verdict, Verdict::fail) << "unsaid";
  training.steps.all[2].skipped = true;
  training.steps.all[2].parameter.data[3] *= 1 + 0x1p-52;
  EXPECT_EQ(training.judged().first_broken_step, 3) << "it moved";
}

TEST(JudgeSteps, ATensorWithoutGradientDoesNotStep) {
  Training training;
  training.steps.all[0].gradient.reset();
  training.steps.all[4].gradient.reset();
  training.run();
  EXPECT_EQ(training.judged().verdict, Verdict::pass) << training.judged().reason;
  training.steps.all[4].state[0].values[1] *= 0.999;
  const CaseResult moved = training.judged();
  EXPECT_EQ(moved.first_broken, Quantity::row);
  EXPECT_EQ(moved.first_broken_step, 5);
}

TEST(JudgeSteps, ARunMayBeginAtACheckpoint) {
  Training whole;
  whole.run();
  Training rest;
  rest.steps.made.clock = 2;
  rest.steps.made.steps = 4;
  rest.steps.made.start = whole.steps.all[1].parameter;
  rest.steps.made.state = whole.steps.all[1].state;
  rest.steps.all.assign(whole.steps.all.begin() + 2, whole.steps.all.end());
  EXPECT_EQ(rest.judged().verdict, Verdict::pass) << rest.judged().reason;
  rest.steps.made.clock = 1;
  EXPECT_EQ(rest.judged().verdict, Verdict::fail);
  rest.steps.made.clock = 0;
  EXPECT_THROW(rest.judged(), InputError);
}

// --- could it have failed? ---

TEST(JudgeSteps, OfZerosNothingComesAndThatIsRight) {
  Training training;
  training.steps.made.options = R"({"lr": 0.01})";
  for (StepShown& shown : training.steps.all) shown.gradient->data.setZero();
  training.run();
  EXPECT_EQ(training.judged().verdict, Verdict::pass) << training.judged().reason;
  training.steps.all[3].parameter.data[0] += 0x1p-50;
  EXPECT_EQ(training.judged().verdict, Verdict::fail);
}

TEST(JudgeSteps, AnOptionThatShowsNowhereIsNotProved) {
  const auto proof = [](const CaseResult& result, const std::string& option) {
    for (const CaseResult::Proof& p : result.proofs)
      if (p.option == option) return p.proved;
    ADD_FAILURE() << option << " is not among the proofs";
    return false;
  };
  Training training;
  training.steps.made.options = R"({"lr": 0.02, "weight_decay": 0.1, "beta2_decay": -0.8, "d": 1000.0})";
  training.run();
  const CaseResult result = training.judged();
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  EXPECT_TRUE(proof(result, "lr=0.02"));
  EXPECT_TRUE(proof(result, "weight_decay=0.1"));
  EXPECT_EQ(result.proofs.size(), 3u) << "beta2_decay has its default";
  // In bfloat16 a decay of lr * 0.1 = 2e-6 of the parameter is no bit of it.
  Training coarse;
  coarse.steps.made.options = R"({"lr": 2e-5, "weight_decay": 0.1, "eps": [null, 300.0]})";
  coarse.steps.made.parameter = DType::bfloat16;
  coarse.steps.made.slots.clear();
  coarse.steps.made.state.clear();
  for (double& x : coarse.steps.made.start.data) x = round_to(DType::bfloat16, x);
  coarse.run();
  Tensor before = coarse.steps.made.start;
  for (StepShown& shown : coarse.steps.all) {
    shown.state.clear();
    for (int64_t i = 0; i < before.size(); ++i)  // the step without the decay
      shown.parameter.data[i] = round_to(DType::bfloat16, shown.parameter.data[i]);
  }
  EXPECT_FALSE(proof(coarse.judged(), "weight_decay=0.1"));
}

// Every element of the parameter has an infinite bound: nothing was judged.
TEST(JudgeSteps, AParameterWithoutABoundIsNoPass) {
  Training training;
  training.steps.made.parameter = DType::float32;
  training.steps.made.options = R"({"eps": [0.0, 0.001]})";
  training.steps.made.slots.clear();
  training.steps.made.state.clear();
  for (double& x : training.steps.made.start.data) x = double(float(x));
  for (size_t t = 0; t < 6; ++t)  // averages that underflow: nothing bounds what is divided by their root
    for (double& x : training.steps.all[t].gradient->data) x = double(float(x * 0x1p-75));
  training.run();
  for (StepShown& shown : training.steps.all) {
    shown.state.clear();
    for (double& x : shown.parameter.data) x = double(float(x));
  }
  const CaseResult result = training.judged();
  EXPECT_NE(result.verdict, Verdict::pass);
  uint64_t unbounded = 0;
  for (const QuantityResult& q : result.quantities)
    if (q.quantity == Quantity::parameter) unbounded = q.unbounded;
  EXPECT_EQ(unbounded, 6u * 35);
}

TEST(JudgeSteps, StateOfAnotherSizeIsRefused) {
  Training training;
  training.run();
  training.steps.all[3].state[1].values.conservativeResize(6);
  try {
    training.judged();
    FAIL();
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("made: state/w/col_var@4 has 6 values: expected 7"));
  }
}

}  // namespace
}  // namespace plumbline::harness
