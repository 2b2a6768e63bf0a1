#include "harness/live/process.h"
#include "harness/data_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "harness/error.h"

namespace plumbline::harness::live {
namespace {

constexpr size_t kMostOutput = 1 << 20;  // bytes between two messages
constexpr size_t kShown = 160;           // characters of output in a reason
constexpr std::string_view kPython = "python:";

[[noreturn]] void throw_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::filesystem::path beside_this_program(const char* name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? value : nullptr;
}

// The last line that says something, printable and short.
std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (const size_t at = text.rfind('\n'); at != text.npos) text.remove_prefix(at + 1);
  std::string out(text.substr(0, kShown));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return out;
}

void close_on_exec_pipe(int (&ends)[2]) {
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

}  // namespace

bool names_live_subject(std::string_view name) {
  return name.starts_with(kPython) || name.find('/') != name.npos || name.ends_with(".so");
}

WorkerProcess::WorkerProcess(const std::string& subject, const WorkerOptions& options) : options_(options) {
  try {
    spawn(subject);
    Message hello;
    try {
      hello = receive(options.start_seconds, "while it was loaded");
    } catch (const WorkerFault& e) {
      throw InputError(fmt::format("subject {}: {}", subject, e.what()));
    }
    description_ = text(hello);
    if (hello.kind != Kind::hello || hello.status != kOk)
      throw InputError(fmt::format("subject {}: {}", subject, description_));
  } catch (...) {
    end();
    throw;
  }
}

WorkerProcess::~WorkerProcess() { end(); }

void WorkerProcess::end() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  for (int* fd : {&socket_, &file_, &out_, &err_})
    if (*fd >= 0) {
      ::close(*fd);
      *fd = -1;
    }
  if (memory_) ::munmap(memory_, size_);
  memory_ = nullptr;
}

void WorkerProcess::spawn(const std::string& subject) {
  int sockets[2], out[2], err[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) throw_errno("socketpair");
  socket_ = sockets[0];
  // Sealed against shrinking: what a stranger truncates would end the driver.
  file_ = ::memfd_create("plumbline", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file_ < 0) throw_errno("memfd_create");
  memory(0);
  if (::fcntl(file_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) throw_errno("F_ADD_SEALS");
  close_on_exec_pipe(out);
  close_on_exec_pipe(err);
  out_ = out[0];
  err_ = err[0];

  // Descriptors of the worker: 0 nothing, 1 and 2 pipes, 3 the socket, 4 the memory. First beyond all of these, so that
  // none is overwritten before it is moved.
  const int high_socket = ::fcntl(sockets[1], F_DUPFD_CLOEXEC, 16), high_memory = ::fcntl(file_, F_DUPFD_CLOEXEC, 16);
  const int high_out = ::fcntl(out[1], F_DUPFD_CLOEXEC, 16), high_err = ::fcntl(err[1], F_DUPFD_CLOEXEC, 16);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, high_out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, high_err, 2);
  ::posix_spawn_file_actions_adddup2(&actions, high_socket, 3);
  ::posix_spawn_file_actions_adddup2(&actions, high_memory, 4);

  std::vector<std::string> words;
  std::vector<std::string> environment;
  for (char** at = environ; *at; ++at) environment.emplace_back(*at);
  if (subject.starts_with(kPython)) {
    const char* python = variable("PLUMBLINE_PYTHON");
    words = {python ? python : "python3", "-m", "plumbline.worker", "3", "4", subject.substr(kPython.size())};
    std::string path = std::filesystem::current_path().string();
    for (const char* more : {variable("PLUMBLINE_PYTHON_PACKAGE"), variable("PYTHONPATH")})
      if (more) path += fmt::format(":{}", more);
    if (const auto package = folder_of_program("python"); !variable("PLUMBLINE_PYTHON_PACKAGE") && !package.empty())
      path += ":" + package.string();
    std::erase_if(environment, [](const std::string& e) { return e.starts_with("PYTHONPATH="); });
    environment.push_back("PYTHONPATH=" + path);
    if (!variable("OMP_NUM_THREADS")) environment.emplace_back("OMP_NUM_THREADS=1");  // there is a worker a core
  } else {
    words = {beside_this_program("plumbline-worker").string(), "3", "4", subject};
  }
  std::vector<char*> arguments, variables;
  for (std::string& word : words) arguments.push_back(word.data());
  for (std::string& entry : environment) variables.push_back(entry.data());
  arguments.push_back(nullptr);
  variables.push_back(nullptr);
  const int error = ::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), variables.data());
  ::posix_spawn_file_actions_destroy(&actions);
  for (const int fd : {high_socket, high_memory, high_out, high_err, sockets[1], out[1], err[1]}) ::close(fd);
  if (error != 0) {
    pid_ = -1;
    throw InputError(fmt::format("worker {}: {}", words[0], std::strerror(error)));
  }
}

