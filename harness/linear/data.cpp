#include "harness/linear/data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "harness/data_folder.h"
#include "harness/error.h"
#include "harness/trace.h"
#include "reference/linear/e4m3.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;
using reference::Fp8ScaleKind;

// --- generated ---

class Draw {
 public:
  Draw(uint64_t seed, uint64_t stream) : engine_(seed * 0x9e3779b97f4a7c15u + stream) { engine_.discard(8); }
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }
  int64_t between(int64_t low, int64_t high) { return low + int64_t(below(uint64_t(high - low + 1))); }
  // Sum of four uniforms, scaled to variance 1: bell-shaped, |x| < 3.47.
  double bell() {
    double sum = -2;
    for (int i = 0; i < 4; ++i) sum += double(engine_() >> 11) * 0x1p-53;
    return sum * std::sqrt(3.0);
  }

 private:
  std::mt19937_64 engine_;
};
enum DrawStream : uint64_t { kActivations = 1, kWeights, kScales, kBias, kGradient };

std::vector<double> activations(const LinearProblem& p) {
  Draw d(p.seed, kActivations);
  const double scale = std::ldexp(1.0, p.exponent);
  const auto tokens = size_t(p.tokens), inputs = size_t(p.inputs);
  std::vector<double> x(tokens * inputs);
  for (double& v : x) v = d.bell() * scale;
  for (size_t t = 0; t < tokens; ++t) {
    double* row = x.data() + t * inputs;
    switch (p.regime) {
      case LayerRegime::heavy_tail:
        for (size_t k = 0; k < inputs; ++k)
          if (d.one_in(64)) row[k] *= 50;
        break;
      case LayerRegime::outlier_channel:
        for (size_t k = size_t(p.seed % 16); k < inputs; k += 16) row[k] *= 100;
        break;
      case LayerRegime::wide_tokens: {
        const double token = std::ldexp(1.0, int(d.between(-12, 12)));
        for (size_t k = 0; k < inputs; ++k) row[k] *= token;
        break;
      }
      case LayerRegime::zero_tokens:
        if (t % 4 == 1) std::fill_n(row, inputs, 0.0);
        for (size_t k = 0; t % 4 == 2 && k < inputs; ++k)
          if (d.one_in(2)) row[k] = 0;
        break;
      case LayerRegime::ties:  // the scale of the row is 2^exponent
        for (size_t k = 0; k < inputs; ++k) row[k] = (double(d.between(-127, 126)) + 0.5) * scale;
        row[d.below(inputs)] = d.one_in(2) ? 127 * scale : -127 * scale;
        break;
      case LayerRegime::integers:
        for (size_t k = 0; k < inputs; ++k) row[k] = double(d.between(-127, 127)) * scale;
        row[d.below(inputs)] = 127 * scale;
        break;
      case LayerRegime::nonfinite: {
        constexpr double kOdd[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity()};
        if (t % 5 == 3) row[d.below(inputs)] = kOdd[d.below(3)];
        break;
      }
      default:
        break;
    }
  }
  return x;
}

// The E4M3 code nearest to a value of magnitude below 448.
uint8_t nearest_e4m3(double x) {
  static const std::vector<double> magnitudes = [] {
    std::vector<double> all;
    all.reserve(0x7f);
    for (int code = 0; code < 0x7f; ++code) all.push_back(reference::decode_e4m3(uint8_t(code)));
    return all;
  }();
  const double m = std::fabs(x);
  auto above = std::lower_bound(magnitudes.begin(), magnitudes.end(), m);
  if (above == magnitudes.end() || (above != magnitudes.begin() && m - above[-1] < *above - m)) --above;
  return uint8_t((above - magnitudes.begin()) | (std::signbit(x) ? 0x80 : 0));
}

DType weight_type(WeightSource source) {
  return source == WeightSource::bf16 ? DType::bfloat16 : source == WeightSource::f16 ? DType::float16 : DType::float32;
}

std::vector<std::byte> stored(DType type, const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  store(type, values, bytes.data());
  return bytes;
}

int64_t scale_count(const LinearProblem& p) {
  if (p.weight == WeightSource::codes) return p.outputs;
  if (p.weight != WeightSource::fp8) return 0;
  return p.scales == Fp8ScaleKind::tensor    ? 1
         : p.scales == Fp8ScaleKind::channel ? p.outputs
                                             : p.outputs * (p.inputs / p.block);
}

