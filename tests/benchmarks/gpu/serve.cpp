#include "tests/benchmarks/gpu/serve.h"

#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>

namespace plumbline::bench {
namespace {

using nlohmann::json;

json describe(const Job& job, const Steps& steps) {
  return {{"shape", job.name},
          {"parameter", type_name(job.parameter)},
          {"gradient", type_name(job.gradient)},
          {"variant", job.variant},
          {"elements", steps.elements()},
          {"model_bytes", steps.model_bytes()},
          {"state_bytes", steps.optimizer().state_bytes()},
          {"scratch_bytes", steps.optimizer().scratch_bytes()},
          {"launches", steps.kernels()},
          {"steps_per_replay", steps.items()}};
}

class Server {
 public:
  explicit Server(Storage storage) : storage_(storage) {
    cudaDeviceProp device;
    check(cudaGetDeviceProperties(&device, 0));
    l2_ = size_t(device.l2CacheSize);
  }
  json answer(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "machine") return machine_json(measure_machine(count(words)));
    if (command == "open") return open(words);
    if (command == "close") {
      opened_.erase(find(words));
      return json::object();
    }
    if (command == "time") {
      Steps& steps = *find(words)->second;
      std::string kind;
      words >> kind;
      const int n = count(words);
      if (kind == "device") return {{"us", steps.device_times(n)}};
      if (kind == "event") return {{"us", steps.event_times(n)}};
      if (kind == "host") return {{"us", steps.host_times(n)}};
      throw OptionError("time " + kind + ": expected device, event or host");
    }
    throw OptionError("command " + command + ": expected machine, open, time or close");
  }

 private:
  static int count(std::istringstream& words) {
    int n = 0;
    if (!(words >> n) || n < 1 || n > 10000) throw OptionError("count: expected 1..10000");
    return n;
  }
  json open(std::istringstream& words) {
    std::string name, parameter, gradient, variant;
    words >> name >> parameter >> gradient >> variant;
    const Job job = {name, parse_shapes(name), parse_type(parameter), parse_type(gradient), variant};
    auto steps = std::make_unique<Steps>(job, storage_, l2_);
    json reply = describe(job, *steps);
    reply["id"] = next_;
    opened_[next_++] = std::move(steps);
    return reply;
  }
  using Opened = std::map<int, std::unique_ptr<Steps>>;
  Opened::iterator find(std::istringstream& words) {
    int id = 0;
    words >> id;
    const auto found = opened_.find(id);
    if (!words || found == opened_.end()) throw OptionError("id: expected one that open gave");
    return found;
  }

  Storage storage_;
  size_t l2_;
  int next_ = 0;
  Opened opened_;
};

}  // namespace

json machine_json(const Machine& machine) {
  return {{"device", machine.device.name},           {"copy_gb_s", machine.copy},
          {"copy_node_gb_s", machine.copy_node},     {"copy_stream_gb_s", machine.copy_stream},
          {"copy_kernel_gb_s", machine.copy_kernel}, {"read_gb_s", machine.read},
          {"l2_bytes", machine.device.l2CacheSize}};
}

void serve(Storage storage) {
  Server server(storage);
  for (std::string line; std::getline(std::cin, line);) {
    json reply;
    try {
      reply = server.answer(line);
    } catch (const std::bad_alloc&) {
      reply = {{"error", "out of memory"}};
    } catch (const SlowStep& error) {  // the device is still at work: there is nothing to go on with
      std::cout << json{{"error", error.what()}}.dump() << std::endl;
      std::_Exit(3);
    } catch (const OptionError& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << std::endl;
  }
}

}  // namespace plumbline::bench
