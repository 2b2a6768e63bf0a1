#include "harness/data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>

#include "harness/data_folder.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

// A counter-based generator: value i of a stream depends on (seed, stream, i) alone, so a step can be made without the
// others.
uint64_t mix(uint64_t z) {  // splitmix64, Steele, Lea & Flood 2014
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

class Stream {
 public:
  Stream(uint64_t seed, uint64_t stream) : key_(mix(mix(seed) + stream)) {}
  uint64_t bits(uint64_t i) const { return mix(key_ + i); }
  double uniform(uint64_t i) const { return double(bits(i) >> 11) * 0x1p-53; }
  int below(uint64_t i, int n) const { return int((bits(i) >> 32) * uint64_t(n) >> 32); }
  uint64_t pick(uint64_t i, uint64_t n) const { return (bits(i) >> 32) * n >> 32; }  // below n <= 2^32
  // Sum of four 16-bit uniforms, centred and scaled to variance 1: bell-shaped, |x| < 3.47, never 0, all 18 bits
  // random.
  double bell(uint64_t i) const {
    const uint64_t b = bits(i);
    const auto sum = int64_t((b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48));
    return (double(sum - 131070) + 0.5) * (1.0 / 37837.2);
  }

 private:
  uint64_t key_;
};

// Tensors of one optimizer get data of their own.
uint64_t seed_of(const Problem& problem) { return problem.seed + (uint64_t(problem.place) << 40); }

enum StreamId : uint64_t { kParameter = 1, kRows = 2, kCols = 3, kGradient = 16 };  // kGradient + step

}  // namespace

std::filesystem::path trace_path(const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".safetensors")) return name;
  return data_file("traces/" + name + ".safetensors");
}

DataSource::DataSource(const Problem& problem) : problem_(problem) {
  if (problem.data.trace.empty()) return;
  trace_ = Trace::shared(trace_path(problem.data.trace));
  const Trace::TensorInfo& info = trace_->tensor(problem.data.tensor);
  if (info.shape != problem.shape)
    throw InputError(fmt::format("{}: tensor {} has shape {}: the case says {}", trace_->file(), info.name,
                                 fmt::join(info.shape, "x"), fmt::join(problem.shape, "x")));
  for (int64_t t = 1; t <= std::min(problem.steps, trace_->steps()); ++t)
    if (!trace_->has(fmt::format("grad/{}@{}", info.name, t)))
      throw InputError(fmt::format("{}: grad/{}@{} is missing", trace_->file(), info.name, t));
  if (problem.steps > trace_->steps() && !problem.data.repeat)
    throw InputError(
        fmt::format("{}: holds {} steps: the case asks for {}", trace_->file(), trace_->steps(), problem.steps));
}

void DataSource::initial_parameter(Realized& out) const {
  const auto n = static_cast<size_t>(problem_.elements());
  std::vector<double> values(n);
  if (trace_) {
    const reference::Tensor p = trace_->parameter(problem_.data.tensor, 0);
    std::copy(p.data.begin(), p.data.end(), values.begin());
  } else {
    const Stream stream(seed_of(problem_), kParameter);
    const double scale = std::ldexp(1.0, problem_.data.parameter_exponent);
    for (size_t i = 0; i < n; ++i) values[i] = stream.below(~i, 16) == 0 ? 0.0 : stream.bell(i) * scale;
  }
  out.values.shape = problem_.shape;
  out.values.data.resize(static_cast<Eigen::Index>(n));
  out.bytes.resize(n * size_of(problem_.parameter));
  store(problem_.parameter, values, out.bytes.data());
  load(problem_.parameter, out.bytes.data(), {out.values.data.data(), n});
}

void DataSource::gradient(int64_t step, Realized& out) const {
  const auto n = static_cast<size_t>(problem_.elements());
  thread_local std::vector<double> values;
  values.resize(n);
  if (trace_) {
    const reference::Tensor g = trace_->gradient(problem_.data.tensor, (step - 1) % trace_->steps() + 1);
    std::copy(g.data.begin(), g.data.end(), values.begin());
  } else {
    generate(step, values);
  }
  out.values.shape = problem_.shape;
  out.values.data.resize(static_cast<Eigen::Index>(n));
  out.bytes.resize(n * size_of(problem_.gradient));
  store(problem_.gradient, values, out.bytes.data());
  load(problem_.gradient, out.bytes.data(), {out.values.data.data(), n});
}

