// plumbline hardware: does this machine compute what the others compute, and does it keep doing so?
#include "harness/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <mutex>
#include <thread>

#include "harness/error.h"
#include "harness/machine.h"
#include "harness/subjects/hardware/device_run.h"
#include "harness/subjects/hardware/fingerprint_file.h"
#include "harness/subjects/hardware/sections.h"
#include "harness/subjects/hardware/text.h"

namespace plumbline::harness::hardware {
namespace {

namespace diag = plumbline::diagnostics;

// Beside 0, 1 and 2: nothing was computed wrong, and no GPU could be tested or not all that was wanted ran.
constexpr int kUntested = 3;

struct Text {  // as given
  std::string budget = "60s", only, shard;
};

Part parse_part(const std::string& name) {
  std::string known;
  for (int p = 0; p < kParts; ++p) {
    if (name == to_string(Part(p))) return Part(p);
    known += std::string(p > 0 ? ", " : "") + to_string(Part(p));
  }
  throw InputError(fmt::format("part '{}': expected one of {}", name, known));
}

std::optional<int> parse_index(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Target gpu_target(const diag::GpuDescription& gpu) {
  return {Backend::cuda, gpu, fmt::format("GPU {}", gpu.index), gpu.name};
}
Target host_target() { return {Backend::host, {}, "host", describe_machine("").cpu}; }

struct Plan {
  std::vector<Target> targets;
  std::vector<std::string> notes;
  bool no_gpu = false;  // one was wanted
};

// What CUDA says of why nothing can run, in words.
std::string no_gpu_reason() {
  const std::string why = backend_unavailable(Backend::cuda, 0);
  return why.find("insufficient") != why.npos ? "the driver is too old for this program's CUDA (" + why + ")" : why;
}

Plan choose_targets(const Options& options) {
  if (options.device == "host") return {{host_target()}, {}, false};
  if (options.device == "emulator") return {{{Backend::emulator, {}, "emulator", "kernel emulator"}}, {}, false};
  const bool all = options.device == "all";
  const std::optional<int> index = options.device.empty() ? std::optional(0) : parse_index(options.device);
  if (!all && !index)
    throw InputError(fmt::format("device '{}': expected a number, all, host or emulator", options.device));
  const std::vector<diag::GpuDescription> gpus = diag::list_gpus();
  Plan plan;
  for (const diag::GpuDescription& gpu : gpus) {
    if (all ? gpu.index % options.shard.count != options.shard.index : gpu.index != *index) continue;
    const std::string why = backend_unavailable(Backend::cuda, gpu.index);
    if (why.empty())
      plan.targets.push_back(gpu_target(gpu));
    else
      plan.notes.push_back(fmt::format("GPU {}: {}: left out", gpu.index, why));
  }
  if (!plan.targets.empty()) return plan;
  if (all && !gpus.empty() && plan.notes.empty())
    throw InputError(fmt::format("shard {}/{}: {} GPUs here leave none for it", options.shard.index,
                                 options.shard.count, gpus.size()));
  if (!gpus.empty() && !all && plan.notes.empty())
    throw InputError(fmt::format("device {}: expected 0 to {}", *index, gpus.size() - 1));
  if (gpus.empty()) plan.notes.push_back(no_gpu_reason());
  plan.notes.back() += "; the host twin ran: functions (sampled), operations, codecs, fingerprint";
  plan.no_gpu = true;
  plan.targets.push_back(host_target());
  return plan;
}

std::filesystem::path fingerprint_path(const Options& options, const Target& target, bool several) {
  std::string label = target.label;
  std::erase(label, ' ');
  if (options.save.empty()) return std::filesystem::path(options.study.report) / ("fingerprint-" + label + ".json");
  const std::filesystem::path path = options.save;
  return several ? path.parent_path() / (path.stem().string() + "-" + label + path.extension().string()) : path;
}

std::optional<Other> find_other(const Options& options, const std::vector<diag::Probe>& probes) {
  if (options.against.empty() || options.against == "host") return std::nullopt;  // the twin is always there
  const std::optional<int> gpu = parse_index(options.against);
  if (!gpu) return Other{options.against, read_fingerprint(options.against), std::nullopt};
  if (const std::string why = backend_unavailable(Backend::cuda, *gpu); !why.empty())
    throw InputError(fmt::format("against GPU {}: {}", *gpu, why));
  const std::string label = fmt::format("GPU {}", *gpu);
  return Other{label, diag::make_fingerprint(probes, label, Backend::cuda, *gpu), gpu};
}

using Start = std::chrono::steady_clock::time_point;
double seconds_since(Start start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The twin's, piece by piece; of nothing where half of the run's time does not do for it.
diag::Fingerprint fingerprint_of_host(const HostAnswers& host, Start start, const Options& options) {
  diag::Fingerprint all{"host twin", {}, {}};
  for (const diag::Probe& probe : host.probes) {
    if (seconds_since(start) > options.budget / 2) return {};
    diag::Fingerprint one = diag::make_fingerprint({probe}, "host twin", Backend::host, 0);
    std::move(one.probes.begin(), one.probes.end(), std::back_inserter(all.probes));
    std::move(one.left_out.begin(), one.left_out.end(), std::back_inserter(all.left_out));
  }
  return all;
}

int run(Options options, const std::string& line) {
  const auto start = std::chrono::steady_clock::now();
  if (!options.against.empty() && !options.wants(Part::fingerprint))
    throw InputError("--against compares fingerprints: expected fingerprint among the parts of --only");
  const Plan plan = choose_targets(options);
  const bool several = plan.targets.size() > 1;
  const bool on_gpu = plan.targets.front().backend == Backend::cuda;
  if (options.threads == 0) options.threads = int(std::max(1u, std::thread::hardware_concurrency()));

  std::mutex mutex;
  const auto say = [&](const std::string& text) {
    if (options.study.quiet) return;
    const std::lock_guard lock(mutex);
    fmt::print("{}\n", text);
    std::fflush(stdout);
  };
  for (const std::string& note : plan.notes) say("note: " + note);
  for (const Target& target : plan.targets)
    say(target_line(target, target.backend == Backend::cuda ? diag::Monitor(target.gpu.pci).driver() : ""));

  HostAnswers host;
  host.probes = diag::fingerprint_probes();
  const std::optional<Other> other = find_other(options, host.probes);
  if (options.wants(Part::fingerprint) || options.wants(Part::soak))
    host.fingerprint = fingerprint_of_host(host, start, options);

  std::vector<DeviceRun> runs(plan.targets.size());
  StudyEnd end;
  const auto work = [&](const std::string& subject) {
    report_study("hardware", subject, line, options.study, end, [&](Listener& report) {
      const double spent = seconds_since(start);
      std::vector<std::thread> threads;
      for (size_t i = 0; i < runs.size(); ++i)
        threads.emplace_back([&, i] {
          std::optional<int> second;
          for (size_t j = 0; j < runs.size() && several; ++j)
            if (j != i && !second) second = plan.targets[j].gpu.index;
          const std::string prefix = several ? plan.targets[i].label + ": " : "";
          runs[i] = run_device(plan.targets[i], options, host, other ? &*other : nullptr, second,
                               options.budget - spent, [&](const std::string& text) { say(prefix + text); });
        });
      for (std::thread& thread : threads) thread.join();
      for (const DeviceRun& run : runs) {
        if (!run.ran(Part::fingerprint)) continue;
        write_fingerprint(run.fingerprint, fingerprint_path(options, run.target, several));
      }
      for (const std::string& odd : odd_ones(runs)) say(odd + ": the odd one out");
      for (const Section& section : make_sections(runs, plan.notes)) report.on_section(section);
      for (const DeviceRun& run : runs) {
        if (!run.missed.empty()) end.stopped = fmt::format("{}: {}", run.target.label, run.missed.front());
        if (!run.ran() && end.stopped.empty()) end.stopped = run.target.label + ": nothing ran";
      }
    });
  };
  work(on_gpu ? "cuda" : plan.targets.front().label);
  const bool wrong = std::any_of(runs.begin(), runs.end(), [](const DeviceRun& run) { return run.wrong(); });
  const bool good = std::all_of(runs.begin(), runs.end(), [](const DeviceRun& run) { return run.good(); });
  say(fmt::format("{} in {:.1f} s",
                  wrong  ? "RED"
                  : good ? "good"
                         : "incomplete: " + end.stopped,
                  seconds_since(start)));
  return wrong || !end.green ? 1 : good && !plan.no_gpu ? 0 : kUntested;
}

const RegisterCommand kHardware(
    {"hardware", "does this machine compute what others compute, and does it keep doing so", [](CLI::App& app) {
       auto o = std::make_shared<Options>();
       auto text = std::make_shared<Text>();
       add_study_options(app, o->study);
       app.add_option("--device", o->device,
                      "number of a GPU, all, host or emulator (default: the first GPU, else the host)");
       app.add_option("--budget", text->budget,
                      "time of the whole run, such as 60s or 24h; the soak takes what the rest leaves")
           ->capture_default_str();
       app.add_option("--only", text->only,
                      "parts, with commas: functions, operations, codecs, fingerprint, sensitivity, soak");
       app.add_option("--against", o->against,
                      "fingerprint to compare with beside the host twin's: a file, or a GPU's number");
       app.add_option("--save", o->save,
                      "file for the fingerprint (default: fingerprint-<device>.json in the report's folder)");
       app.add_option("--sample", o->sample, "scan one input of every 2^N (default: all on a GPU, N = 8 on the host)")
           ->check(CLI::Range(0, 24));
       app.add_flag("--bursts", o->bursts, "soak in bursts of milliseconds only: swings of power");
       app.add_option("--memory", o->memory, "GiB under test (default: nine tenths of what is free)")
           ->check(CLI::PositiveNumber);
       app.add_option("--stop-after", o->stop_after, "miscompares that end the soak")->capture_default_str();
       app.add_option("--inject", o->inject,
                      "for tests of this command: one deliberate fault in the soak's memory, cache or arithmetic")
           ->check(CLI::IsMember({"memory", "cache", "arithmetic"}));
       add_seed(app, o->study.seed, "of patterns and injected faults");
       app.add_option("--threads", o->threads, "cores of the host to use (0: all)")->check(CLI::NonNegativeNumber);
       app.add_option("--shard", text->shard, "i/n: of all GPUs every n-th from the i-th; on the host, of all items");
       return [o, text](const std::string& line) {
         o->budget = parse_budget(text->budget);
         o->shard = text->shard.empty() ? shard_from_environment() : parse_shard(text->shard);
         for (std::string rest = text->only; !rest.empty();) {
           const size_t comma = std::min(rest.find(','), rest.size());
           o->parts.insert(parse_part(rest.substr(0, comma)));
           rest.erase(0, std::min(comma + 1, rest.size()));
         }
         return run(*o, line);
       };
     }});

}  // namespace
}  // namespace plumbline::harness::hardware
