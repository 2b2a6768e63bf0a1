#include "harness/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "harness/bundle.h"
#include "harness/format.h"
#include "harness/quoted.h"

namespace plumbline::harness {
namespace {

constexpr size_t kRedShown = 3, kStudiesShown = 4;

std::string clock_text(double seconds) { return fmt::format("{}:{:02}", int(seconds) / 60, int(seconds) % 60); }

}  // namespace

bool wants_colour(std::FILE* stream) {
  const char *off = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  return isatty(fileno(stream)) == 1 && (!off || *off == '\0') && terminal && std::strcmp(terminal, "dumb") != 0;
}

ProgressLine::ProgressLine(std::FILE* stream, std::chrono::milliseconds every)
    : stream_(stream),
      terminal_(isatty(fileno(stream)) == 1),
      every_(terminal_ ? std::chrono::milliseconds(100) : every) {}

void ProgressLine::begin(const RunDescription&, uint64_t planned_cases) {
  planned_ = planned_cases;
  start_ = last_ = std::chrono::steady_clock::now();
  if (every_.count() > 0) watcher_ = std::thread([this] { watch(); });
}

void ProgressLine::on_case(const CaseResult& result) {
  const std::lock_guard lock(mutex_);
  ++done_;
  red_ += is_red(result.verdict);
  tell();
}

void ProgressLine::on_section(const Section& section) {
  const std::lock_guard lock(mutex_);
  study_ = section.title;
}

void ProgressLine::tell() {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < every_) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = double(done_) / seconds;
  std::string line = terminal_ ? "\r" : "";
  if (planned_ > 0) {
    line += fmt::format("{}/{} cases  {:.0f}/s  ", done_, planned_, rate);
    if (done_ < planned_ && done_ > 0)
      line += clock_text(double(planned_ - done_) / rate) + " left  ";
    else if (done_ == planned_)
      line += fmt::format("then studies, {} so far{}  ", clock_text(seconds), study_.empty() ? "" : ": " + study_);
    line += fmt::format("{} red", red_);
  } else {
    line += clock_text(seconds) + (study_.empty() ? "" : "  " + study_);
  }
  line += terminal_ ? "\x1b[K" : "\n";
  std::fputs(line.c_str(), stream_);
  std::fflush(stream_);
}

void ProgressLine::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_until(lock, last_ + every_, [this] { return stopped_; })) tell();
}

void ProgressLine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  stopping_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void ProgressLine::end(const RunSummary&) {
  stop();
  if (terminal_) std::fputs("\r\x1b[K", stream_);
}

ProgressLine::~ProgressLine() { stop(); }

std::string TerminalSummary::paint(Ink ink, const std::string& text) const {
  if (!colour_ || ink == Ink::plain) return text;
  return fmt::format("\x1b[{}m{}\x1b[0m", ink == Ink::good ? 32 : ink == Ink::warn ? 33 : 31, text);
}

TerminalSummary::Ink TerminalSummary::ink_of(Verdict verdict) {
  return is_red(verdict)                ? Ink::bad
         : verdict == Verdict::pass     ? Ink::good
         : verdict == Verdict::marginal ? Ink::warn
                                        : Ink::plain;
}

void TerminalSummary::begin(const RunDescription& run, uint64_t) { run_ = run; }

void TerminalSummary::on_case(const CaseResult& result) {
  ++suites_[result.suite];
  element_steps_ += double(result.elements) * double(result.steps);
  times_.generate += result.times.generate;
  times_.reference += result.times.reference;
  times_.contract += result.times.contract;
  times_.subject += result.times.subject;
  times_.compare += result.times.compare;
  for (const QuantityResult& q : result.quantities) {
    Largest& l = quantities_[q.quantity][size_t(size_class(result.elements))];
    l.ratio = std::max(l.ratio, q.ratios.largest);
    l.elements += q.ratios.total();
    l.cases += q.ratios.total() > 0;
    l.unbounded += q.unbounded;
    l.out_of_range += q.out_of_range;
  }
  for (const CaseResult::Proof& proof : result.proofs)
    if (!result.recording.empty()) proved_[{result.recording, proof.option}] |= proof.proved;
  if (is_red(result.verdict) && red_.size() < kRedShown)
    red_.push_back({result.verdict, result.line, result.reason, result.evidence ? bundle_name(run_, result) : ""});
}

