// Memory that is lent to foreign code: at another place in every step, between guard words or against a page that
// nobody may touch, and poisoned where nobody has written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace plumbline::harness::live {

class LentBuffer {
 public:
  // Two places of `bytes` each. `alignment` of addresses, at least that of an element.
  LentBuffer(std::string what, size_t bytes, size_t element, size_t alignment);
  ~LentBuffer();
  LentBuffer(const LentBuffer&) = delete;
  LentBuffer& operator=(const LentBuffer&) = delete;

  // Moves to the place of step t and copies `from` there; the place before is poisoned.
  std::byte* lend(int64_t t, const std::byte* from);
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // What was written outside, in words; empty where nothing was.
  std::string damage() const;

 private:
  struct Place {
    std::byte* begin = nullptr;  // of memory that may be written; an unmapped page follows `end`
    std::byte* end = nullptr;
  };
  std::string what_;
  size_t bytes_, element_, alignment_;
  std::byte* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  Place places_[2];
  const Place* place_ = nullptr;
  std::byte* data_ = nullptr;
};

}  // namespace plumbline::harness::live
