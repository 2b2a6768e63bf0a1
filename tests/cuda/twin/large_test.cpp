// More than 2^31 elements, each at its place. The data repeats, and an element's step depends on nothing but itself, so
// that every repetition has to end with the bits of a small tensor; an index that wrapped would meet another element.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <thread>

#include "tests/cuda/api/training.h"

namespace plumbline {
namespace {

// Memory in large pages, where the system has them: half of the time would go into small ones.
class LargePages final : public MemoryResource {
 public:
  void* allocate(size_t bytes) override {
    constexpr size_t kPage = size_t(2) << 20;
    void* const memory = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (memory == nullptr) throw std::bad_alloc();
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
  }
  void deallocate(void* memory, size_t) noexcept override { std::free(memory); }
};
class Bytes {
 public:
  explicit Bytes(size_t size) : data_(static_cast<std::byte*>(LargePages().allocate(size))), size_(size) {}
  ~Bytes() { LargePages().deallocate(data_, size_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_;
  size_t size_;
};

constexpr int64_t kPeriod = 3 * 7 * 65536;  // of whole blocks, and no power of two is a multiple of it

struct Large {
  const char* name;
  std::vector<int64_t> shape, small;
  bool signs;  // gradients of one size, so that means of their squares are exact
  int steps;   // the second one reads what the first one stored
  OptionList options;
};
class LargeTensors : public testing::TestWithParam<Large> {};

void repeat(Values& pattern, const Bytes& all) {
  for (size_t at = 0; at < all.size(); at += size_t(kPeriod) * 2)
    std::memcpy(all.data() + at, pattern.data(), std::min(size_t(kPeriod) * 2, all.size() - at));
}
// The first byte that differs from `pattern` again and again, or -1.
int64_t first_difference(std::span<const std::byte> all, std::span<const std::byte> pattern) {
  for (size_t at = 0; at < all.size(); at += pattern.size()) {
    const size_t count = std::min(pattern.size(), all.size() - at);
    if (std::memcmp(all.data() + at, pattern.data(), count) == 0) continue;
    return int64_t(at) + (std::mismatch(pattern.begin(), pattern.begin() + ptrdiff_t(count), all.begin() + at).first -
                          pattern.begin());
  }
  return -1;
}

TEST_P(LargeTensors, HaveEveryElementAtItsPlace) {
  const Large& large = GetParam();
  const TensorSpec spec = {"w", large.shape, Type::bfloat16, Type::bfloat16};
  const int64_t size = elements(spec);
  ASSERT_GT(size, int64_t(1) << 31);
  const auto available = size_t(sysconf(_SC_AVPHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
  if (available < 8 * size_t(size)) GTEST_SKIP() << "needs " << 8 * size << " bytes of memory";

  const auto pattern = [&](uint64_t seed, double scale, bool signs) {
    Values values(kPeriod, Type::bfloat16);
    if (!signs) values.fill(scale, seed);
    std::mt19937_64 random(seed);
    for (int64_t i = 0; signs && i < kPeriod; ++i) values.set(i, random() % 2 == 0 ? 0x1p-7f : -0x1p-7f);
    return values;
  };
  Values parameter = pattern(1, 0.5, false), gradient = pattern(2, 1e-2, large.signs);
  const Bytes parameters(size_t(size) * 2), gradients(size_t(size) * 2);
  repeat(parameter, parameters);
  repeat(gradient, gradients);

  const std::vector<GroupOptions> groups = {options_of(large.options)};
  LargePages memory;
  const int threads = int(std::max(1u, std::thread::hardware_concurrency()));
  Optimizer optimizer({spec}, groups, {.memory = &memory, .threads = threads});
  Optimizer small({{"w", large.small, Type::bfloat16, Type::bfloat16}}, groups, {});
  ASSERT_EQ(elements(small.tensors()[0]), kPeriod);
  const Values before = parameter;
  const TensorPointers pointers[] = {{parameters.data(), gradients.data()}};
  const TensorPointers few[] = {{parameter.data(), gradient.data()}};
  for (int t = 1; t <= large.steps; ++t) {
    optimizer.step(pointers);
    small.step(few);
  }
  EXPECT_FALSE(parameter == before);
  EXPECT_EQ(first_difference({parameters.data(), parameters.size()}, parameter.span().first(size_t(kPeriod) * 2)), -1);
}

INSTANTIATE_TEST_SUITE_P(
    Past, LargeTensors,
    testing::Values(
        Large{
            "Vector", {(int64_t(1) << 31) + 12288}, {kPeriod}, false, 1, {{"clip", "0"}, {"scale_parameter", "false"}}},
        Large{"Matrix", {65600, 32768}, {42, 32768}, true, 2, {{"scale_parameter", "false"}, {"beta1", "0.9"}}}),
    [](const auto& large) { return std::string(large.param.name); });

}  // namespace
}  // namespace plumbline
