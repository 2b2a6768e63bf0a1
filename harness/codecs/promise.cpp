#include "harness/codecs/promise.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace plumbline::harness::codecs {
namespace {

constexpr double kAdverseBeta1 = 0.9, kAdverseBeta2 = 0.999, kNothing = 1e-30;  // the last: eps1
constexpr double kReached = 0x1p-24;  // of a step: half an ulp of what one step moves
constexpr double kSlack = 1e-9;       // what double loses in both updates

// Gradients of the adverse matrix, and where its regions are.
class Adverse {
 public:
  static constexpr int kRows = 16, kCols = 64, kSteps = 1600, kDied = 400, kFrozen = 800, kForgotten = 400;
  explicit Adverse(uint64_t seed) : random_(seed) {}
  void gradient(int t, std::vector<double>& g) {
    g.resize(size_t(kRows) * kCols);
    for (int i = 0; i < kRows; ++i) {
      const bool seen = i != 1 || t % 50 == 1;
      for (int j = 0; j < kCols; ++j) {
        double x = 1e-3 * normal_(random_);
        if (j >= 8 && j < 12) x *= 1e-6;
        if (i == 3 && j == kCols - 1) x *= 100;
        g[size_t(i) * kCols + size_t(j)] = dead(i, j) || !seen || t > last(i, j) ? 0 : x;
      }
    }
  }
  static bool dead(int i, int j) { return i == 0 || j < 4; }
  // The last step with a gradient.
  static int last(int i, int j) { return j >= 4 && j < 8 ? kDied : i == 2 ? kFrozen : kSteps; }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
};

// Mean of each line of a matrix of squares.
struct Means {
  std::vector<double> row, col;
  Means() : row(Adverse::kRows, 0.0), col(Adverse::kCols, 0.0) {}
  template <class Square>
  explicit Means(Square square) : Means() {
    for (int i = 0; i < Adverse::kRows; ++i)
      for (int j = 0; j < Adverse::kCols; ++j) {
        const double x = square(size_t(i) * Adverse::kCols + size_t(j));
        row[size_t(i)] += x / Adverse::kCols;
        col[size_t(j)] += x / Adverse::kRows;
      }
  }
  double mean() const {
    double sum = 0;
    for (const double r : row) sum += r;
    return sum / double(row.size());
  }
};

void lift(std::vector<double>& to, const std::vector<double>& floor) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = std::max(to[i], floor[i]);
}

// |u' - u| of one store over what is promised: `worth` of a step of the codes, and what lifting V took.
double reach_of(double got, double u, double worth, double v, double lifted) {
  const double phi = std::sqrt(v / lifted), promised = worth + std::max(1 - phi, 0x1p-7) * std::abs(u);
  return got == u ? 0 : std::abs(got - u) / promised;
}

}  // namespace

std::string PromiseRow::broken() const {
  std::string out;
  const auto ask = [&](bool kept, const char* what) {
    if (!kept) out += (out.empty() ? "" : "; ") + std::string(what);
  };
  ask(dead == 0, "a zero is not read as zero");
  ask(died <= kReached, "codes outlive their gradients");
  ask(rms <= 1, "the error is larger than the update");
  ask(reach <= 1 + kSlack, "a store changes an element by more than one step may be worth");
  return out;
}

