#include "harness/subjects/hardware/device_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "harness/subjects/hardware/text.h"

namespace plumbline::harness::hardware {
namespace {

namespace diag = plumbline::diagnostics;
using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class DeviceRunner {
 public:
  DeviceRunner(const Target& target, const Options& options, const HostAnswers& host, const Other* other,
               std::optional<int> second_gpu, double deadline, const std::function<void(const std::string&)>& say)
      : options_(options),
        host_(host),
        other_(other),
        second_gpu_(second_gpu),
        deadline_(deadline),
        say_(say),
        monitor_(target.backend == Backend::cuda ? target.gpu.pci : "") {
    run_.target = target;
  }

  DeviceRun run() {
    note_surroundings();
    part(Part::functions, [&] { scan_functions(); });
    part(Part::operations, [&] { check_operations(); });
    part(Part::codecs, [&] { scan_codecs(); });
    part(Part::fingerprint, [&] { take_fingerprint(); });
    part(Part::sensitivity, [&] { inject_faults(); });
    part(Part::soak, [&] { soak(); });
    return std::move(run_);
  }

 private:
  bool on_gpu() const { return run_.target.backend == Backend::cuda; }
  int index() const { return on_gpu() ? run_.target.gpu.index : 0; }

  void note(std::string text) {
    say_("note: " + text);
    run_.notes.push_back(std::move(text));
  }
  void note_surroundings() {
    if (!on_gpu()) return;
    if (!monitor_.missing().empty()) {
      note(monitor_.missing() + ": no temperatures, clocks or ECC counters; everything else runs");
    }
    run_.driver = monitor_.driver();
    for (const diag::OtherProcess& p : monitor_.other_processes())
      note(fmt::format("process {} computes on this GPU too ({:.1f} GiB): rates are not its own; everything runs",
                       p.pid, double(p.bytes) * 0x1p-30));
    const diag::GpuDescription& gpu = run_.target.gpu;
    if (double(gpu.free_memory) < 0.9 * double(gpu.memory))
      note(fmt::format("{:.1f} of {:.1f} GiB are held by others: the soak covers what is free",
                       double(gpu.memory - gpu.free_memory) * 0x1p-30, double(gpu.memory) * 0x1p-30));
    if (!gpu.ecc) note("ECC is off: nothing but this run sees a flipped bit");
  }

  template <class Work>
  void part(Part part, const Work& work) {
    if (!options_.wants(part)) return;
    const auto start = Clock::now();
    try {
      work();
    } catch (const std::bad_alloc&) {
      miss(part, "out of memory");
    } catch (const std::exception& e) {
      run_.errors.push_back(fmt::format("{}: {}", to_string(part), e.what()));
      say_("error: " + run_.errors.back());
    }
    run_.part_seconds[int(part)] = since(start);
    if (run_.ran(part)) say_(part_line(run_, part));
  }

  void miss(Part part, const std::string& why) {
    run_.missed.push_back(fmt::format("{}: {}", to_string(part), why));
    say_("left out: " + run_.missed.back());
  }
  // Whether the time of the run is spent but for what its report takes; the rest of the part is missed then.
  bool late(Part part, size_t done, size_t all) {
    if (since(start_) < deadline_ - kReport) return false;
    miss(part, fmt::format("{} of {} in the time that --budget leaves", done, all));
    return true;
  }

  // Items of a part that this shard has, where no GPU is there to be sharded.
  bool mine(size_t item) const { return on_gpu() || int(item % size_t(options_.shard.count)) == options_.shard.index; }

  void scan_functions() {
    const int shift = options_.sample >= 0                   ? options_.sample
                      : on_gpu()                             ? 0
                      : run_.target.backend == Backend::host ? 8
                                                             : 20;
    size_t item = 0;
    std::vector<diag::ScanSubject> subjects;
    for (const diag::FunctionRow& row : diag::function_table()) {
      if (row.chip_only && !on_gpu()) continue;
      for (const float divisor : diag::kDivisors) {
        if (mine(item++)) subjects.push_back({row.function, row.function == diag::Function::divide ? divisor : 1.0f});
        if (row.function != diag::Function::divide) break;
      }
    }
    for (const diag::ScanSubject& subject : subjects) {
      if (late(Part::functions, run_.scans.size(), subjects.size())) return;
      run_.scans.push_back(scan(subject, shift));
    }
  }
  ScanRun scan(const diag::ScanSubject& subject, int shift) const {
    ScanRun out{subject, {}, 0, false};
    const auto start = Clock::now();
#ifdef PLUMBLINE_HAVE_CUDA
    if (on_gpu()) out.scan = diag::scan_on_gpu(subject, shift, index());
#endif
    if (run_.target.backend == Backend::emulator) out.scan = diag::scan_on_emulator(subject, shift, 1);
    if (run_.target.backend == Backend::host) out.scan = diag::scan_on_host(subject, shift, options_.threads);
    out.seconds = since(start);
    out.good = diag::holds(subject, out.scan);
    return out;
  }

  void check_operations() {
    size_t item = 0;
    for (const bool wide : {false, true})
      for (int o = 0; o < diag::kOperations; ++o) {
        const auto operation = diag::Operation(o);
        if ((operation == diag::Operation::narrow && !wide) || !mine(item++)) continue;
        if (late(Part::operations, run_.operations.size(), 2 * diag::kOperations - 1)) return;
        const diag::IeeeVectors vectors = diag::ieee_vectors(operation, wide);
        const std::vector<uint64_t> got = diag::run_ieee(vectors, run_.target.backend, index());
        const std::vector<uint64_t> expected = diag::run_ieee(vectors, Backend::host, 0);
        OperationRun out;
        out.name = diag::to_string(vectors);
        out.vectors = got.size();
        out.flush = diag::detect_flush(operation, wide, run_.target.backend, index());
        for (size_t i = 0; i < got.size(); ++i) {
          if (got[i] == expected[i] || out.wrong++ > 0) continue;
          const diag::Operands& x = vectors.operands[i];
          out.first_wrong = fmt::format("{}: {:#x}, {:#x}, {:#x} gave {:#x}, expected {:#x}",
                                        diag::to_string(vectors.hardness[i]), x.a, x.b, x.c, got[i], expected[i]);
        }
        run_.operations.push_back(std::move(out));
      }
  }

  void scan_codecs() {
    size_t item = 0;
    for (const diag::CodecRow& row : diag::codec_table()) {
      if (!mine(item++)) continue;
      if (late(Part::codecs, run_.codecs.size(), diag::codec_table().size())) return;
      const std::vector<uint64_t> points = diag::run_codec(row, run_.target.backend, index());
      CodecRun out{diag::to_string(row), diag::judge_codec(row, points), 0};
      if (run_.target.backend != Backend::host) {
        const std::vector<uint64_t> expected = diag::run_codec(row, Backend::host, 0);
        for (size_t i = 0; i < points.size(); ++i) out.unlike_host += points[i] != expected[i];
      }
      run_.codecs.push_back(std::move(out));
    }
  }

  void take_fingerprint() {
    if (host_.fingerprint.probes.empty()) return miss(Part::fingerprint, "none of the host twin, for lack of time");
    if (late(Part::fingerprint, 0, 1)) return;
    std::vector<diag::Probe> probes;
    for (size_t i = 0; i < host_.probes.size(); ++i)
      if (mine(i)) probes.push_back(host_.probes[i]);
    run_.fingerprint = run_.target.backend == Backend::host && options_.shard.count == 1
                           ? host_.fingerprint
                           : diag::make_fingerprint(probes, run_.target.name, run_.target.backend, index());
    run_.fingerprint.device = run_.target.name;
    if (run_.target.backend != Backend::host) {
      run_.with_host = diag::compare(run_.fingerprint, host_.fingerprint);
      for (diag::Difference& d : run_.with_host->differences)
        diag::locate(d, host_.probes, run_.target.backend, index(), Backend::host, 0);
    }
    if (const auto& left = run_.fingerprint.left_out; !left.empty())
      note(fmt::format("{} pieces of the fingerprint are not for this backend, the first: {}", left.size(),
                       left.front()));
    if (other_ == nullptr) return;
    run_.other = other_->label;
    run_.with_other = diag::compare(run_.fingerprint, other_->fingerprint);
    // The other machine is not here; where it agrees with the host twin, the twin can speak for it.
    const diag::Comparison twin = diag::compare(host_.fingerprint, other_->fingerprint);
    for (diag::Difference& d : run_.with_other->differences) {
      const bool as_twin = std::none_of(twin.differences.begin(), twin.differences.end(),
                                        [&](const diag::Difference& t) { return t.line == d.line; });
      if (other_->gpu)
        diag::locate(d, host_.probes, run_.target.backend, index(), Backend::cuda, *other_->gpu);
      else if (as_twin)
        diag::locate(d, host_.probes, run_.target.backend, index(), Backend::host, 0);
    }
    if (run_.with_other->compared == 0)
      note(fmt::format("the fingerprint of {} is of another version, with no work in common: nothing to compare with",
                       run_.other));
    else if (run_.with_other->only_here + run_.with_other->only_there > 0)
      note(
          fmt::format("the fingerprint of {} is of another version: {} pieces of work in common were compared, {} only "
                      "here, {} only there",
                      run_.other, run_.with_other->compared, run_.with_other->only_here, run_.with_other->only_there));
  }

  // Of a host not expected, unless it was asked for by name.
  void needs_gpu(Part part) {
    if (options_.parts.contains(part))
      miss(part, "needs a GPU");
    else
      note(fmt::format("{} needs a GPU: left out on the host", to_string(part)));
  }

  std::unique_ptr<diag::SoakEngine> make_engine(std::optional<int> gpu, uint64_t bytes) const {
#ifdef PLUMBLINE_HAVE_CUDA
    if (gpu) return diag::make_gpu_soak(*gpu, bytes);
#endif
    static_cast<void>(gpu);
    return diag::make_emulated_soak(bytes, 1);
  }

  void inject_faults() {
    if (run_.target.backend == Backend::host) return needs_gpu(Part::sensitivity);
    if (late(Part::sensitivity, 0, 1)) return;
    // the last step of a training, as the device made it
    const auto table = diag::workload_table();
    const auto row = std::find_if(table.begin(), table.end(), [](const auto& r) { return r.name == "narrow sweep"; });
    std::vector<float> before, clean, known;
    const auto last_two = [&](std::vector<float>* earlier, std::vector<float>& later) {
      return [&row, earlier, &later](diag::Stage&& stage) {
        if (stage.name != "parameter") return;
        std::vector<float> values(stage.bytes.size() / sizeof(float));
        std::memcpy(values.data(), stage.bytes.data(), stage.bytes.size());
        if (stage.step == row->steps)
          later = std::move(values);
        else if (earlier != nullptr)
          *earlier = std::move(values);
      };
    };
    diag::run_workload(*row, run_.target.backend, index(), last_two(&before, clean));
    diag::run_workload(*row, Backend::host, 0, last_two(nullptr, known));
    const auto engine = make_engine(on_gpu() ? std::optional(index()) : std::nullopt, 64 << 20);
    const int each = on_gpu() ? 32 : 1;
    run_.sensitivity = diag::measure_sensitivity(*engine, clean, before, diag::output_hash(known), options_.study.seed,
                                                 each, options_.threads);
  }

  void soak() {
    if (run_.target.backend == Backend::host) return needs_gpu(Part::soak);
    if (host_.fingerprint.probes.empty()) return miss(Part::soak, "no fingerprint of the host twin, for lack of time");
    diag::SoakPlan plan;
    plan.seconds = deadline_ - since(start_) - kReport;
    if (plan.seconds < 1) return miss(Part::soak, "no time was left: raise --budget");
    plan.seed = options_.study.seed;
    plan.bursts_only = options_.bursts;
    plan.stop_after = options_.stop_after;
    plan.threads = options_.threads;
    for (const auto phase : {diag::Phase::memory, diag::Phase::cache, diag::Phase::arithmetic})
      if (options_.inject == diag::to_string(phase)) plan.inject = phase;
    const auto bytes = on_gpu() ? uint64_t(options_.memory * 0x1p30) : uint64_t(1) << 16;
    const auto engine = make_engine(on_gpu() ? std::optional(index()) : std::nullopt, bytes);
    std::unique_ptr<diag::SoakEngine> second;
    if (second_gpu_ && on_gpu()) second = make_engine(second_gpu_, 1 << 28);

    std::vector<size_t> trainings;
    for (size_t i = 0; i < host_.fingerprint.probes.size(); ++i)
      if (host_.fingerprint.probes[i].family == "optimizer") trainings.push_back(i);
    const diag::OptimizerCheck check = [&](uint64_t round) -> std::optional<std::string> {
      const size_t i = trainings[round % trainings.size()];
      const auto probe = std::find_if(host_.probes.begin(), host_.probes.end(),
                                      [&](const diag::Probe& p) { return p.line == host_.fingerprint.probes[i].line; });
      const diag::Fingerprint now = diag::make_fingerprint({*probe}, "", run_.target.backend, index());
      if (now.probes.empty()) return std::nullopt;  // not for this backend
      const diag::Fingerprint expected{"", {host_.fingerprint.probes[i]}, {}};
      diag::Comparison comparison = diag::compare(now, expected);
      if (comparison.equal()) return std::nullopt;
      diag::locate(comparison.differences[0], host_.probes, run_.target.backend, index(), Backend::host, 0);
      return difference_text(comparison.differences[0]);
    };
    run_.soak = diag::run_soak(*engine, monitor_, plan, check, second.get(), {});
  }

  static constexpr double kReport = 0.5;  // seconds to write the report
  const Options& options_;
  const HostAnswers& host_;
  const Other* other_;
  std::optional<int> second_gpu_;
  double deadline_;
  const std::function<void(const std::string&)>& say_;
  diag::Monitor monitor_;
  Clock::time_point start_ = Clock::now();
  DeviceRun run_;
};

}  // namespace

const char* to_string(Part part) {
  constexpr const char* kNames[] = {"functions", "operations", "codecs", "fingerprint", "sensitivity", "soak"};
  return kNames[int(part)];
}

bool DeviceRun::ran(Part part) const {
  switch (part) {
    case Part::functions:
      return !scans.empty();
    case Part::operations:
      return !operations.empty();
    case Part::codecs:
      return !codecs.empty();
    case Part::fingerprint:
      return !fingerprint.probes.empty();
    case Part::sensitivity:
      return !sensitivity.empty();
    case Part::soak:
      return soak.has_value();
  }
  return false;
}

bool DeviceRun::good(Part part) const {
  switch (part) {
    case Part::functions:
      return std::all_of(scans.begin(), scans.end(), [](const ScanRun& s) { return s.good; });
    case Part::operations:
      return std::all_of(operations.begin(), operations.end(),
                         [](const OperationRun& o) { return o.wrong == 0 && !o.flush.operands && !o.flush.results; });
    case Part::codecs:
      return std::all_of(codecs.begin(), codecs.end(),
                         [](const CodecRun& c) { return c.faults.total() == 0 && c.unlike_host == 0; });
    case Part::fingerprint:
      return (!with_host || with_host->equal()) && (!with_other || with_other->equal());
    case Part::sensitivity:
      return std::all_of(sensitivity.begin(), sensitivity.end(),
                         [](const diag::SensitivityRow& r) { return r.caught == r.injected; });
    case Part::soak:
      return !soak || soak->good();
  }
  return false;
}

bool DeviceRun::ran() const {
  for (int p = 0; p < kParts; ++p)
    if (ran(Part(p))) return true;
  return false;
}

bool DeviceRun::wrong() const {
  for (int p = 0; p < kParts; ++p)
    if (!good(Part(p))) return true;
  return !errors.empty();
}

bool DeviceRun::good() const { return !wrong() && missed.empty() && ran(); }  // of nothing, nothing is known

const char* DeviceRun::verdict() const { return wrong() ? "RED" : good() ? "good" : "incomplete"; }

std::string DeviceRun::verdict(Part part) const {
  if (ran(part) && !good(part)) return "RED";
  const std::string name = to_string(part);
  const bool part_missed =
      std::any_of(missed.begin(), missed.end(), [&](const std::string& m) { return m.starts_with(name + ":"); });
  return !ran(part) ? "not run" : part_missed ? "incomplete" : "good";
}

DeviceRun run_device(const Target& target, const Options& options, const HostAnswers& host, const Other* other,
                     std::optional<int> second_gpu, double deadline,
                     const std::function<void(const std::string&)>& say) {
  return DeviceRunner(target, options, host, other, second_gpu, deadline, say).run();
}

std::vector<std::string> odd_ones(const std::vector<DeviceRun>& runs) {
  if (runs.size() < 2) return {};
  // what two good devices have in common: all bits but those of their own approximations
  const auto bits = [](const DeviceRun& run) {
    uint64_t sum = run.fingerprint.hash();
    for (const ScanRun& scan : run.scans)
      if (!diag::row_of(scan.subject.function).chip_only) sum = sum * 31 + scan.scan.checksum;
    return sum;
  };
  std::map<uint64_t, int> votes;
  for (const DeviceRun& run : runs) ++votes[bits(run)];
  const auto most = std::max_element(votes.begin(), votes.end(), [](auto& a, auto& b) { return a.second < b.second; });
  const bool majority = most->second * 2 > int(runs.size());
  std::vector<std::string> odd;
  for (const DeviceRun& run : runs) {
    const bool differs = majority ? bits(run) != most->first : run.with_host && !run.with_host->equal();
    if (differs || run.wrong()) odd.push_back(run.target.label);
  }
  return odd.size() < runs.size() ? odd : std::vector<std::string>{};
}

}  // namespace plumbline::harness::hardware
