#include "harness/live/subject.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/checksum.h"
#include "harness/error.h"
#include "harness/stopwatch.h"
#include "reference/dialects/dialect.h"

namespace plumbline::harness::live {
namespace {

using nlohmann::json;

constexpr int64_t kMostState = int64_t{1} << 36;
constexpr size_t kMostArrays = 4096;

size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

// The tensors of the problem's session, the one that is judged last: others are a little longer, and have data of their
// own.
std::vector<LiveProblem> tensors_of(const LiveProblem& p) {
  std::vector<LiveProblem> out;
  for (int64_t k = 0; k < p.beside; ++k) {
    LiveProblem other = p;
    if (!other.shape.empty()) other.shape.back() += k + 1;
    other.seed = p.seed + 1000003 * uint64_t(k + 1);
    out.push_back(std::move(other));
  }
  out.push_back(p);
  return out;
}

// Where parameters, gradients and state of a session lie in the shared memory.
struct Layout {
  explicit Layout(const std::vector<LiveProblem>& tensors) {
    size_t at = size_t(kTextCapacity);
    for (const LiveProblem& p : tensors) {
      const auto n = size_t(p.elements());
      parameter.push_back(at);
      gradient.push_back(at + padded(n * size_of(p.parameter)));
      at = gradient.back() + padded(n * size_of(p.gradient));
      bytes += padded(3 * n * 8 + 4096);  // most rules need no more than two numbers an element
    }
    state = at;
    bytes += at;
  }
  std::vector<size_t> parameter, gradient;
  size_t state = 0, bytes = 0;
};

// The options as the subject is given them.
json options_for(const LiveProblem& problem, const LiveFault& fault) {
  json options = json::parse(problem.options);
  if (!fault.option.empty()) options[fault.option] = json::parse(fault.value);
  return options;
}

void multiply(DType type, std::span<std::byte> bytes, double factor) {
  std::vector<double> values(bytes.size() / size_of(type));
  load(type, bytes.data(), values);
  for (double& x : values) x *= factor;
  store(type, values, bytes.data());
}

}  // namespace

// A worker for the time of one run; it goes back unless something was thrown.
class LiveSubject::Lease {
 public:
  explicit Lease(const LiveSubject& subject) : subject_(subject), worker_(subject.acquire()) {}
  WorkerProcess& operator*() { return *worker_; }
  WorkerProcess* operator->() { return worker_.get(); }
  void give_back() {
    const std::lock_guard lock(subject_.mutex_);
    subject_.free_.push_back(std::move(worker_));
  }

 private:
  const LiveSubject& subject_;
  std::unique_ptr<WorkerProcess> worker_;
};

LiveSubject::LiveSubject(std::string name, const LiveOptions& options) : name_(std::move(name)), options_(options) {
  Lease worker(*this);
  capabilities_ = parse_capabilities(worker->description(), name_);
  worker.give_back();
  if (capabilities_.dialect.empty()) capabilities_.dialect = options.dialect;
  if (capabilities_.dialect.empty())
    throw InputError(fmt::format("subject {}: describe() names no dialect: give --dialect", name_));
  if (!options.dialect.empty() && options.dialect != capabilities_.dialect)
    throw InputError(fmt::format("subject {}: describe() says dialect {}: --dialect says {}", name_,
                                 capabilities_.dialect, options.dialect));
  try {
    const reference::Dialect& dialect = reference::find_dialect(capabilities_.dialect);
    const auto rows = dialect.options();
    if (capabilities_.options)
      for (const auto& declared : *capabilities_.options) {
        const std::string& option = declared.first;
        const bool known = std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.name == option; });
        if (!known) reference::option_text::unknown(option, rows);
      }
    for (const auto& [mine, declared] : capabilities_.state) {
      const std::string& slot = declared;
      if (slot != "projection" &&
          std::none_of(dialect.slots.begin(), dialect.slots.end(), [&](const auto& s) { return s.name == slot; }))
        throw std::invalid_argument(fmt::format("state: {}: the dialect {} has no slot {}", mine, dialect.name, slot));
    }
  } catch (const std::invalid_argument& e) {
    throw InputError(fmt::format("subject {}: {}", name_, e.what()));
  }
}

std::unique_ptr<Session> LiveSubject::start(const Problem&, std::span<const std::byte>) const {
  throw std::logic_error("a live subject takes live problems");
}

