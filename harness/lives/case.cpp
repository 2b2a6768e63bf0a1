#include "harness/lives/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "harness/case_evidence.h"
#include "harness/checksum.h"
#include "harness/error.h"
#include "harness/judge.h"
#include "harness/lives/subject.h"
#include "harness/observed.h"
#include "harness/step_judge.h"
#include "harness/stopwatch.h"

namespace plumbline::harness {
namespace {

class LifeRun {
 public:
  LifeRun(const Life& life, const OffersLives& subject, const OffersLives* twin) : life_(life) {
    std::vector<std::vector<std::byte>> parameters;
    for (int i = 0; i < tensors(); ++i) {
      now_.push_back(life.problem(i));
      judges_.emplace_back(now_.back());
      parameters.push_back(judges_.back().initial_parameter());
    }
    session_ = subject.begin(life, parameters);
    if (twin) twin_ = twin->begin(life, parameters);
    read_arithmetic();
  }

  // Ends with the first excess: what comes after it follows from it.
  void run() {
    for (const LifeCommand& command : life_.commands) {
      ++done_;
      if (command.act == Act::step)
        for (int64_t i = 0; i < command.count && !broken(); ++i) step(-1);
      else if (command.act == Act::nonfinite)
        step(command.group);
      else
        operate(command);
      if (broken()) return;
    }
  }

  void finish(CaseResult& out) const {
    std::map<Quantity, QuantityResult> quantities;
    bool judged = false;
    for (int i = 0; i < tensors(); ++i) {
      CaseResult of;
      judges_[size_t(i)].finish(of);
      for (const QuantityResult& q : of.quantities) merge(quantities, q);
      judged |= of.verdict != Verdict::vacuous;
      if (of.verdict != Verdict::fail || out.verdict == Verdict::fail) continue;
      out.verdict = Verdict::fail;
      out.first_broken = of.first_broken;
      out.first_broken_step = of.first_broken_step;
      out.window = of.window;
      out.reason = fmt::format("tensor {} after command {} of {} ({}): {}", i, done_, life_.commands.size(),
                               to_string(life_.commands[done_ - 1].act), of.reason);
    }
    if (twin_bits_.touched()) merge(quantities, twin_bits_.result());
    if (twin_bits_.broken() && out.verdict != Verdict::fail) {
      out.verdict = Verdict::fail;
      out.first_broken = Quantity::twin_bits;
      out.first_broken_step = twin_bits_.first_broken_step();
      out.reason = fmt::format("tensor {} after command {} of {} ({}): {} words that are not the twin's",
                               twin_bits_.result().worst.index, done_, life_.commands.size(),
                               to_string(life_.commands[done_ - 1].act), twin_bits_.result().worst.got);
    }
    if (out.verdict == Verdict::pass && !judged) {
      out.verdict = Verdict::vacuous;
      out.reason = "of no tensor could any step have failed";
    }
    for (auto& [quantity, result] : quantities) out.quantities.push_back(std::move(result));
    for (int a = 0; a < kActs; ++a)
      if (const auto act = static_cast<Act>(a);
          std::any_of(life_.commands.begin(), life_.commands.end(), [&](const LifeCommand& c) { return c.act == act; }))
        out.options.push_back({fmt::format("act={}", to_string(act)), true});
    out.bits = bits_.value();
    out.times = times_;
  }

 private:
  int tensors() const { return int(life_.tensors.size()); }
  bool broken() const {
    return twin_bits_.broken() ||
           std::any_of(judges_.begin(), judges_.end(), [](const StepJudge& judge) { return judge.broken(); });
  }
  void read_arithmetic() {
    for (int i = 0; i < tensors(); ++i) judges_[size_t(i)].set_arithmetic(session_->arithmetic(i));
  }

  void step(int poisoned) {
    ++step_;
    std::vector<std::span<const std::byte>> gradients;
    for (int i = 0; i < tensors(); ++i) gradients.push_back(judges_[size_t(i)].gradient(step_, i == poisoned));
    times_.generate += watch_.lap();
    session_->step(gradients);
    if (twin_) twin_->step(gradients);
    observe();
    times_.subject += watch_.lap();
    for (StepJudge& judge : judges_) judge.judge_step(step_);
    times_.compare += watch_.lap();
  }

