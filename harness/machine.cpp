#include "harness/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <ctime>
#include <fstream>
#include <thread>

#include "harness/data_folder.h"
#include "harness/error.h"
#include "harness/subject.h"
#include "harness/subjects/device.h"
#include "plumbline_commit.h"  // written by the build

namespace plumbline::harness {
namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace

RunDescription describe_machine(const std::string& subject) {
  RunDescription run;
  run.version = PLUMBLINE_VERSION;
  run.commit = PLUMBLINE_COMMIT;
  run.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  run.cpu = cpu_name();
  utsname os{};
  if (uname(&os) == 0) run.os = fmt::format("{} {}", os.sysname, os.release);
  run.compiler = "g++ " __VERSION__;
  run.flags = PLUMBLINE_FLAGS;
  run.build_type = PLUMBLINE_BUILD_TYPE;
  run.cores = int(std::thread::hardware_concurrency());
  if (subject == "cuda") describe_gpu(run);
  return run;
}

std::string describe_build() {
  const RunDescription run = describe_machine("");
  std::string subjects;
  for (const char* name : {"host", "emulator", "cuda"}) {
    const std::string why = subject_unavailable(name);
    subjects +=
        fmt::format("{}{}{}", subjects.empty() ? "" : ", ", name, why.empty() ? "" : " (not here: " + why + ")");
  }
  std::string data;
  try {
    data = data_folder().string();
  } catch (const InputError&) {
    data = "not found: give their folder as --data or PLUMBLINE_DATA";
  }
  return fmt::format("plumbline {} ({})\nbuild     {}, {} {}\nkernels   {}\nsubjects  {}\ndata      {}", run.version,
                     run.commit, run.compiler, run.build_type, run.flags, PLUMBLINE_KERNELS, subjects, data);
}

}  // namespace plumbline::harness