std::unique_ptr<WorkerProcess> LiveSubject::acquire() const {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      auto worker = std::move(free_.back());
      free_.pop_back();
      return worker;
    }
  }
  return std::make_unique<WorkerProcess>(name_, options_.worker);
}

Message LiveSubject::begin(WorkerProcess& worker, const LiveProblem& problem, const LiveFault& fault) const {
  const std::vector<LiveProblem> tensors = tensors_of(problem);
  const Layout layout(tensors);
  const auto memory = worker.memory(layout.bytes);
  std::memset(memory.data() + kTextCapacity, 0, layout.state - size_t(kTextCapacity));
  json described = json::array();
  for (size_t k = 0; k < tensors.size(); ++k) {
    const LiveInput parameter = initial_parameter(tensors[k]);
    std::memcpy(memory.data() + layout.parameter[k], parameter.bytes.data(), parameter.bytes.size());
    // Every second of the others belongs to a group of its own, at the dialect's defaults.
    described.push_back({{"name", k + 1 == tensors.size() ? "w" : fmt::format("other{}", k)},
                         {"shape", tensors[k].shape},
                         {"parameter", to_string(problem.parameter)},
                         {"gradient", to_string(problem.gradient)},
                         {"group", k + 1 == tensors.size() ? 0 : k % 2},
                         {"parameter_at", layout.parameter[k]},
                         {"gradient_at", layout.gradient[k]}});
  }
  json groups = json::array({options_for(problem, fault)});
  if (problem.beside > 1) groups.push_back(json::object());
  const json text = {{"dialect", problem.dialect},           {"steps", problem.steps}, {"seed", problem.seed},
                     {"alignment", capabilities_.alignment}, {"groups", groups},       {"tensors", described}};
  Message message;
  message.kind = Kind::start;
  return worker.ask(message, text.dump(), "in start()");
}

std::string LiveSubject::ask(const LiveProblem& problem) const {
  Lease worker(*this);
  const Message answer = begin(*worker, problem, {});
  std::string why = answer.status == kCannot ? worker->text(answer) : "";
  Message finish;
  finish.kind = Kind::finish;
  worker->ask(finish, "", "in finish()");
  worker.give_back();
  return why;
}

LiveRun LiveSubject::run(const LiveProblem& problem, const LiveFault& fault, bool reload) const {
  LiveRun run;
  run.start = initial_parameter(problem);
  std::vector<LiveInput> gradients;
  for (int64_t t = 1; t <= problem.steps; ++t) gradients.push_back(gradient_of(problem, t));
  Stopwatch watch;
  Lease worker(*this);
  const std::vector<LiveProblem> tensors = tensors_of(problem);
  const Layout layout(tensors);
  Checksum bits;
  // An answer that ends the run without ending the worker.
  const auto failed = [&](const Message& answer) {
    const std::string why = worker->text(answer);
    Message finish;
    finish.kind = Kind::finish;
    worker->ask(finish, "", "in finish()");
    worker.give_back();
    throw WorkerFault(why);
  };
  const Message started = begin(*worker, problem, fault);
  if (started.status == kCannot) {
    run.cannot = worker->text(started);
    if (run.cannot.empty()) run.cannot = "without a reason";
  } else if (started.status != kOk) {
    failed(started);
  }
  std::vector<LiveState> previous;
  for (int64_t t = 1; run.cannot.empty() && t <= problem.steps; ++t) {
    LiveRun::Step& step = run.steps.emplace_back();
    step.gradient = std::move(gradients[size_t(t - 1)]);
    if (fault.skipped_step == t) {
      step.parameter = t == 1 ? run.start.bytes : run.steps[size_t(t - 2)].parameter;
      if (t > 1) step.state = run.steps[size_t(t - 2)].state;
      continue;
    }
    if (reload && t > 1) {
      Message message;
      message.kind = Kind::reload;
      if (const Message answer = worker->ask(message, "", fmt::format("before step {}", t)); answer.status != kOk)
        failed(answer);
    }
    std::vector<size_t> absent;
    for (size_t k = 0; k < tensors.size(); ++k) {
      const bool judged = k + 1 == tensors.size();
      if (!judged && k % 2 == 1 && t % 2 == 0) absent.push_back(k);
      const LiveInput other = judged ? LiveInput{} : gradient_of(tensors[k], t);
      const std::vector<std::byte>& bytes = judged ? step.gradient.bytes : other.bytes;
      std::memcpy(worker->memory().data() + layout.gradient[k], bytes.data(), bytes.size());
    }
    const std::string text = absent.empty() ? "" : json({{"absent", absent}}).dump();
    Message message;
    message.kind = Kind::step;
    message.t = t;
    message.state_at = int64_t(layout.state);
    Message answer = worker->ask(message, text, fmt::format("in step {}", t));
    if (answer.status == kOk && answer.memory > int64_t(worker->memory().size())) {
      if (answer.memory > kMostState)
        throw WorkerFault(
            fmt::format("shows {} bytes of state in step {}: more than {}", answer.memory, t, kMostState));
      worker->memory(size_t(answer.memory));
      message.kind = Kind::state;
      // The parameter of the step is in the memory already.
      answer = worker->ask(message, "", fmt::format("in step {}", t));
    }
    if (answer.status != kOk) failed(answer);
    const std::byte* parameter = worker->memory().data() + layout.parameter.back();
    step.parameter.assign(parameter, parameter + run.start.bytes.size());
    take_state(*worker, answer, problem, step);
    step.skipped = (answer.skipped >> problem.beside & 1) != 0;
    bits.add(step.parameter);
    for (const LiveState& state : step.state) bits.add(state.bytes);
    if (fault.stale_state) std::swap(previous, step.state);
    if (fault.factor != 1) {
      if (fault.slot.empty()) multiply(problem.parameter, step.parameter, fault.factor);
      for (LiveState& state : step.state)
        if (state.name == fault.slot) multiply(state.type, state.bytes, fault.factor);
    }
  }
  Message finish;
  finish.kind = Kind::finish;
  worker->ask(finish, "", "in finish()");
  worker.give_back();
  run.bits = bits.value();
  run.seconds = watch.lap();
  return run;
}