  // Every tensor's, and the twin's beside it.
  void observe() {
    for (int i = 0; i < tensors(); ++i) {
      Observation& seen = judges_[size_t(i)].observed();
      session_->observe(i, seen);
      add_bits(seen, bits_);
      if (!twin_) continue;
      Observation twin;  // anew: what a tensor does not show stays as it was
      twin_->observe(i, twin);
      twin_bits_.element(step_, i, double(differing_words(seen, twin)), 0, 0);
    }
  }

  void operate(const LifeCommand& command) {
    if (command.act == Act::multiplier) multiplier_ = float(command.value);
    if (command.act == Act::scale) {
      const float inverse = 1 / float(command.value);
      constexpr float kLargest = std::numeric_limits<float>::max();
      const bool usable = command.value > 0 && command.value <= kLargest && inverse <= kLargest;
      scale_ = usable ? inverse : std::numeric_limits<float>::quiet_NaN();
    }
    if (command.act == Act::unscale) scale_.reset();
    for (int i = 0; i < tensors(); ++i) {
      Problem& p = now_[size_t(i)];
      p.gradient_scale = scale_.value_or(multiplier_);
      if (life_.tensors[size_t(i)].group != command.group) continue;
      if (command.act == Act::lr) p.options.lr = command.value;
      if (command.act == Act::precision) keep_as(command.precision, p);
    }
    session_->act(command, now_);
    // a stream or a graph is a GPU's, and changes nothing
    if (twin_ && command.act != Act::stream && command.act != Act::graph) twin_->act(command, now_);
    read_arithmetic();
    observe();
    for (int i = 0; i < tensors(); ++i) {
      const int64_t before = judges_[size_t(i)].clock(), seen = judges_[size_t(i)].observed().steps_taken;
      if (command.act == Act::clock && seen != (before > 0 ? command.count : 0))
        throw std::runtime_error(fmt::format("tensor {}: t is {}: expected {}", i, seen, command.count));
      judges_[size_t(i)].judge_kept(step_, now_[size_t(i)], kept(command, i));
    }
    times_.compare += watch_.lap();
  }
  Kept kept(const LifeCommand& command, int tensor) const {
    if (command.act == Act::decoded) return Kept::values;
    if (command.act == Act::clock) return Kept::codes;
    return command.act == Act::precision && life_.tensors[size_t(tensor)].group == command.group ? Kept::values
                                                                                                 : Kept::bits;
  }

  static void merge(std::map<Quantity, QuantityResult>& into, const QuantityResult& q) {
    const auto [known, is_new] = into.emplace(q.quantity, q);
    if (is_new) return;
    QuantityResult& sum = known->second;
    if (q.worst.ratio > sum.worst.ratio) sum.worst = q.worst;
    sum.ratios.merge(q.ratios);
    sum.outside += q.outside;
    sum.unbounded += q.unbounded;
  }

  const Life& life_;
  std::vector<Problem> now_;  // of every tensor, as it stands
  std::vector<StepJudge> judges_;
  std::unique_ptr<LifeSession> session_, twin_;
  float multiplier_ = 1;
  std::optional<float> scale_;  // fl(1/scale) of a scaled loss
  int64_t step_ = 0;            // of the data
  size_t done_ = 0;             // commands begun
  QuantityJudge twin_bits_{Quantity::twin_bits};
  Checksum bits_;
  CaseTimes times_;
  Stopwatch watch_;
};

}  // namespace

CaseResult run_case(const Life& life, const Subject& subject, const CaseOptions& options) {
  CaseResult result;
  result.line = to_string(life);
  result.suite = options.suite;
  result.subject = subject.name();
  validate(life);
  result.elements = life.elements();
  result.steps = life.steps();
  const auto skip = [&](std::string why) {
    result.verdict = Verdict::skipped;
    result.reason = std::move(why);
    return result;
  };
  const auto* offers = dynamic_cast<const OffersLives*>(&subject);
  if (offers == nullptr) return skip("the subject offers no lives");
  for (const LifeCommand& command : life.commands)
    if (!offers->offers(command.act)) return skip(fmt::format("the subject has no {}", to_string(command.act)));
  for (int i = 0; i < int(life.tensors.size()); ++i)
    if (const std::string why = subject.cannot_run(life.problem(i)); !why.empty()) return skip(why);
  try {
    LifeRun run(life, *offers, dynamic_cast<const OffersLives*>(options.twin));
    run.run();
    run.finish(result);
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& e) {
    result.verdict = Verdict::error;
    result.reason = e.what();
  }
  return result;
}

}  // namespace plumbline::harness