void draw_weight(const LinearProblem& p, LinearInputs& out) {
  Draw d(p.seed, kWeights), ds(p.seed, kScales);
  const auto count = size_t(p.outputs * p.inputs);
  const double size = 1 / std::sqrt(double(p.inputs));
  switch (p.weight) {
    case WeightSource::codes: {
      out.weight.resize(count);
      for (auto& b : out.weight) b = std::byte(uint8_t(int8_t(d.between(-127, 127))));
      break;
    }
    case WeightSource::fp8:
      out.weight.resize(count);
      for (auto& b : out.weight) b = std::byte(nearest_e4m3(d.bell() * 30));
      break;
    default: {
      std::vector<double> w(count);
      for (double& v : w) v = d.bell() * size;
      if (p.regime == LayerRegime::ties)
        for (size_t i = 0; i < count; ++i)
          w[i] = std::ldexp(i % size_t(p.inputs) == 0 ? (d.one_in(2) ? 127 : -127) : double(d.between(-127, 126)) + 0.5,
                            -12);  // of one input, the signs are all that differs
      out.weight = stored(weight_type(p.weight), w);
    }
  }
  // of a code or an E4M3 value of about 30, to a weight of about `size`
  const double unit = p.weight == WeightSource::codes ? size / 64 : size / 30;
  out.scales.resize(size_t(scale_count(p)));
  for (float& s : out.scales)
    s = p.regime == LayerRegime::integers ? 0x1p-10f : float(unit * std::exp2(double(ds.between(-1000, 1000)) * 1e-3));
}

LinearInputs generate(const LinearProblem& p) {
  LinearInputs out;
  out.x = stored(p.type, activations(p));
  draw_weight(p, out);
  Draw db(p.seed, kBias), dg(p.seed, kGradient);
  const bool exact = p.regime == LayerRegime::integers;
  if (p.bias) {
    std::vector<double> bias(static_cast<size_t>(p.outputs));
    for (double& b : bias)
      b = exact ? std::ldexp(double(db.between(-500, 500)), p.exponent - 10) : std::ldexp(db.bell(), p.exponent - 2);
    out.bias = stored(p.type, bias);
  }
  std::vector<double> gradient(size_t(p.tokens * p.outputs));
  for (double& g : gradient) g = exact ? double(dg.between(-8, 8)) : std::ldexp(dg.bell(), -6);
  out.grad_output = stored(p.type, gradient);
  return out;
}

// --- recorded ---

class Recorded {
 public:
  explicit Recorded(const std::string& name) : file_(SafeTensors::read(layer_path(name))) {
    if (text("format") != "w8a8-linear/1") fail(fmt::format("format '{}': expected w8a8-linear/1", text("format")));
  }

  LinearProblem problem(const std::string& name) const {
    LinearProblem p;
    p.layer = name;
    p.tokens = number("tokens");
    p.inputs = number("in_features");
    p.outputs = number("out_features");
    const std::string type = text("dtype"), kind = text("fp8_scaling");
    if (type != "float32" && type != "bfloat16" && type != "float16")
      fail(fmt::format("dtype '{}' is not known", type));
    p.type = type == "float32" ? DType::float32 : type == "bfloat16" ? DType::bfloat16 : DType::float16;
    if (kind != "tensor" && kind != "channel" && kind != "block")
      fail(fmt::format("fp8_scaling '{}' is not known", kind));
    p.scales = kind == "tensor"    ? Fp8ScaleKind::tensor
               : kind == "channel" ? Fp8ScaleKind::channel
                                   : Fp8ScaleKind::block;
    p.bias = file_.find("bias") != nullptr;
    if (p.scales == Fp8ScaleKind::block) {
      const SafeTensors::Array* scales = file_.find("weight_scale_fp8");
      if (scales == nullptr || scales->shape.size() < 2 || scales->shape[1] < 1)
        fail("weight_scale_fp8: expected blocks");
      p.block = p.inputs / scales->shape[1];
    }
    validate(p);
    return p;
  }