void LiveSubject::take_state(WorkerProcess& worker, const Message& answer, const LiveProblem& problem,
                             LiveRun::Step& step) const {
  // The worker runs foreign code: nothing that it says is taken for granted.
  const json list = json::parse(worker.text(answer), nullptr, false);
  if (!list.is_array() || list.size() > kMostArrays) throw WorkerFault("shows state that is no list of arrays");
  const reference::Dialect& dialect = reference::find_dialect(problem.dialect);
  const auto memory = worker.memory();
  try {
    for (const json& entry : list) {
      if (entry.at("tensor") != problem.beside) continue;
      LiveState state;
      state.name = entry.at("name");
      if (const auto renamed = capabilities_.state.find(state.name); renamed != capabilities_.state.end())
        state.name = renamed->second;
      const std::string type = entry.at("type");
      const bool known = state.name == "projection" ||
                         std::any_of(dialect.slots.begin(), dialect.slots.end(),
                                     [&](const reference::PeerSlot& slot) { return slot.name == state.name; });
      const bool real = type == "f32" || type == "f64" || type == "bf16" || type == "f16";
      if (!known || !real) {
        const std::lock_guard lock(mutex_);
        if (unjudged_.size() < 64) unjudged_.insert(known ? fmt::format("{} ({})", state.name, type) : state.name);
        continue;
      }
      state.type = parse_dtype(type);
      state.shape = entry.at("shape").get<std::vector<int64_t>>();
      int64_t count = 1;
      for (const int64_t extent : state.shape) {
        if (extent < 0 || (extent > 0 && count > kMostState / extent)) throw WorkerFault("shows an impossible shape");
        count *= extent;
      }
      const int64_t at = entry.at("at");
      const size_t bytes = size_t(count) * size_of(state.type);
      if (at < 0 || size_t(at) > memory.size() || bytes > memory.size() - size_t(at))
        throw WorkerFault(fmt::format("shows state {} outside of the shared memory", state.name));
      state.bytes.assign(memory.data() + at, memory.data() + at + bytes);
      step.state.push_back(std::move(state));
    }
  } catch (const json::exception& e) {
    throw WorkerFault(fmt::format("shows state in no protocol of this version: {}", e.what()));
  }
}

std::vector<std::string> LiveSubject::unjudged_state() const {
  const std::lock_guard lock(mutex_);
  return {unjudged_.begin(), unjudged_.end()};
}

}  // namespace plumbline::harness::live
