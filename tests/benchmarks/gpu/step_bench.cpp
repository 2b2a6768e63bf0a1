// Times steps of the CUDA optimizer beside large copies of the same run. Prints a table; --out FILE writes JSON too.
//
// A step is replayed in a CUDA graph over rotating tensors of at least four times the L2 cache. The rate counts the
// bytes that a step cannot avoid to move (`model`: gradient, parameter in and out, codes of state); `of copy` is that
// rate over the best rate, read plus written, of a 1 GiB device copy. Launches are timed one by one, too. `idle` is a
// step between events, the device idle before; `floor` the time of a copy of the model's bytes with the state as it is
// laid out.
#include <cuda_profiler_api.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "tests/benchmarks/gpu/phases.h"
#include "tests/benchmarks/gpu/serve.h"
#include "tests/benchmarks/gpu/steps.h"

namespace plumbline::bench {
namespace {

using nlohmann::json;

json measure(const Job& job, const Machine& machine, Storage storage, int wanted, double seconds) {
  Steps steps(job, storage, size_t(machine.device.l2CacheSize), seconds);
  const int replays = steps.affordable(wanted, seconds / 2);
  std::vector<double> times = steps.device_times(replays);
  std::sort(times.begin(), times.end());
  const size_t n = times.size();
  const double whole = times[n / 2], model = steps.model_bytes();
  const double idle = median(steps.event_times(replays)), floor = steps.floor_bytes() / machine.copy * 1e-3;
  json row = {{"shape", label_of(job.name)},
              {"parameter", type_name(job.parameter)},
              {"gradient", type_name(job.gradient)},
              {"variant", job.variant},
              {"step_us", whole},
              {"step_us_quartiles", {times[n / 4], times[3 * n / 4]}},
              {"idle_us", idle},
              {"floor_us", floor},
              {"bytes_per_element", model / double(steps.elements())},
              {"rate_gb_s", model / whole * 1e-3},
              {"of_copy", model / whole * 1e-3 / machine.copy},
              {"launches_of_step", steps.kernels()},
              {"state_bytes", steps.optimizer().state_bytes()},
              {"scratch_bytes", steps.optimizer().scratch_bytes()}};
  std::string launches;
  if (job.shapes.size() == 1) {
    Phases phases(steps.spec(), steps.options());
    const std::vector<std::string> names = phases.names();
    for (size_t i = 0; i < names.size(); ++i) phases.run(i, steps.pointers(0), nullptr);
    check(cudaDeviceSynchronize());
    for (size_t k = 0; k < names.size(); ++k) {
      Replay replay(steps.items(), [&](int i, cudaStream_t stream) { phases.run(k, steps.pointers(i), stream); });
      const double us = median(replay.times(replays));
      row["launches"].push_back({{"kernel", names[k]}, {"us", us}});
      launches += fmt::format("{} {:.1f}  ", names[k], us);
    }
  }
  fmt::print("{:>14} {:>4} {:>4} {:>10} {:>10.1f} {:>10.1f} {:>9.1f} {:>7.0f} {:>6.3f}  {}\n", label_of(job.name),
             type_name(job.parameter), type_name(job.gradient), job.variant, whole, idle, floor,
             row["rate_gb_s"].get<double>(), row["of_copy"].get<double>(), launches);
  std::fflush(stdout);
  return row;
}

std::vector<Job> jobs(bool quick) {
  std::vector<std::string> names = {"4096x4096", "4096x11008", "11008x4096", "32000x4096"};
  if (!quick)
    names.insert(names.end(), {"512x512", "1024x1024", "2048x2048", "8192x8192", "4097x4095", "512x32768", "16777216",
                               "256x256x3x3"});
  const std::pair<Type, Type> types[] = {
      {Type::float32, Type::float32}, {Type::bfloat16, Type::bfloat16}, {Type::float32, Type::bfloat16}};
  std::vector<Job> all;
  for (const auto& [parameter, gradient] : types) {
    if (quick && parameter != gradient) continue;
    for (const std::string& name : names) {
      for (const Variant& variant : variants()) {
        const bool main_shape = name == names[0] || (!quick && name == names[1]);
        if (std::string(variant.name) == "carried" || main_shape)
          all.push_back({name, parse_shapes(name), parameter, gradient, variant.name});
      }
    }
  }
  for (const auto& [name, type] : {std::pair("llama-2-7b", Type::bfloat16), std::pair("1000*4096", Type::float32)})
    all.push_back({name, parse_shapes(name), type, type, "carried"});
  return all;
}

// What is asked for: float32 and bfloat16, with both norms and all second moments or `only` that variant.
std::vector<Job> wanted_jobs(const std::vector<std::string>& names, const std::string& only) {
  std::vector<Job> all;
  std::vector<std::string> variants = {"fresh", "carried", "full"};
  if (!only.empty()) variants = {only};
  for (const std::string& name : names)
    for (const Type type : {Type::float32, Type::bfloat16})
      for (const std::string& variant : variants) all.push_back({name, parse_shapes(name), type, type, variant});
  return all;
}

// The kernels of steps for a profiler that starts with cudaProfilerStart; each step behind a step_marker.
void run_marked(const std::vector<std::string>& wanted, Storage storage, int steps) {
  int device = 0, l2 = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, device));
  for (const std::string& line : wanted) {
    std::istringstream words(line);
    std::string name, parameter, gradient, variant;
    words >> name >> parameter >> gradient >> variant;
    Steps marked({name, parse_shapes(name), parse_type(parameter), parse_type(gradient), variant}, storage, size_t(l2));
    fmt::print("marked {} steps {} elements {} model_bytes {}\n", line, steps, marked.elements(), marked.model_bytes());
    std::fflush(stdout);
    check(cudaProfilerStart());
    marked.run_marked(steps);
    check(cudaProfilerStop());
  }
}

