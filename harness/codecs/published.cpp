#include "harness/codecs/published.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>

#include "harness/data_folder.h"
#include "harness/error.h"
#include "harness/trace.h"

namespace plumbline::harness::codecs {
namespace {

constexpr size_t kCount = 8192, kBlock = 2048;
constexpr float kSmallest = 0x1p-126f;

std::vector<float> array(const SafeTensors& file, const std::string& name) {
  const SafeTensors::Array* a = file.find(name);
  if (!a || a->dtype != "F32" || a->elements() != int64_t(kCount))
    throw InputError(fmt::format("{}: array {} is {}: expected {} values of type F32", file.name(), name,
                                 a ? fmt::format("{} of type {}", a->elements(), a->dtype) : "missing", kCount));
  std::vector<float> out(kCount);
  std::memcpy(out.data(), file.data(*a), kCount * sizeof(float));
  return out;
}

// al8 without its clamps, which no value of the study reaches.
void adaptive(std::span<const float> v, std::span<float> out) {
  float lo = 0, hi = 0;
  bool any = false;
  for (const float x : v) {
    if (x == 0) continue;
    const float l = std::log2(x);
    lo = any ? std::min(lo, l) : l;
    hi = any ? std::max(hi, l) : l;
    any = true;
  }
  if (lo == hi) lo = hi - 1;
  const float r = hi - lo;
  for (size_t i = 0; i < v.size(); ++i) {
    if (v[i] == 0) {
      out[i] = 0;
      continue;
    }
    const float code = std::clamp(std::nearbyint((std::log2(v[i]) - lo) / r * 254 + 1), 1.0f, 255.0f);
    out[i] = std::exp2((code - 1) / 254 * r + lo);
  }
}

void fixed_floor(int floor, std::span<const float> v, std::span<float> out) {
  const auto lo = static_cast<float>(floor);
  const auto log = [&](float x) { return std::log2(std::max(x, std::ldexp(1.0f, floor))); };
  float hi = lo;
  for (const float x : v) hi = std::max(hi, log(x));
  if (hi <= lo) hi = lo + 1;
  const float r = hi - lo;
  for (size_t i = 0; i < v.size(); ++i) {
    const float code = std::clamp(std::nearbyint((log(v[i]) - lo) / r * 255), 0.0f, 255.0f);
    out[i] = std::exp2(code / 255 * r + lo);
  }
}

void measure(std::span<const float> v, std::span<const float> stored, std::span<const float> g, PublishedRow& row) {
  double error = 0, norm = 0, update_error = 0, update_norm = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double exact = v[i], got = stored[i];
    if (exact != 0) {
      error += (got - exact) * (got - exact);
      norm += exact * exact;
    }
    const double u = g[i] / std::sqrt(std::max(v[i], kSmallest)), w = g[i] / std::sqrt(std::max(stored[i], kSmallest));
    update_error += (w - u) * (w - u);
    update_norm += u * u;
  }
  row.measured_values = 100 * std::sqrt(error / norm);
  row.measured_update = 100 * std::sqrt(update_error / update_norm);
}

bool same_digits(double measured, double printed) {
  return fmt::format("{:.3f}", measured) == fmt::format("{:.3f}", printed);
}

}  // namespace

bool PublishedRow::reproduced() const {
  return same_digits(measured_values, values) && same_digits(measured_update, update);
}

std::filesystem::path published_inputs() { return data_file("codec_study/A1.safetensors"); }

std::vector<PublishedRow> reproduce_published(const std::filesystem::path& inputs) {
  struct Printed {
    const char* distribution;
    std::optional<int> floor;
    double values, update;
  };
  // As printed, blocks of 2048.
  static const Printed kPrinted[] = {
      {"narrow_0.5dec", {}, 0.079, 0.039}, {"narrow_0.5dec", -126, 8.430, 4.200}, {"narrow_0.5dec", -40, 2.104, 1.052},
      {"medium_10dec", {}, 1.373, 0.688},  {"medium_10dec", -126, 8.227, 5.140},  {"medium_10dec", -40, 2.336, 1.574},
      {"wide_20dec", {}, 1.526, 0.704},    {"wide_20dec", -126, 3.925, 2.934},    {"wide_20dec", -40, 1.273, 44.505},
      {"sparse_90pct", {}, 0.243, 0.000},  {"sparse_90pct", -126, 8.963, 0.000},  {"sparse_90pct", -40, 2.122, 100.000},
  };
  const SafeTensors file = SafeTensors::read(inputs);
  const std::vector<float> gradient = array(file, "gradient");
  std::vector<PublishedRow> rows;
  for (const Printed& p : kPrinted) {
    const std::vector<float> v = array(file, std::string(p.distribution) + "/variance");
    std::vector<float> stored(kCount);
    for (size_t begin = 0; begin < kCount; begin += kBlock) {
      const auto block = std::span(v).subspan(begin, kBlock);
      const auto out = std::span(stored).subspan(begin, kBlock);
      if (p.floor)
        fixed_floor(*p.floor, block, out);
      else
        adaptive(block, out);
    }
    PublishedRow row{p.distribution, p.floor ? fmt::format("fixed floor {}", *p.floor) : "adaptive", p.values,
                     p.update};
    measure(v, stored, gradient, row);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace plumbline::harness::codecs