void DataSource::generate(int64_t step, std::vector<double>& out) const {
  const Regime regime = problem_.data.regime;
  const int64_t n = problem_.shape.back(), rows = std::max<int64_t>(1, problem_.elements() / n);
  const Stream stream(seed_of(problem_), kGradient + static_cast<uint64_t>(regime == Regime::frozen ? 1 : step));
  const Stream row_stream(seed_of(problem_), kRows), col_stream(seed_of(problem_), kCols);
  const int later = int(std::min<int64_t>(step - 1, 1000));
  const int octaves = regime == Regime::growing ? 2 * later : regime == Regime::vanishing ? -12 * later : 0;
  const double scale = std::ldexp(1.0, problem_.data.exponent + octaves);
  const auto count = static_cast<uint64_t>(rows * n);

  switch (regime) {
    case Regime::constant:
      std::fill(out.begin(), out.end(), scale);
      return;
    case Regime::rank_one:
      for (int64_t i = 0; i < rows; ++i) {
        const double r = stream.bell(uint64_t(i)) * scale;
        for (int64_t j = 0; j < n; ++j) out[size_t(i * n + j)] = r * stream.bell(uint64_t(rows + j));
      }
      return;
    case Regime::extreme:
      for (uint64_t i = 0; i < count; ++i) {
        const int exponent = stream.below(2 * i, 66) - 60;
        const double x = stream.bell(2 * i + 1);
        out[i] = exponent == -60 ? std::copysign(0.0, x) : std::ldexp(x, exponent == -59 ? -140 : exponent);
      }
      return;
    case Regime::subnormal: {
      const int low = std::ilogb(smallest_subnormal(problem_.gradient));
      for (uint64_t i = 0; i < count; ++i) out[i] = std::ldexp(stream.bell(2 * i + 1), low + stream.below(2 * i, 30));
      return;
    }
    default:
      break;
  }
  for (uint64_t i = 0; i < count; ++i) out[i] = stream.bell(i) * scale;

  switch (regime) {
    case Regime::wide:
      for (int64_t i = 0; i < rows; ++i) {
        const double r = std::ldexp(1.0, row_stream.below(uint64_t(i), 25) - 12);
        for (int64_t j = 0; j < n; ++j)
          out[size_t(i * n + j)] *= r * std::ldexp(1.0, col_stream.below(uint64_t(j), 25) - 12);
      }
      break;
    case Regime::heavy_tail:
      for (uint64_t i = 0; i < count; ++i)
        if (stream.below(count + i, 64) == 0) out[i] *= std::ldexp(1.0, 6 + stream.below(2 * count + i, 6));
      break;
    case Regime::sparse_rows:
      for (int64_t i = 0; i < rows; ++i)
        if (i != step % rows && stream.below(count + uint64_t(i), 10) != 0) std::fill_n(out.begin() + i * n, n, 0.0);
      break;
    case Regime::zero_rows:
      for (int64_t i = 0; i < rows; ++i)
        if (row_stream.below(uint64_t(i), 5) == 0) std::fill_n(out.begin() + i * n, n, 0.0);
      break;
    case Regime::zero_cols:
      for (int64_t j = 0; j < n; ++j)
        if (col_stream.below(uint64_t(j), 5) == 0)
          for (int64_t i = 0; i < rows; ++i) out[size_t(i * n + j)] = 0;
      break;
    case Regime::rare_rows:
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t period = int64_t{1} << row_stream.below(uint64_t(i), 4);
        const bool seen = (step + row_stream.below(~uint64_t(i), 8)) % period == 0;
        if (!seen && i != step % rows) std::fill_n(out.begin() + i * n, n, 0.0);
      }
      break;
    case Regime::paused:
      if (step % 3 != 1) std::fill(out.begin(), out.end(), 0.0);
      break;
    case Regime::outlier:
      for (uint64_t first = 0; first < count; first += 64)
        out[first + row_stream.pick(first, std::min<uint64_t>(64, count - first))] *= 1024;
      break;
    case Regime::spike:
      if (step == 2) out[row_stream.pick(~uint64_t{0}, count)] = 1024 * scale;
      break;
    case Regime::nonfinite: {
      constexpr double kOdd[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(), 0x1p50, -0x1.8p60};
      if (step % 2 != 0) break;
      const bool propagate = problem_.options.nonfinite == reference::Nonfinite::propagate;
      const bool narrow = problem_.gradient == DType::float16;  // 2^50 is an infinity there
      for (int k = 0; k < 5; ++k)
        out[stream.pick(count + uint64_t(k), count)] = kOdd[propagate ? 0 : narrow ? k % 3 : k];
      break;
    }
    default:
      break;
  }
}

}  // namespace plumbline::harness