PromiseRow measure_adverse(const Storage& storage, bool factored, uint64_t seed) {
  using A = Adverse;
  constexpr size_t kCount = size_t(A::kRows) * A::kCols;
  PromiseRow out{factored ? "adverse matrix, factored" : "adverse matrix, full", storage, 0, 0, 0, 0};
  Adverse gradients(seed);
  const auto codec = storage.make();
  std::vector<double> g, exact(kCount, 0.0), stored(kCount, 0.0), before(kCount), full(kCount, 0.0), q(kCount),
      way(kCount, 0.0);
  Means average;
  double error = 0, norm = 0;
  for (int t = 1; t <= A::kSteps; ++t) {
    gradients.gradient(t, g);
    const double bias = std::sqrt(1 - std::pow(kAdverseBeta2, t)) / (1 - std::pow(kAdverseBeta1, t));
    const Means squares([&](size_t k) { return g[k] * g[k] + kNothing; });
    for (size_t k = 0; k < kCount; ++k) {
      exact[k] = kAdverseBeta1 * exact[k] + (1 - kAdverseBeta1) * g[k];
      stored[k] = kAdverseBeta1 * stored[k] + (1 - kAdverseBeta1) * g[k];
      full[k] = kAdverseBeta2 * full[k] + (1 - kAdverseBeta2) * (g[k] * g[k] + kNothing);
    }
    for (size_t i = 0; i < average.row.size(); ++i)
      average.row[i] = kAdverseBeta2 * average.row[i] + (1 - kAdverseBeta2) * squares.row[i];
    for (size_t j = 0; j < average.col.size(); ++j)
      average.col[j] = kAdverseBeta2 * average.col[j] + (1 - kAdverseBeta2) * squares.col[j];
    for (int i = 0; i < A::kRows; ++i) {  // a row is a block, or a part of one
      const std::span<double> row(stored.data() + size_t(i) * A::kCols, size_t(A::kCols));
      codec->begin(row, {{uint32_t(seed), uint32_t(i), uint32_t(t)}, 0, 0});
      const double step = step_at_zero(*codec, storage.rounding);
      for (int j = 0; j < A::kCols; ++j) {
        before[size_t(i) * A::kCols + size_t(j)] = row[size_t(j)];
        row[size_t(j)] = codec->stored(row[size_t(j)], j);
        q[size_t(i) * A::kCols + size_t(j)] = bias * step;
      }
    }
    Means used = average;
    const Means floor([&](size_t k) { return q[k] * q[k]; });
    lift(used.row, floor.row);
    lift(used.col, floor.col);
    const double mean = average.mean();
    for (int i = 0; i < A::kRows; ++i)
      for (int j = 0; j < A::kCols; ++j) {
        const auto k = size_t(i) * A::kCols + size_t(j), r = size_t(i), c = size_t(j);
        const double v = factored ? average.row[r] * average.col[c] / mean : full[k];
        const double lifted = factored ? used.row[r] * used.col[c] / mean : std::max(full[k], q[k] * q[k]);
        const double u = bias * exact[k] / std::sqrt(v), got = bias * stored[k] / std::sqrt(lifted);
        error += (got - u) * (got - u);
        norm += u * u;
        // gamma: by the floor of the column, or of the row where that promises less
        const double gamma = !factored ? 1
                                       : q[k] * std::sqrt(std::min(mean / (average.row[r] * floor.col[c]),
                                                                   mean / (average.col[c] * floor.row[r])));
        out.reach = std::max(out.reach, reach_of(got, bias * before[k] / std::sqrt(v), gamma, v, lifted));
        if (A::dead(i, j) || t > A::last(i, j) + A::kForgotten) {
          way[k] += got - u;
          double& furthest = A::dead(i, j) ? out.dead : out.died;
          furthest = std::max(furthest, std::abs(way[k]));
        }
      }
  }
  out.rms = std::sqrt(error / norm);
  return out;
}

PromiseRow measure_given(const Storage& storage, const Sample& sample, uint64_t seed) {
  PromiseRow out{sample.name + " and dead columns", storage, 0, 0, 0, 0};
  const auto codec = storage.make();
  double error = 0, norm = 0;
  for (size_t part = 0; part < sample.values.size(); ++part) {
    std::vector<double> m, v;
    for (size_t i = 0; i < sample.values[part].size(); ++i) {
      if (i % 63 == 0) m.push_back(0), v.push_back(kNothing);
      m.push_back(sample.values[part][i]);
      v.push_back(sample.second_moments[part][i]);
    }
    for (size_t begin = 0; begin < m.size(); begin += size_t(storage.block)) {
      const auto block = std::span<const double>(m).subspan(begin, std::min(size_t(storage.block), m.size() - begin));
      codec->begin(block, {{uint32_t(seed), uint32_t(part), 0}, int64_t(begin) / storage.block, int64_t(begin)});
      const double q = step_at_zero(*codec, storage.rounding);
      for (size_t i = 0; i < block.size(); ++i) {
        const double exact = v[begin + i], lifted = std::max(exact, q * q), u = block[i] / std::sqrt(exact);
        const double got = codec->stored(block[i], int64_t(i)) / std::sqrt(lifted);
        error += (got - u) * (got - u);
        norm += u * u;
        out.reach = std::max(out.reach, reach_of(got, u, 1, exact, lifted));
        if (exact == kNothing && block[i] == 0) out.dead = std::max(out.dead, std::abs(got));
      }
    }
  }
  out.rms = std::sqrt(error / norm);
  return out;
}

}  // namespace plumbline::harness::codecs
