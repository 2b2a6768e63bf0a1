#include "harness/live/worker/buffers.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace plumbline::harness::live {
namespace {

constexpr size_t kGuard = 256;      // bytes before and behind
constexpr std::byte kPoison{0xff};  // NaN in every floating-point type
constexpr size_t kMovements = 8;    // places within the slack, in alignments

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// The first byte in [begin, end) that is no poison; `end` where all are.
const std::byte* first_written(const std::byte* begin, const std::byte* end) {
  const auto n = size_t(end - begin);
  if (n == 0 || (*begin == kPoison && std::memcmp(begin, begin + 1, n - 1) == 0)) return end;
  return std::find_if(begin, end, [](std::byte b) { return b != kPoison; });
}

}  // namespace

LentBuffer::LentBuffer(std::string what, size_t bytes, size_t element, size_t alignment)
    : what_(std::move(what)), bytes_(bytes), element_(element), alignment_(std::max(element, alignment)) {
  const auto page = size_t(::sysconf(_SC_PAGESIZE));
  const size_t room = round_up(2 * kGuard + bytes + (kMovements + 1) * alignment_, page);
  mapped_bytes_ = 2 * (room + page);
  void* memory = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(memory);
  for (int k = 0; k < 2; ++k) {
    places_[k].begin = mapped_ + size_t(k) * (room + page);
    places_[k].end = places_[k].begin + room;
    std::memset(places_[k].begin, int(kPoison), room);
    ::mprotect(places_[k].end, page, PROT_NONE);
  }
}

LentBuffer::~LentBuffer() { ::munmap(mapped_, mapped_bytes_); }

std::byte* LentBuffer::lend(int64_t t, const std::byte* from) {
  const Place& place = places_[t % 2];
  std::byte* to;
  if (t % 2 == 0) {  // as near to the page behind it as its alignment allows
    to = place.end - round_up(bytes_, alignment_);
  } else {
    to = place.begin + round_up(kGuard, alignment_) + size_t(t / 2 + 1) % kMovements * alignment_;
    // Of 64 bytes, an odd number of alignments off: vector code that supposes more stumbles here.
  }
  std::memcpy(to, from, bytes_);
  if (data_) std::memset(data_, int(kPoison), bytes_);
  place_ = &place;
  data_ = to;
  return to;
}

std::string LentBuffer::damage() const {
  for (const Place& place : places_) {
    const bool current = &place == place_;
    const std::byte* begin = current ? data_ : place.end;
    const std::byte* end = current ? data_ + bytes_ : place.end;
    if (const std::byte* at = first_written(place.begin, begin); at != begin)
      return current ? fmt::format("wrote outside: {} bytes before {}", begin - at, what_)
                     : fmt::format("wrote to where {} was in the step before", what_);
    if (const std::byte* at = first_written(end, place.end); at != place.end)
      return fmt::format("wrote outside: {} bytes behind the end of {}", at - end + 1, what_);
  }
  return "";
}

}  // namespace plumbline::harness::live