void TerminalSummary::on_section(const Section& section) { studies_.push_back({section.title, section.green}); }

void TerminalSummary::describe_cases(const RunSummary& summary) {
  auto line = [&](const std::string& text) { text_ += text + "\n"; };
  std::string suites;
  for (const auto& [name, count] : suites_) suites += fmt::format("{}{} {}", suites.empty() ? "" : ", ", count, name);
  line(fmt::format("cases      {} ({}), {:.3g} element-steps, local and global, {:.1f} s", summary.cases(), suites,
                   element_steps_, summary.seconds));
  if (!summary.stopped.empty())
    line(paint(Ink::warn, fmt::format("truncated  {} of {} cases were not begun: {}", summary.not_begun,
                                      summary.cases(), summary.stopped)));
  std::string verdicts;
  for (int v = 0; v < kVerdicts; ++v)
    verdicts +=
        (v ? "  " : "") + paint(summary.verdicts[size_t(v)] ? ink_of(static_cast<Verdict>(v)) : Ink::plain,
                                fmt::format("{} {}", to_string(static_cast<Verdict>(v)), summary.verdicts[size_t(v)]));
  if (summary.redrawn > 0) verdicts += fmt::format("  ({} redrawn)", summary.redrawn);
  line("verdicts   " + verdicts);

  std::vector<std::pair<double, Quantity>> worst;
  std::string loose, apart;
  for (const auto& [quantity, classes] : quantities_) {
    double largest = 0;
    uint64_t compared = 0, unbounded = 0, out_of_range = 0;
    for (int c = 0; c < kSizeClasses; ++c) {
      const Largest& l = classes[size_t(c)];
      compared += l.elements, unbounded += l.unbounded, out_of_range += l.out_of_range;
      largest = std::max(largest, l.ratio);
      if (is_loose(l.ratio, l.cases, static_cast<SizeClass>(c)) && !is_exact(quantity))
        loose += fmt::format("{}{} ({} tensors, {:.3f})", loose.empty() ? "" : ", ", to_string(quantity),
                             to_string(static_cast<SizeClass>(c)), l.ratio);
    }
    worst.emplace_back(largest, quantity);
    const double all = double(compared + unbounded + out_of_range);
    for (const auto& [count, what] : {std::pair{unbounded, "without a bound"}, std::pair{out_of_range, "out of range"}})
      if (count > 0)
        apart += fmt::format("{}{} {:.2g}% {}", apart.empty() ? "" : ", ", to_string(quantity),
                             100 * double(count) / all, what);
  }
  std::sort(worst.rbegin(), worst.rend());
  std::string top;
  for (size_t i = 0; i < std::min<size_t>(4, worst.size()); ++i)
    top += fmt::format("{}{} {:.3f}", i ? ", " : "", to_string(worst[i].second), worst[i].first);
  line(fmt::format("bounds     {} quantities, largest error/bound: {}", worst.size(), top));
  if (!apart.empty()) line("apart      " + apart);
  line("loose      " + (loose.empty() ? "none" : loose));
  const double total = times_.total() > 0 ? times_.total() : 1;
  line(fmt::format("time       inputs {:.0f}%, reference {:.0f}%, bounds {:.0f}%, subject {:.0f}%, comparison {:.0f}%",
                   100 * times_.generate / total, 100 * times_.reference / total, 100 * times_.contract / total,
                   100 * times_.subject / total, 100 * times_.compare / total));
}

