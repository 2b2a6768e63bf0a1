#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "harness/codecs/samples.h"

namespace plumbline::harness::codecs {
namespace {

constexpr size_t kCount = 16384;
constexpr double kPerDecade = 2.302585092994046;  // ln 10

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  double normal() { return normal_(engine_); }
  double uniform() { return uniform_(engine_); }
  double decades(double spread) { return std::exp(kPerDecade * spread * normal()); }  // log-normal

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
  std::uniform_real_distribution<double> uniform_;
};

using Recipe = std::function<double(Random&)>;

// g = sqrt(v) z with z normal: a gradient of the size that the average says.
Sample second_moment(const std::string& name, const std::string& meaning, Random& random, const Recipe& recipe) {
  Sample s{name, meaning, StateKind::second_moment, SampleOrigin::drawn, false, {{}}, {{}}};
  for (size_t i = 0; i < kCount; ++i) {
    const double v = recipe(random);
    s.values[0].push_back(v);
    s.gradients[0].push_back(std::sqrt(v) * random.normal());
  }
  return s;
}

Sample momentum(const std::string& name, const std::string& meaning, Random& random, const Recipe& recipe) {
  Sample s{name, meaning, StateKind::momentum, SampleOrigin::drawn, false, {{}}, {}};
  for (size_t i = 0; i < kCount; ++i) s.values[0].push_back(recipe(random));
  return s;
}

// Averages x of samples with weight w over many steps, for a per-value scale.
double average(Random& random, double w, int steps, double scale, bool squared) {
  double x = squared ? scale * scale : 0;
  for (int t = 0; t < steps; ++t) {
    const double g = scale * random.normal();
    x += w * ((squared ? g * g : g) - x);
  }
  return x;
}

// Row averages of an embedding: a row that was last seen k steps ago has decayed by (1 - w)^k. Dense: all seen each
// step.
Sample rows(const std::string& name, const std::string& meaning, Random& random, double seen, double w) {
  Sample s = second_moment(name, meaning, random, [&](Random& r) {
    const double since = seen >= 1 ? 0 : std::floor(std::log(r.uniform()) / std::log1p(-seen));
    return 1e-8 * r.decades(0.5) * std::exp(since * std::log1p(-w)) + 1e-30;
  });
  s.factored = true;
  for (size_t i = 0; i < kCount; ++i) s.gradients[0][i] = std::sqrt(s.values[0][i]);
  return s;
}

}  // namespace

std::vector<Sample> drawn_samples(uint64_t seed) {
  std::vector<Sample> out;
  Random random(seed);
  const auto add = [&](const char* name, const char* meaning, const Recipe& recipe) {
    out.push_back(second_moment(name, meaning, random, recipe));
  };
  add("narrow", "log-normal, a quarter of a decade wide", [](Random& r) { return 1e-8 * r.decades(0.25); });
  add("medium", "log-normal, one decade wide", [](Random& r) { return 1e-8 * r.decades(1); });
  add("wide", "log-normal, three decades wide", [](Random& r) { return 1e-10 * r.decades(3); });
  add("outlier", "narrow, and one value in a thousand a million times larger",
      [](Random& r) { return 1e-10 * r.decades(0.25) * (r.uniform() < 1e-3 ? 1e6 : 1); });
  add("two modes", "two narrow modes, eight decades apart",
      [](Random& r) { return (r.uniform() < 0.5 ? 1e-4 : 1e-12) * r.decades(0.25); });
  add("sparse", "one decade wide, nine in ten are 0",
      [](Random& r) { return r.uniform() < 0.9 ? 0 : 1e-8 * r.decades(1); });
  add("averages", "average of g^2 (w = 0.01) under scales half a decade wide",
      [](Random& r) { return average(r, 0.01, 500, 1e-4 * r.decades(0.5), true); });
  out.push_back(rows("rows dense", "row averages, every row seen at every step", random, 1, 0.01));
  out.push_back(rows("rows rare", "row averages, a row seen every 300 steps (w = 0.01)", random, 1.0 / 300, 0.01));
  out.push_back(rows("rows cold", "row averages, a row seen every 3,000 steps (w = 0.01)", random, 1.0 / 3000, 0.01));

  const auto add_momentum = [&](const char* name, const char* meaning, const Recipe& recipe) {
    out.push_back(momentum(name, meaning, random, recipe));
  };
  add_momentum("normal", "normal", [](Random& r) { return 1e-4 * r.normal(); });
  add_momentum("heavy-tailed", "Student's t with 2 degrees of freedom", [](Random& r) {
    return 1e-4 * r.normal() / std::sqrt(-std::log(1 - r.uniform()));  // chi^2 with 2 degrees of freedom, over 2
  });
  add_momentum("sparse", "normal, nine in ten are 0",
               [](Random& r) { return r.uniform() < 0.9 ? 0 : 1e-4 * r.normal(); });
  add_momentum("mixed scales", "normal under scales half a decade wide",
               [](Random& r) { return 1e-4 * r.decades(0.5) * r.normal(); });
  add_momentum("averages", "average of g (w = 0.1) under scales a quarter of a decade wide",
               [](Random& r) { return average(r, 0.1, 100, 1e-4 * r.decades(0.25), false); });
  return out;
}

}  // namespace plumbline::harness::codecs
