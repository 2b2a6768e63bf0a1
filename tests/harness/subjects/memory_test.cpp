#include "harness/subjects/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

TEST(GuardedBuffer, StartsAsNanAndKeepsWhatIsWritten) {
  const auto memory = make_host_memory();
  GuardedBuffer buffer(*memory, 64);
  std::vector<std::byte> out(64);
  buffer.read(out);
  float first;
  std::memcpy(&first, out.data(), 4);
  EXPECT_TRUE(std::isnan(first));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 256, 0u);
  std::vector<std::byte> in(64, std::byte{7});
  buffer.write(in);
  buffer.read(out);
  EXPECT_EQ(out, in);
  EXPECT_NO_THROW(buffer.check_guards("buffer"));
}

TEST(GuardedBuffer, NoticesAByteWrittenOutside) {
  const auto memory = make_host_memory();
  for (const auto& [offset, says] :
       {std::pair(-1, "wrote 1 bytes before the buffer"), std::pair(-256, "wrote 256 bytes before"),
        std::pair(100, "wrote 1 bytes past the buffer's end"), std::pair(355, "256 bytes past")}) {
    GuardedBuffer buffer(*memory, 100);
    static_cast<std::byte*>(buffer.data())[offset] ^= std::byte{1};
    try {
      buffer.check_guards("parameter");
      ADD_FAILURE() << offset;
    } catch (const std::runtime_error& e) {
      EXPECT_THAT(e.what(), HasSubstr("parameter: "));
      EXPECT_THAT(e.what(), HasSubstr(says));
    }
  }
}

TEST(GuardedResource, WatchesEveryArena) {
  const auto memory = make_host_memory();
  GuardedResource resource(*memory);
  auto* a = static_cast<std::byte*>(resource.allocate(1000));
  auto* b = static_cast<std::byte*>(resource.allocate(24));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 256, 0u);
  std::memset(a, 0, 1000);
  std::memset(b, 0, 24);
  EXPECT_NO_THROW(resource.check_guards());
  a[1000] = std::byte{0};
  EXPECT_THROW(resource.check_guards(), std::runtime_error);
  resource.deallocate(a, 1000);
  EXPECT_NO_THROW(resource.check_guards());
  b[-1] = std::byte{0};
  EXPECT_THROW(resource.check_guards(), std::runtime_error);
}

}  // namespace
}  // namespace plumbline::harness