  LinearInputs inputs(const LinearProblem& p) const {
    const char* type = p.type == DType::float32 ? "F32" : p.type == DType::bfloat16 ? "BF16" : "F16";
    LinearInputs in;
    in.x = bytes("x", type, p.tokens * p.inputs);
    in.grad_output = bytes("grad_output", type, p.tokens * p.outputs);
    if (p.bias) in.bias = bytes("bias", type, p.outputs);
    in.weight = bytes("weight_fp8", "U8", p.outputs * p.inputs);
    const auto raw = bytes("weight_scale_fp8", "F32", scale_count(p));
    in.scales.resize(raw.size() / sizeof(float));
    std::memcpy(in.scales.data(), raw.data(), raw.size());
    return in;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw InputError(fmt::format("{}: {}", file_.name(), what)); }
  std::string text(const std::string& key) const {
    const auto at = file_.metadata().find(key);
    if (at == file_.metadata().end()) fail(fmt::format("metadata '{}' is missing", key));
    return at->second;
  }
  int64_t number(const std::string& key) const {
    const std::string value = text(key);
    int64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (error != std::errc{} || end != value.data() + value.size() || n < 1)
      fail(fmt::format("{}='{}': expected a positive integer", key, value));
    return n;
  }
  std::vector<std::byte> bytes(const char* name, const std::string& type, int64_t count) const {
    const SafeTensors::Array* array = file_.find(name);
    if (array == nullptr) fail(fmt::format("array '{}' is missing", name));
    if (array->dtype != type || array->elements() != count)
      fail(fmt::format("array '{}' holds {} of {}: expected {} of {}", name, array->elements(), array->dtype, count,
                       type));
    const std::byte* data = file_.data(*array);
    return {data, data + (array->end - array->begin)};
  }
  SafeTensors file_;
};

}  // namespace

fs::path layer_path(const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".safetensors")) return name;
  return data_file("w8a8/w8a8-" + name + ".safetensors");
}

std::vector<std::string> recorded_layers() {
  const fs::path folder = layer_path("x").parent_path();
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) throw InputError(fmt::format("recorded layers: {} cannot be read: {}", folder.string(), error.message()));
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kFirst = "w8a8-", kLast = ".safetensors";
    if (name.starts_with(kFirst) && name.ends_with(kLast))
      names.push_back(name.substr(kFirst.size(), name.size() - kFirst.size() - kLast.size()));
  }
  if (error || names.empty()) throw InputError(fmt::format("{}: no recorded layers there", folder.string()));
  std::sort(names.begin(), names.end());
  return names;
}

LinearProblem recorded_problem(const std::string& name) { return Recorded(name).problem(name); }

LinearInputs make_inputs(const LinearProblem& p) {
  if (p.layer.empty()) return generate(p);
  const Recorded file(p.layer);
  LinearProblem recorded = file.problem(p.layer);
  recorded.mode = p.mode;
  recorded.seed = p.seed;
  if (recorded != p)
    throw InputError(fmt::format("{}: holds '{}': the case says '{}'", layer_path(p.layer).string(),
                                 to_string(recorded), to_string(p)));
  return file.inputs(p);
}

LinearValues load_values(const LinearProblem& p, const LinearInputs& in) {
  const auto matrix = [](DType type, const std::vector<std::byte>& bytes, int64_t rows, int64_t columns) {
    reference::Matrix m(rows, columns);
    load(type, bytes.data(), {m.data(), size_t(m.size())});
    return m;
  };
  LinearValues out;
  out.x = matrix(p.type, in.x, p.tokens, p.inputs);
  out.grad_output = matrix(p.type, in.grad_output, p.tokens, p.outputs);
  if (!in.bias.empty()) {
    out.bias.resize(p.outputs);
    load(p.type, in.bias.data(), {out.bias.data(), size_t(p.outputs)});
  }
  switch (p.weight) {
    case WeightSource::fp8: {
      reference::Fp8Matrix w{p.outputs, p.inputs, {}, p.scales, {in.scales.begin(), in.scales.end()}};
      w.codes.resize(in.weight.size());
      std::memcpy(w.codes.data(), in.weight.data(), in.weight.size());
      out.weight = reference::dequantize_fp8(w);
      break;
    }
    case WeightSource::codes: {
      reference::QuantizedRows w{p.outputs, p.inputs, {}, {in.scales.begin(), in.scales.end()}};
      w.codes.resize(in.weight.size());
      std::memcpy(w.codes.data(), in.weight.data(), in.weight.size());
      out.weight = reference::dequantize_rows(w);
      break;
    }
    default:
      out.weight = matrix(weight_type(p.weight), in.weight, p.outputs, p.inputs);
  }
  return out;
}

}  // namespace plumbline::harness