void TerminalSummary::end(const RunSummary& summary) {
  auto line = [&](const std::string& text) { text_ += text + "\n"; };
  line(fmt::format("plumbline {} ({})  subject {}{}  suite {}  seed {}", run_.version, run_.commit, run_.subject,
                   run_.gpu.empty() ? "" : " on " + run_.gpu, run_.suite, run_.seed));
  const uint64_t cases = summary.cases();
  if (cases > 0 || studies_.empty()) describe_cases(summary);
  const bool studies_green =
      std::all_of(studies_.begin(), studies_.end(), [](const Study& study) { return study.green; });
  green_ = studies_green &&
           (cases == 0 && !studies_.empty() ? summary.errors.empty() && summary.stopped.empty() : summary.green());
  std::stable_partition(studies_.begin(), studies_.end(), [](const Study& study) { return !study.green; });
  for (size_t i = 0; i < std::min(studies_.size(), kStudiesShown); ++i)
    line(fmt::format("{:<10} {}", studies_[i].green ? "study" : "red study", studies_[i].title));
  if (studies_.size() > kStudiesShown)
    line(fmt::format("           and {} more studies", studies_.size() - kStudiesShown));
  for (const Red& red : red_) {
    line(paint(ink_of(red.verdict), fmt::format("{:<10}", to_string(red.verdict))) + " " + plain_text(red.reason));
    line(fmt::format("           plumbline case {} --subject {}", plain_text(shell_word(red.line)),
                     plain_text(bare_shell_word(run_.subject))));
    if (!red.bundle.empty())
      line(fmt::format("           plumbline case --bundle {}/bundles/{}",
                       report_path_.substr(0, report_path_.rfind('/')), red.bundle));
  }
  for (size_t i = 0; i < std::min<size_t>(summary.errors.size(), kRedShown); ++i)
    line(paint(Ink::bad, "suite     ") + " " + plain_text(summary.errors[i]));
  if (!report_path_.empty()) line("report     " + report_path_);
  std::string unproved;
  constexpr size_t kUnprovedShown = 3;
  const std::vector<std::string> options = this->unproved();
  for (size_t i = 0; i < std::min(options.size(), kUnprovedShown); ++i)
    unproved += (i == 0 ? ", without proof of " : ", ") + plain_text(options[i]);
  if (options.size() > kUnprovedShown) unproved += fmt::format(" and {} more", options.size() - kUnprovedShown);
  const bool any_red = !studies_green || !red_.empty() || !summary.errors.empty();
  if (!green_ && !any_red && !summary.stopped.empty())
    line(paint(Ink::warn, "truncated: nothing that ran is red, and not everything ran"));
  else
    line((green_ ? paint(Ink::good, "green") : paint(Ink::bad, "red")) + unproved);
}

std::vector<std::string> TerminalSummary::unproved() const {
  std::vector<std::string> out;
  for (const auto& [option, proved] : proved_)
    if (!proved)
      out.push_back(fmt::format("{} ({})", option.second, std::filesystem::path(option.first).filename().string()));
  return out;
}

std::string describe_case(const CaseResult& result) {
  std::string out = fmt::format("{}\n{:<22} {:>9} {:>9} {:>10} {:>9}  worst\n", plain_text(result.line), "quantity",
                                "elements", "outside", "err/bound", "p99");
  for (const QuantityResult& q : result.quantities)
    out += fmt::format("{:<22} {:>9} {:>9} {:>10.4f} {:>9.4f}  step {} element {}: got {:.9g}, expected {}{}\n",
                       to_string(q.quantity), q.ratios.total(), q.outside, q.ratios.largest, q.ratios.quantile(0.99),
                       q.worst.step, q.worst.index, q.worst.got, admitted(q.worst.expected, q.worst.bound),
                       (q.unbounded > 0 ? fmt::format("; {} more without a bound", q.unbounded) : "") +
                           (q.out_of_range > 0 ? fmt::format("; {} more out of range", q.out_of_range) : ""));
  std::string acted;
  for (const auto& use : result.options)
    acted += fmt::format("{}{}{}", acted.empty() ? "" : ", ", use.value, use.acted ? "" : " (did not act)");
  out += fmt::format("options: {}\n", acted);
  for (const CaseResult::Proof& proof : result.proofs)
    if (!proof.proved)
      out += fmt::format("without proof of {}: a program that ignores it would pass\n", plain_text(proof.option));
  out +=
      fmt::format("{}{}{}\n", to_string(result.verdict), result.reason.empty() ? "" : ": ", plain_text(result.reason));
  return out;
}

}  // namespace plumbline::harness
