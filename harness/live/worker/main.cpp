// plumbline-worker LIBRARY: runs one subject of the C ABI for a driver, which hands over a socket and shared memory.
#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "harness/live/worker/session.h"

namespace plumbline::harness::live {
namespace {

// One line of dlopen's several.
std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
}

const plumbline_subject_v1& load(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(fmt::format("no library that can be loaded: {}", one_line(::dlerror())));
  void* symbol = ::dlsym(library, "plumbline_subject");
  if (!symbol) throw std::runtime_error("exports no symbol plumbline_subject");
  using Entry = const plumbline_subject_v1* (*)();
  const plumbline_subject_v1* table = reinterpret_cast<Entry>(symbol)();
  if (!table) throw std::runtime_error("plumbline_subject() returned null");
  if (table->abi != PLUMBLINE_SUBJECT_ABI)
    throw std::runtime_error(fmt::format("has version {} of the subject ABI: this worker knows version {}", table->abi,
                                         PLUMBLINE_SUBJECT_ABI));
  if (!PLUMBLINE_HAS(table, plumbline_subject_v1, finish))
    throw std::runtime_error(
        fmt::format("plumbline_subject_v1 of {} bytes: too short for describe, start, step and finish", table->size));
  if (!table->describe || !table->start || !table->step || !table->finish)
    throw std::runtime_error("describe, start, step or finish is null");
  return *table;
}

class Worker {
 public:
  Worker(int socket, int memory) : socket_(socket), file_(memory) { remap(); }

  void serve(const std::string& path) {
    std::thread([socket = socket_] {  // a worker whose driver is gone is of no use, wherever it hangs
      pollfd end{socket, 0, 0};
      while (::poll(&end, 1, -1) <= 0 || !(end.revents & (POLLHUP | POLLERR))) {
      }
      ::_exit(0);
    })
        .detach();
    const plumbline_subject_v1* subject = nullptr;
    try {
      subject = &load(path);
      const char* said = subject->describe();
      if (!said) throw std::runtime_error("describe() returned null");
      if (std::strlen(said) > size_t(kTextCapacity)) throw std::runtime_error("describe() returned more than 256 KiB");
      answer(Kind::hello, {kOk, said, 0, 0});
    } catch (const std::exception& e) {
      answer(Kind::hello, {kFailed, e.what(), 0, 0});
      return;
    }
    Message message;
    while (::recv(socket_, &message, sizeof message, 0) == ssize_t(sizeof message)) {
      if (message.memory > int64_t(bytes_)) remap();
      answer(Kind::reply, handle(*subject, message));
    }
  }

 private:
  Answer handle(const plumbline_subject_v1& subject, const Message& message) try {
    const std::span<std::byte> memory(memory_, bytes_);
    switch (message.kind) {
      case Kind::start:
        session_.reset();
        session_ = std::make_unique<ForeignSession>(
            subject,
            nlohmann::json::parse(reinterpret_cast<const char*>(memory_),
                                  reinterpret_cast<const char*>(memory_) + message.text),
            bytes_);
        return session_->start(memory);
      case Kind::step:
        return session().step(message.t, absent(message), message.state_at, memory);
      case Kind::state:
        return session().show_state(message.state_at, memory);
      case Kind::reload:
        return session().reload(memory);
      case Kind::finish:
        session_.reset();
        return {};
      default:
        return {kFailed, fmt::format("message {}: unknown", int(message.kind)), 0, 0};
    }
  } catch (const std::exception& e) {
    return {kFailed, fmt::format("the library threw: {}", e.what()), 0, 0};
  } catch (...) {
    return {kFailed, "the library threw something", 0, 0};
  }

  std::vector<size_t> absent(const Message& message) const {
    if (message.text == 0) return {};
    const auto* text = reinterpret_cast<const char*>(memory_);
    return nlohmann::json::parse(text, text + message.text).at("absent").get<std::vector<size_t>>();
  }

  ForeignSession& session() {
    if (!session_) throw std::runtime_error("no session");
    return *session_;
  }

  void answer(Kind kind, Answer answer) {
    std::fflush(stdout);  // what the library wrote there is seen with the step that wrote it
    std::fflush(stderr);
    if (answer.text.size() > size_t(kTextCapacity)) answer.text.resize(size_t(kTextCapacity));
    if (!answer.text.empty()) std::memcpy(memory_, answer.text.data(), answer.text.size());
    Message message;
    message.kind = kind;
    message.status = answer.status;
    message.text = int64_t(answer.text.size());
    message.memory = answer.memory;
    message.skipped = answer.skipped;
    if (::send(socket_, &message, sizeof message, MSG_NOSIGNAL) != ssize_t(sizeof message)) ::_exit(0);
  }

  void remap() {
    if (memory_) ::munmap(memory_, bytes_);
    struct stat status {};
    if (::fstat(file_, &status) != 0 || status.st_size < kTextCapacity) throw std::runtime_error("no shared memory");
    bytes_ = size_t(status.st_size);
    void* mapped = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (mapped == MAP_FAILED) throw std::runtime_error("the shared memory cannot be mapped");
    memory_ = static_cast<std::byte*>(mapped);
  }

  int socket_, file_;
  std::byte* memory_ = nullptr;
  size_t bytes_ = 0;
  std::unique_ptr<ForeignSession> session_;
};

int descriptor(const char* text) {
  int value = -1;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  return error == std::errc{} && at == end && ::fcntl(value, F_GETFD) >= 0 ? value : -1;
}

}  // namespace
}  // namespace plumbline::harness::live

int main(int argc, char** argv) {
  using namespace plumbline::harness::live;
  const int socket = argc == 4 ? descriptor(argv[1]) : -1, memory = argc == 4 ? descriptor(argv[2]) : -1;
  if (socket < 0 || memory < 0) {
    std::fprintf(stderr,
                 "plumbline-worker SOCKET MEMORY LIBRARY: runs a library of plumbline_subject.h for `plumbline verify "
                 "--subject LIBRARY`, which starts it and hands over the two descriptors\n");
    return 2;
  }
  try {
    Worker(socket, memory).serve(argv[3]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "plumbline-worker: %s\n", e.what());
    return 2;
  }
  ::_exit(0);  // the library's threads, if it left any, are no reason to stay
}