int run(int argc, char** argv) {
  CLI::App app("Step times of the CUDA optimizer beside the device's copy rate");
  std::string out, storage = "al8";
  int replays = 31;
  bool quick = false;
  app.add_option("--out", out, "file for the figures as JSON");
  app.add_option("--replays", replays, "graph replays per figure")->check(CLI::Range(5, 1000));
  std::string only;
  std::vector<std::string> shapes, models;
  double seconds = 20;
  app.add_option("--variant", only, "this one alone");
  app.add_option("--shape", shapes, "these alone: 4096x4096, 1000*4096, ...");
  app.add_option("--model", models, "files of a model's tensors, these alone: a line a count and a shape (models/)");
  app.add_option("--seconds", seconds, "that a case may take, about")->check(CLI::Range(1.0, 600.0));
  app.add_option("--storage", storage, "fp32, al8, log_u8 or linear_u8");
  app.add_flag("--quick", quick, "four shapes and many tensors, equal types");
  bool serving = false;
  std::vector<std::string> marked;
  int marked_steps = 4;
  app.add_flag("--serve", serving, "commands on standard input, see serve.h");
  app.add_option("--marked", marked, "\"SHAPE P G VARIANT\": only runs steps, for a profiler of kernels");
  app.add_option("--marked-steps", marked_steps, "of each")->check(CLI::Range(1, 100));
  CLI11_PARSE(app, argc, argv);
  GroupOptions options;
  set_option(options, "storage", storage);
  if (const std::string why = backend_unavailable(Backend::cuda); !why.empty()) throw CudaError(why);
  if (serving) {
    serve(options.storage);
    return 0;
  }
  if (!marked.empty()) {
    run_marked(marked, options.storage, marked_steps);
    return 0;
  }

  const Machine machine = measure_machine(replays);
  fmt::print(
      "{}, {} multiprocessors, L2 {:.0f} MB; GB/s read + written: copy {:.0f} (memcpy node {:.0f}, memcpy {:.0f}, "
      "kernel {:.0f}), read only {:.0f}\n",
      machine.device.name, machine.device.multiProcessorCount, double(machine.device.l2CacheSize) / 1048576,
      machine.copy, machine.copy_node, machine.copy_stream, machine.copy_kernel, machine.read);
  fmt::print("{:>14} {:>4} {:>4} {:>10} {:>10} {:>10} {:>9} {:>7} {:>6}  {}\n", "shape", "p", "g", "variant", "step us",
             "idle us", "floor us", "GB/s", "copy", "launches, us");
  json report = machine_json(machine);
  report["replays"] = replays;
  report["storage"] = storage;
  for (const std::string& model : models) shapes.push_back("@" + model);
  bool slow = false;
  for (const Job& job : shapes.empty() ? jobs(quick) : wanted_jobs(shapes, only)) {
    if (!only.empty() && only != job.variant) continue;
    try {
      report["steps"].push_back(measure(job, machine, options.storage, replays, seconds));
    } catch (const SlowStep& error) {
      fmt::print("{:>14} {:>4} {:>4} {:>10} {}; no other case is begun\n", label_of(job.name), type_name(job.parameter),
                 type_name(job.gradient), job.variant, error.what());
      std::fflush(stdout);
      slow = true;
      break;
    } catch (const std::bad_alloc&) {
      fmt::print("{:>14} {:>4} {:>4} {:>10} does not fit\n", label_of(job.name), type_name(job.parameter),
                 type_name(job.gradient), job.variant);
    }
  }
  if (!out.empty()) {
    std::ofstream file(out);
    file << report.dump(2) << '\n';
    if (!file.flush()) throw std::runtime_error(out + ": cannot be written");
  }
  if (slow) std::_Exit(3);  // the device is still at work
  return 0;
}

}  // namespace
}  // namespace plumbline::bench

int main(int argc, char** argv) {
  try {
    return plumbline::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "step_bench: {}\n", error.what());
    return 2;
  }
}
