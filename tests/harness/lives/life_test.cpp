// Lives: their line, their judge, and the faults of an optimizer's life that no single case has.
#include "harness/lives/life.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "harness/error.h"
#include "harness/family.h"
#include "harness/lives/case.h"
#include "harness/lives/subject.h"
#include "properties/lives.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

constexpr const char* kLine =
    "life seed=7 / group storage=al16 lr=0.02 weight_decay=0.5 min_quantized_size=1 / group momentum_storage=uf8 "
    "min_quantized_size=1 lr=0.003 beta1=0.9 / tensor shape=8x9 / tensor group=1 shape=6x5 / tensor group=1 shape=12 / "
    "step 2 / lr group=1 0.3 / scale 1024 / step / unscale / resume / step / precision group=1 storage=fp32 "
    "min_quantized_size=1 / raw / decoded / clock 100000 / step";

TEST(Life, PrintsAndParsesItself) {
  const Life life = parse_life(kLine);
  EXPECT_EQ(life.groups.size(), 2u);
  EXPECT_EQ(life.tensors.size(), 3u);
  EXPECT_EQ(life.steps(), 5);
  EXPECT_EQ(life.elements(), 114);
  EXPECT_EQ(parse_life(to_string(life)), life);
  EXPECT_EQ(family_of(parse_any_problem(kLine)), std::string("life"));
  for (int i = 0; i < 300; ++i) {
    const Life drawn = properties::generate_life(3, i, 700, true);
    ASSERT_EQ(parse_life(to_string(drawn)), drawn) << to_string(drawn);
  }
}

