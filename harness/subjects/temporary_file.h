// A file in the folder for temporary files.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>

namespace plumbline::harness {

// A name for a checkpoint; the file goes with this.
class TemporaryFile {
 public:
  TemporaryFile() {
    static std::atomic<unsigned> files = 0;
    path_ = std::filesystem::temp_directory_path() / fmt::format("plumbline-{}-{}.safetensors", getpid(), files++);
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace plumbline::harness