std::span<std::byte> WorkerProcess::memory(size_t bytes) {
  const size_t wanted = size_t(kTextCapacity) + bytes;
  if (memory_ && wanted <= size_) return memory();
  if (memory_) ::munmap(memory_, size_);
  memory_ = nullptr;
  size_ = std::max(wanted, 2 * size_);
  if (::ftruncate(file_, off_t(size_)) != 0) throw_errno("ftruncate");
  void* mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (mapped == MAP_FAILED) throw_errno("mmap");
  memory_ = static_cast<std::byte*>(mapped);
  return memory();
}

// Takes what the worker has printed so far.
void WorkerProcess::drain() {
  std::array<char, 4096> buffer;
  for (const int fd : {out_, err_})
    for (ssize_t n; written_ <= kMostOutput && (n = ::read(fd, buffer.data(), buffer.size())) > 0;) {
      written_ += size_t(n);
      std::string& kept = fd == out_ ? printed_ : said_;
      kept.append(buffer.data(), size_t(n));
      if (fd == out_) kept.resize(std::min(kept.size(), kShown));
      if (fd == err_ && kept.size() > 2 * buffer.size()) kept.erase(0, kept.size() - buffer.size());
    }
}

void WorkerProcess::fault(const std::string& what) {
  end();
  throw WorkerFault(what);
}

// How it came to its end, in words.
std::string WorkerProcess::ended(std::string_view doing) {
  int status = 0;
  // A worker may close its socket and live.
  for (int waited = 0; waited < 2000 && ::waitpid(pid_, &status, WNOHANG) == 0; ++waited) {
    ::usleep(1000);
    if (waited == 1999) return fmt::format("closed its socket {}", doing);
  }
  pid_ = -1;
  drain();
  const std::string last = last_line(said_);
  const std::string tail = last.empty() ? "" : fmt::format("; its last words: {}", last);
  if (WIFSIGNALED(status))
    return fmt::format("crashed {}: signal {} ({}){}", doing, WTERMSIG(status), ::strsignal(WTERMSIG(status)), tail);
  return fmt::format("exited {} with code {}{}", doing, WEXITSTATUS(status), tail);
}

Message WorkerProcess::receive(double seconds, std::string_view doing) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) {
      drain();
      const std::string last = last_line(said_);
      fault(fmt::format("no answer {} within {:g} s{}", doing, seconds,
                        last.empty() ? "" : fmt::format("; its last words: {}", last)));
    }
    pollfd ends[3] = {{socket_, POLLIN, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}};
    if (::poll(ends, 3, int(std::min<long long>(left + 1, 1000))) < 0 && errno != EINTR) throw_errno("poll");
    if (ends[1].revents || ends[2].revents) drain();
    if (written_ > kMostOutput)
      fault(fmt::format("endless output {}: more than {} KiB, last: {}", doing, kMostOutput >> 10,
                        last_line(said_ + printed_)));
    if (!ends[0].revents) {
      // A pipe that the worker has closed is always ready.
      if ((ends[1].revents | ends[2].revents) & POLLHUP) ::usleep(1000);
      continue;
    }
    Message message;
    const ssize_t n = ::recv(socket_, &message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) {
      fault(ended(doing));
    }
    drain();
    if (n != ssize_t(sizeof message) || message.protocol != kProtocol)
      fault(fmt::format("answered {} in no protocol of this version", doing));
    if (message.text < 0 || message.text > kTextCapacity)
      fault(fmt::format("answered {} with {} bytes of text", doing, message.text));
    if (!printed_.empty()) fault(fmt::format("wrote to standard output {}: '{}'", doing, last_line(printed_)));
    written_ = 0;
    return message;
  }
}

Message WorkerProcess::ask(Message message, std::string_view words, std::string_view doing) {
  if (words.size() > size_t(kTextCapacity)) throw std::logic_error("a text beyond its capacity");
  if (!words.empty()) std::memcpy(memory_, words.data(), words.size());
  message.text = int64_t(words.size());
  message.memory = int64_t(size_);
  written_ = 0;
  if (::send(socket_, &message, sizeof message, MSG_NOSIGNAL) != ssize_t(sizeof message)) fault(ended(doing));
  Message answer = receive(options_.step_seconds, doing);
  if (answer.kind != Kind::reply) fault(fmt::format("answered {} with another kind of message", doing));
  if (answer.status == kBroken) fault(fmt::format("{} {}", text(answer), doing));
  return answer;
}

std::string WorkerProcess::text(const Message& answer) const {
  return {reinterpret_cast<const char*>(memory_), size_t(answer.text)};
}

}  // namespace plumbline::harness::live