std::string refusal(const std::string& line) {
  try {
    validate(parse_life(line));
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Life, NamesWhatItDoesNotTake) {
  EXPECT_THAT(refusal("life sed=1"), HasSubstr("expected life seed=<number>"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor shape=3 / jump"), HasSubstr("'jump': expected group, tensor"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor shape=3 / clock x"), HasSubstr("a number in place of 'x'"));
  EXPECT_THAT(refusal("life seed=1 / tensor shape=3 / step"), HasSubstr("0 groups, 1 tensors"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor shape=3 / raw"), HasSubstr("0 steps"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor group=1 shape=3 / step"), HasSubstr("group 1: expected 0 to 0"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor shape=3 / step / clock 0"), HasSubstr("clock 0: expected 1"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor shape=3 / step / multiplier -1"), HasSubstr("multiplier -1"));
  EXPECT_THAT(refusal("life seed=1 / group / tensor shape=3 / step / nonfinite tensor=1"), HasSubstr("tensor 1"));
}

TEST(Life, OfTheHostTwinIsWithinEveryBound) {
  const auto host = make_subject("host");
  const CaseResult result = run_case(parse_life(kLine), *host);
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  EXPECT_NE(result.bits, 0u);
}

TEST(Life, OfTheEmulatorHasTheTwinsWords) {
  const auto host = make_subject("host"), emulator = make_subject("emulator");
  CaseOptions options;
  options.twin = host.get();
  const CaseResult result = run_case(parse_life(kLine), *emulator, options);
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
}

// A subject whose operations are at fault.
class Faulty final : public Subject, public OffersLives {
 public:
  // What becomes of a command, and of what is shown of a tensor.
  using Change = std::function<void(LifeCommand&)>;
  using Show = std::function<void(int tensor, Observation&)>;
  explicit Faulty(Change change, Show show = {}) : change_(std::move(change)), show_(std::move(show)) {}
  std::string name() const override { return "faulty"; }
  std::string cannot_run(const Problem&) const override { return {}; }
  std::unique_ptr<Session> start(const Problem& p, std::span<const std::byte> x) const override {
    return host_->start(p, x);
  }
  bool offers(Act act) const override { return lives().offers(act); }
  std::unique_ptr<LifeSession> begin(const Life& life,
                                     std::span<const std::vector<std::byte>> parameters) const override {
    return std::make_unique<Living>(lives().begin(life, parameters), *this);
  }

 private:
  const OffersLives& lives() const { return dynamic_cast<const OffersLives&>(*host_); }
  struct Living final : LifeSession {
    Living(std::unique_ptr<LifeSession> right_one, const Faulty& how) : right(std::move(right_one)), fault(how) {}
    void step(std::span<const std::span<const std::byte>> gradients) override { right->step(gradients); }
    void observe(int tensor, Observation& out) override {
      right->observe(tensor, out);
      if (fault.show_) fault.show_(tensor, out);
    }
    Arithmetic arithmetic(int tensor) const override { return right->arithmetic(tensor); }
    void act(const LifeCommand& command, std::span<const Problem> now) override {
      LifeCommand changed = command;
      fault.change_(changed);
      right->act(changed, now);
    }
    std::unique_ptr<LifeSession> right;
    const Faulty& fault;
  };
  std::unique_ptr<Subject> host_ = make_subject("host");
  Change change_;
  Show show_;
};

CaseResult live_with(Faulty::Change change, Faulty::Show show = {}) {
  const Faulty faulty(std::move(change), std::move(show));
  return run_case(parse_life(kLine), faulty);
}

TEST(Life, OperationsAtFaultAreNoticedWhereTheyShow) {
  const auto expect_red = [](const CaseResult& result, const char* says) {
    EXPECT_EQ(result.verdict, Verdict::fail);
    EXPECT_THAT(result.reason, HasSubstr(says));
  };
  // the lr of the second group goes to the first
  expect_red(live_with([](LifeCommand& c) { c.group = c.act == Act::lr ? 0 : c.group; }),
             "tensor 0 after command 4 of 12");
  // a scale that stays
  expect_red(live_with([](LifeCommand& c) { c.act = c.act == Act::unscale ? Act::raw : c.act; }),
             "after command 7 of 12");
  // a precision of both groups' storage but the wrong one's
  EXPECT_EQ(live_with([](LifeCommand& c) { c.group = c.act == Act::precision ? 0 : c.group; }).verdict, Verdict::error);
  // a multiplier in place of a scale: the scale ends, it stays
  expect_red(live_with([](LifeCommand& c) {
               if (c.act == Act::scale) c = {Act::multiplier, 1, 0, 1.0 / 1024, {}};
             }),
             "after command 7 of 12");
  // an import that loses a bit of the second group's momentum
  bool imported = false;
  expect_red(live_with([&](LifeCommand& c) { imported = c.act == Act::raw; },
                       [&](int tensor, Observation& out) {
                         if (imported && tensor == 1) out.state.back().values[0] ^= std::byte(1);
                       }),
             "tensor 1 after command 9 of 12 (raw)");
}

TEST(Life, OfASubjectWithoutOperationsIsSkipped) {
  class None final : public Subject {
    std::string name() const override { return "none"; }
    std::string cannot_run(const Problem&) const override { return {}; }
    std::unique_ptr<Session> start(const Problem&, std::span<const std::byte>) const override { return nullptr; }
  };
  EXPECT_EQ(run_case(parse_life(kLine), None()).verdict, Verdict::skipped);
  const auto host = make_subject("host");
  const CaseResult streamed = run_case(parse_life("life seed=1 / group / tensor shape=3 / stream / step"), *host);
  EXPECT_EQ(streamed.verdict, Verdict::skipped);
  EXPECT_THAT(streamed.reason, HasSubstr("no stream"));
}

TEST(Life, DrawnOnesMeetEveryActAndHold) {
  const auto host = make_subject("host");
  std::map<Act, int> met;
  int vacuous = 0;
  for (int i = 0; i < 2 * kActs; ++i) {
    const Life life = properties::generate_life(11, i, 700, false);
    for (const LifeCommand& c : life.commands) ++met[c.act];
    const CaseResult result = run_case(life, *host);
    EXPECT_TRUE(result.verdict == Verdict::pass || result.verdict == Verdict::vacuous) << to_string(life) << "\n"
                                                                                       << result.reason;
    vacuous += result.verdict == Verdict::vacuous;
  }
  EXPECT_EQ(met.size(), size_t(kActs - 2));  // streams and graphs are a GPU's
  EXPECT_EQ(vacuous, 0);
}

TEST(Life, ShrinksToFewerTensorsAndCommands) {
  const Life life = parse_life(kLine);
  const std::vector<Life> tried = properties::smaller(life);
  EXPECT_TRUE(std::any_of(tried.begin(), tried.end(), [](const Life& l) { return l.tensors.size() == 2; }));
  EXPECT_TRUE(std::any_of(tried.begin(), tried.end(), [](const Life& l) { return l.commands.size() == 6; }));
  EXPECT_TRUE(std::none_of(tried.begin(), tried.end(), [&](const Life& l) { return l == life; }));
}

}  // namespace
}  // namespace plumbline::harness
