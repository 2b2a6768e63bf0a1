#include "tests/harness/float_peers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "harness/peer.h"
#include "harness/recorded_steps.h"
#include "reference/axes.h"
#include "tests/harness/record/coded.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;
using reference::MatrixBatch;
using reference::Tensor;

// A number of a short type: every operation rounds once. Exact in double before that, so that it rounds as hardware
// does.
template <DType T>
struct Real {
  double v = 0;
  Real() = default;
  Real(double x) : v(round_to(T, x)) {}  // NOLINT: constants read as numbers
  Real operator-() const { return Real(-v); }
};
template <DType T>
Real<T> operator+(Real<T> a, Real<T> b) {
  return {a.v + b.v};
}
template <DType T>
Real<T> operator-(Real<T> a, Real<T> b) {
  return {a.v - b.v};
}
template <DType T>
Real<T> operator*(Real<T> a, Real<T> b) {
  return {a.v * b.v};
}
template <DType T>
Real<T> operator/(Real<T> a, Real<T> b) {
  return {a.v / b.v};
}
template <DType T>
Real<T> root(Real<T> a) {
  return {std::sqrt(a.v)};
}
template <DType T>
Real<T> larger(Real<T> a, Real<T> b) {
  return a.v < b.v ? b : a;
}

template <DType T>
class Peer {
  using R = Real<T>;
  using V = std::vector<R>;

 public:
  Peer(const Trace& recorded, const Trace::TensorInfo& tensor, const Replay& how)
      : how_(how), options_(json::parse(recorded.options_json())), shape_(tensor.shape), peer_(recorded.peer()) {
    size_ = 1;
    for (const int64_t extent : shape_) size_ *= size_t(extent);
    std::optional<reference::FactorAxes> axes = reference::last_two_axes(shape_);
    if (peer_ == "rlx") axes = reference::matrix_axes(shape_);
    if (peer_ == "optax")
      axes = option("factored", true) ? reference::two_largest_axes(shape_, option("min_dim_size_to_factor", 128))
                                      : std::nullopt;
    if (peer_ == "apollo" || peer_ == "fira") axes.reset();
    if (axes) batch_ = reference::matrices_over(shape_, axes->row, axes->col);
  }

  V p, g, projection;
  std::map<std::string, V> state;  // under the peer's names, in the reference's order

  void step(int64_t t) {
    t_ = t;
    if (peer_ == "torch") return torch();
    if (peer_ == "huggingface") return huggingface();
    if (peer_ == "came") return came();
    if (peer_ == "optax") return optax();
    if (peer_ == "rlx") return rlx();
    if (peer_ == "apollo") return apollo();
    if (peer_ == "fira") return fira();
    throw std::logic_error(peer_);
  }

 private:
  template <class X>
  X option(const char* name, X fallback) const {
    return options_.contains(name) && !options_[name].is_null() ? options_[name].get<X>() : fallback;
  }
  double listed(const char* name, size_t k, double fallback) const {
    return options_.contains(name) && !options_[name][k].is_null() ? options_[name][k].get<double>() : fallback;
  }
  double held(double hyperparameter) const {
    return how_.float32_hyperparameters ? double(float(hyperparameter)) : hyperparameter;
  }
  double beta(double value, Fault off) const { return held(value) - (how_.fault == off ? how_.size : 0); }
  double decay_of(const char* name) const { return how_.fault == Fault::decay_left_out ? 0 : held(option(name, 0.0)); }
  double eps1(double value) const { return held(value) * (how_.fault == Fault::eps1_tenfold ? 10 : 1); }
  // 1 - w_t of a schedule
  double scheduled(double exponent) const {
    if (t_ == 1) return 0;
    return 1 - std::pow(double(t_), exponent) + (how_.fault == Fault::beta2 ? how_.size : 0);
  }

  R kept(R x) const { return R(round_to(how_.state, x.v)); }
  R kept_parameter(R x) const { return R(round_to(how_.parameter, x.v)); }
  V& slot(const std::string& name, size_t size) {
    V& s = state[name];
    if (s.empty()) s.assign(size, R(0));
    return s;
  }

  // Sums of 16-bit numbers accumulate in float32.
  static constexpr DType kSum = T == DType::bfloat16 || T == DType::float16 ? DType::float32 : T;
  R sum(const V& x) const { return R(partial(x, 0, x.size())); }
  double partial(const V& x, size_t begin, size_t end) const {
    if (end - begin == 1) return x[begin].v;
    if (how_.summation == Summation::pairwise) {
      const size_t middle = begin + (end - begin) / 2;
      return round_to(kSum, partial(x, begin, middle) + partial(x, middle, end));
    }
    double s = 0;
    for (size_t k = 0; k < end - begin; ++k)
      s = round_to(kSum, s + x[how_.summation == Summation::forward ? begin + k : end - 1 - k].v);
    return s;
  }
  R mean(const V& x) const { return sum(x) / R(double(x.size())); }
  R norm(const V& x) const {
    V squares;
    for (const R a : x) squares.push_back(a * a);
    return root(sum(squares));
  }
  R rms(const V& x) const {
    V squares;
    for (const R a : x) squares.push_back(a * a);
    return root(mean(squares));
  }

  size_t at(int64_t s, int64_t i, int64_t j) const {
    return size_t(batch_->first[size_t(s)] + i * batch_->row_stride + j * batch_->col_stride);
  }

  // old <- average of old and sample, in one of the forms that the peers use
  R average(double old_weight, R old, R sample) const { return R(old_weight) * old + R(1 - old_weight) * sample; }
  R lerp(double w, R old, R sample) const {
    return w < 0.5 ? old + R(w) * (sample - old) : sample - (sample - old) * (R(1) - R(w));
  }

  // Row and column averages of x^2 (+ eps inside), kept under two names; what V^ is made of is left in row_ and col_.
  template <class Update>
  void factored(const V& x, R eps, const std::string& row_name, const std::string& col_name, Update update) {
    const int64_t m = batch_->rows, n = batch_->cols, slices = batch_->slices();
    V& row = slot(row_name, size_t(slices * m));
    V& col = slot(col_name, size_t(slices * n));
    const V col_before = col;
    for (int64_t s = 0; s < slices; ++s) {
      for (int64_t i = 0; i < m; ++i) {
        V squares;
        for (int64_t j = 0; j < n; ++j) squares.push_back(x[at(s, i, j)] * x[at(s, i, j)] + eps);
        row[size_t(s * m + i)] = kept(update(row[size_t(s * m + i)], mean(squares)));
      }
      for (int64_t j = 0; j < n; ++j) {
        V squares;
        for (int64_t i = 0; i < m; ++i) squares.push_back(x[at(s, i, j)] * x[at(s, i, j)] + eps);
        col[size_t(s * n + j)] = kept(update(col[size_t(s * n + j)], mean(squares)));
      }
    }
    row_ = row;
    col_ = how_.fault == Fault::column_stale && t_ > 1 ? col_before : col;
  }
  V rows_of(int64_t s) const { return V(row_.begin() + s * batch_->rows, row_.begin() + (s + 1) * batch_->rows); }
  // f(at, R_i, C_j, rows of the slice)
  template <class F>
  void for_each(F f) const {
    for (int64_t s = 0; s < batch_->slices(); ++s) {
      const V rows = rows_of(s);
      for (int64_t i = 0; i < batch_->rows; ++i)
        for (int64_t j = 0; j < batch_->cols; ++j)
          f(at(s, i, j), rows[size_t(i)], col_[size_t(s * batch_->cols + j)], rows);
    }
  }
  // x rsqrt(R/mean R) rsqrt(C)
  V divided(const V& x) const {
    V u(size_);
    for_each([&](size_t k, R row, R col, const V& rows) {
      const R r = R(1) / root(row / mean(rows)), c = R(1) / root(col);
      u[k] = x[k] * (r * c);
    });
    return u;
  }

  void torch() {
    const double lr = held(option("lr", 1e-2)), d = held(option("d", 1.0)), decay = decay_of("weight_decay");
    const double epsilon = 2 * unit_roundoff(how_.parameter);
    const R e1 = R(eps1(listed("eps", 0, epsilon)));
    const double w = 1 - scheduled(held(option("beta2_decay", -0.8)));
    if (option("maximize", false))
      for (R& x : g) x = -x;
    const R alpha = larger(R(held(listed("eps", 1, 1e-3))), rms(p)) * R(std::min(lr, 1 / std::sqrt(double(t_))));
    if (decay != 0)
      for (R& x : p) x = kept_parameter(x * R(1 - lr * decay));
    V u(size_);
    if (batch_) {
      factored(g, R(0), "row_var", "col_var", [&](R old, R sample) { return lerp(w, old, sample); });
      for_each([&](size_t k, R row, R col, const V& rows) {
        const R normalizer = larger(mean(rows), e1);
        const R v = how_.fault == Fault::row_times_column ? row * col / normalizer : row / normalizer * col;
        u[k] = g[k] / root(larger(v, e1 * e1));
      });
    } else {
      V& v = slot("variance", size_);
      for (size_t k = 0; k < size_; ++k) {
        v[k] = kept(lerp(w, v[k], g[k] * g[k]));
        u[k] = g[k] / root(larger(v[k], e1 * e1));
      }
    }
    const R denominator = larger(R(1), rms(u) / R(d));
    for (size_t k = 0; k < size_; ++k) p[k] = kept_parameter(p[k] - alpha / denominator * u[k]);
  }

  void huggingface() {
    const double e2 = held(listed("eps", 1, 1e-3)), d = held(option("clip_threshold", 1.0));
    const R e1 = R(eps1(listed("eps", 0, 1e-30)));
    double rel = option("lr", 0.0);
    if (option("relative_step", true)) {
      const double cap = option("warmup_init", false) ? 1e-6 * double(t_) : 1e-2;
      rel = std::min(cap, 1 / std::sqrt(double(t_)));
    }
    const R lr = option("scale_parameter", true) ? R(held(rel)) * larger(R(e2), rms(p)) : R(held(rel));
    const double old = scheduled(held(option("decay_rate", -0.8)));
    V u;
    if (batch_) {
      factored(g, e1, "exp_avg_sq_row", "exp_avg_sq_col", [&](R a, R sample) { return average(old, a, sample); });
      u = divided(g);
    } else {
      u = unfactored("exp_avg_sq", old, e1);
    }
    const R denominator = larger(R(1), rms(u) / R(d));
    for (R& x : u) x = x / denominator * lr;
    if (options_.contains("beta1") && !options_["beta1"].is_null()) u = momentum("exp_avg", option("beta1", 0.0), u);
    const double decay = decay_of("weight_decay");
    for (size_t k = 0; k < size_; ++k) {
      if (decay != 0) p[k] = kept_parameter(p[k] - R(decay) * lr * p[k]);
      p[k] = kept_parameter(p[k] - u[k]);
    }
  }

  V unfactored(const std::string& name, double old, R e1) {
    V& v = slot(name, size_);
    V u(size_);
    for (size_t k = 0; k < size_; ++k) {
      v[k] = kept(average(old, v[k], g[k] * g[k] + e1));
      u[k] = g[k] * (R(1) / root(v[k]));
    }
    return u;
  }
  V momentum(const std::string& name, double beta1, const V& x) {
    V& m = slot(name, x.size());
    const double b = beta(beta1, Fault::beta1);
    for (size_t k = 0; k < x.size(); ++k) m[k] = kept(R(b) * m[k] + R(1 - b) * x[k]);
    return m;
  }

  void came() {
    const double lr = held(option("lr", 0.0)), decay = decay_of("weight_decay");
    const double b2 = beta(listed("betas", 1, 0.999), Fault::beta2);
    const double b3 = beta(listed("betas", 2, 0.9999), Fault::beta3);
    const R e1 = R(eps1(listed("eps", 0, 1e-30))), e2 = R(held(listed("eps", 1, 1e-16)));
    V u;
    if (batch_) {
      factored(g, e1, "exp_avg_sq_row", "exp_avg_sq_col", [&](R a, R sample) { return average(b2, a, sample); });
      u = divided(g);
    } else {
      u = unfactored("exp_avg_sq", b2, e1);
    }
    const R denominator = larger(R(1), rms(u) / R(held(option("clip_threshold", 1.0))));
    for (R& x : u) x = x / denominator;
    const V m = momentum("exp_avg", listed("betas", 0, 0.9), u);
    V out = m;
    if (batch_) {
      V residual(size_);
      for (size_t k = 0; k < size_; ++k) residual[k] = u[k] - m[k];
      const Fault stale = how_.fault;  // of V^ alone
      how_.fault = stale == Fault::column_stale ? Fault::none : stale;
      factored(residual, e2, "exp_avg_res_row", "exp_avg_res_col",
               [&](R a, R sample) { return average(b3, a, sample); });
      how_.fault = stale;
      out = divided(m);
    }
    for (size_t k = 0; k < size_; ++k) {
      if (decay != 0) p[k] = kept_parameter(p[k] - R(decay * lr) * p[k]);
      p[k] = kept_parameter(p[k] - R(lr) * out[k]);
    }
  }

  void optax() {
    const double lr = held(option("learning_rate", 1.0)), rate = option("decay_rate", 0.8);
    const float t = float(t_ - option<int64_t>("decay_offset", 0));
    float old = 1.0f - std::pow(t, float(-rate));
    if (how_.fault == Fault::beta2 && t_ > 1) old += float(how_.size);
    const float sample_weight = 1.0f - old;
    const R e1 = R(eps1(option("eps", 1e-30)));
    const auto average32 = [&](R a, R sample) { return R(old) * a + R(sample_weight) * sample; };
    V u(size_);
    if (batch_) {
      factored(g, e1, "v_row", "v_col", average32);
      u = divided(g);
    } else {
      V& v = slot("v", size_);
      for (size_t k = 0; k < size_; ++k) {
        v[k] = kept(average32(v[k], g[k] * g[k] + e1));
        u[k] = g[k] / root(v[k]);
      }
    }
    const bool clips = !options_.contains("clipping_threshold") || !options_["clipping_threshold"].is_null();
    if (clips) {
      const R denominator = larger(R(1), rms(u) / R(held(option("clipping_threshold", 1.0))));
      for (R& x : u) x = x / denominator;
    }
    for (R& x : u) x = R(lr) * x;
    if (option("multiply_by_parameter_scale", true)) {
      const R scale = larger(rms(p), R(1e-3));
      for (R& x : u) x = x * scale;
    }
    if (option("momentum", -1.0) >= 0) u = momentum("ema", option("momentum", 0.0), u);
    const double decay = decay_of("weight_decay_rate");
    for (size_t k = 0; k < size_; ++k) {
      if (decay != 0) u[k] = u[k] + R(decay) * p[k];
      p[k] = kept_parameter(p[k] + -u[k]);
    }
  }

  void rlx() {
    const double d = held(option("clip_threshold", 1.0)), decay = decay_of("weight_decay");
    const R e1 = R(eps1(option("eps1", 1e-30)));
    const double old = scheduled(held(option("beta2_decay", -0.8)));
    R alpha = R(held(option("lr", 0.0)));
    if (!options_.contains("lr") || options_["lr"].is_null())
      alpha = R(std::min(1e-2, 1 / std::sqrt(double(t_)))) * larger(R(held(option("eps2", 1e-3))), rms(p));
    V u(size_);
    if (batch_) {
      factored(g, e1, "row", "col", [&](R a, R sample) { return average(old, a, sample); });
      for_each([&](size_t k, R row, R col, const V& rows) {
        const R v = row / larger(sum(rows), e1) * col;
        u[k] = g[k] / larger(root(v), root(e1));
      });
    } else {
      V& v = slot("v", size_);
      for (size_t k = 0; k < size_; ++k) {
        v[k] = kept(average(old, v[k], g[k] * g[k] + e1));
        u[k] = g[k] / larger(root(v[k]), root(e1));
      }
    }
    const R clip = R(1) / (R(d) * larger(rms(u), R(1) / R(d)));
    for (size_t k = 0; k < size_; ++k) {
      u[k] = u[k] * (clip.v < 1 ? clip : R(1));
      p[k] = kept_parameter(p[k] - alpha * (u[k] + R(decay) * p[k]));
    }
  }

  // Low-rank Adam of the projected gradient; leaves G_low and N_low.
  void low_rank_adam() {
    rows_ = shape_[0];
    cols_ = int64_t(size_) / rows_;
    right_ = rows_ >= cols_;
    rank_ = int64_t(projection.size()) / (right_ ? cols_ : rows_);
    low_.assign(size_t((right_ ? rows_ : cols_) * rank_), R(0));
    for (int64_t i = 0; i < (right_ ? rows_ : rank_); ++i)
      for (int64_t j = 0; j < (right_ ? rank_ : cols_); ++j) {
        V terms;
        for (int64_t k = 0; k < (right_ ? cols_ : rows_); ++k)
          terms.push_back(right_ ? g[size_t(i * cols_ + k)] * projection[size_t(j * cols_ + k)]
                                 : projection[size_t(k * rank_ + i)] * g[size_t(k * cols_ + j)]);
        low_[size_t(i * (right_ ? rank_ : cols_) + j)] = sum(terms);
      }
    const double b1 = beta(listed("betas", 0, 0.9), Fault::beta1), b2 = beta(listed("betas", 1, 0.999), Fault::beta2);
    V &m = slot("exp_avg", low_.size()), &v = slot("exp_avg_sq", low_.size());
    normalised_ = low_;
    for (size_t k = 0; k < low_.size(); ++k) {
      m[k] = kept(R(b1) * m[k] + R(1 - b1) * low_[k]);
      v[k] = kept(R(b2) * v[k] + R(1 - b2) * (low_[k] * low_[k]));
      normalised_[k] = m[k] / (root(v[k]) + R(eps1(option("eps", 1e-6))));
    }
    step_size_ = held(option("lr", 1e-3));
    if (option("correct_bias", true))
      step_size_ *= std::sqrt(1 - std::pow(held(listed("betas", 1, 0.999)), double(t_))) /
                    (1 - std::pow(held(listed("betas", 0, 0.9)), double(t_)));
  }
  R channel_scale(int64_t channel) const {
    V n, l;
    for (int64_t k = 0; k < rank_; ++k) {
      const auto at = size_t(right_ ? channel * rank_ + k : k * cols_ + channel);
      n.push_back(normalised_[at]);
      l.push_back(low_[at]);
    }
    return norm(n) / (norm(l) + R(1e-8));
  }
  V channel_scaled(const V& x) const {
    V out(size_);
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < cols_; ++j)
        out[size_t(i * cols_ + j)] = x[size_t(i * cols_ + j)] * channel_scale(right_ ? i : j);
    return out;
  }
  V back(const V& low) const {
    V out(size_);
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < cols_; ++j) {
        V terms;
        for (int64_t k = 0; k < rank_; ++k)
          terms.push_back(right_ ? low[size_t(i * rank_ + k)] * projection[size_t(k * cols_ + j)]
                                 : projection[size_t(i * rank_ + k)] * low[size_t(k * cols_ + j)]);
        out[size_t(i * cols_ + j)] = sum(terms) * R(held(option("alpha", 1.0)));
      }
    return out;
  }
  void limit(const std::string& name, V& x) {
    const bool first = state.find(name) == state.end();
    V& previous = slot(name, 1);
    R nu = norm(x);
    if (!first) {
      const R l = larger(nu / (previous[0] + R(1e-8)), R(1.01)) / R(1.01);
      for (R& a : x) a = a / l;
      nu = nu / l;
    }
    previous[0] = kept(nu);
  }
  void descend_then_decay(const V& u) {
    const double decay = decay_of("weight_decay"), lr = held(option("lr", 1e-3));
    for (size_t k = 0; k < size_; ++k) {
      p[k] = kept_parameter(p[k] - R(step_size_) * u[k]);
      if (decay != 0) p[k] = kept_parameter(p[k] + R(-lr * decay) * p[k]);
    }
  }

  void apollo() {
    low_rank_adam();
    V u = g;
    if (option<std::string>("scale_type", "tensor") == "channel") {
      u = channel_scaled(g);
    } else {
      const R s = norm(normalised_) / (norm(low_) + R(1e-8));
      for (R& x : u) x = x * s;
    }
    const R scale = R(std::sqrt(held(option("scale", 1.0))));
    const bool front = option("scale_front", false);
    if (front)
      for (R& x : u) x = x * scale;
    if (!option("disable_nl", false)) limit("scaled_grad", u);
    if (!front)
      for (R& x : u) x = x * scale;
    descend_then_decay(u);
  }

  void fira() {
    low_rank_adam();
    const V seen = back(low_);
    V rest(size_);
    for (size_t k = 0; k < size_; ++k) rest[k] = g[k] - seen[k];
    rest = channel_scaled(rest);
    limit("scaling_grad", rest);
    V u = back(normalised_);
    for (size_t k = 0; k < size_; ++k) u[k] = u[k] + rest[k];
    descend_then_decay(u);
  }

  Replay how_;
  json options_;
  std::vector<int64_t> shape_;
  std::string peer_;
  size_t size_ = 1;
  std::optional<MatrixBatch> batch_;
  int64_t t_ = 0;
  V row_, col_, low_, normalised_;
  int64_t rows_ = 0, cols_ = 0, rank_ = 0;
  bool right_ = true;
  double step_size_ = 0;
};

const char* stored_name(DType type) {
  return type == DType::float64 ? "F64" : type == DType::float32 ? "F32" : type == DType::bfloat16 ? "BF16" : "F16";
}

template <DType T>
void add(TraceFile& file, const std::string& name, std::vector<int64_t> shape, const std::vector<Real<T>>& values,
         DType type) {
  std::vector<double> plain;
  for (const Real<T> x : values) plain.push_back(x.v);
  std::string bytes(plain.size() * size_of(type), '\0');
  store(type, plain, reinterpret_cast<std::byte*>(bytes.data()));
  file.add(name, stored_name(type), std::move(shape), bytes);
}

// As the trace will hold it.
template <DType T>
std::vector<Real<T>> recast(const Tensor& x, DType type) {
  std::vector<Real<T>> out;
  for (const double a : x.data) out.emplace_back(round_to(type, a));
  return out;
}

bool is_momentum(reference::Slot slot) {
  return slot == reference::Slot::momentum || slot == reference::Slot::low_rank_momentum;
}

// Keeps the values as codes, as the trace will hold them; what they stand for is what the next step reads.
template <DType T>
void code(TraceFile& file, const std::string& prefix, int64_t t, const std::string& codec_name, const Replay& how,
          std::vector<Real<T>>& values) {
  const StateCodec codec = built_in_codec(codec_name);
  std::vector<double> plain;
  for (const Real<T> x : values) plain.push_back(x.v);
  StoredCodes stored = encode_codes(codec, plain, how.block);
  if (how.fault == Fault::code_off && t == 3)
    for (int64_t i = 0; i < std::min<int64_t>(how.block, int64_t(plain.size())); ++i) {
      int64_t& c = stored.codes[size_t(i)];
      c += codec.place_of(c + 1) ? 1 : -1;
    }
  if (how.fault == Fault::neighbours_scale && t == 3)
    stored.scales[0] = stored.scales.size() > 1 ? stored.scales[1] : 2 * stored.scales[0];
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = Real<T>(float(codec.decode(stored.codes[i], stored.scale_of(int64_t(i), codec), {}).value));
  const auto numbers = [&](const std::string& name, const std::vector<double>& all) {
    std::vector<Real<T>> reals;
    for (const double x : all) reals.emplace_back(x);
    add(file, prefix + name + "@" + std::to_string(t), {int64_t(all.size())}, reals, DType::float32);
  };
  std::string bytes;
  for (const int64_t c : stored.codes) bytes += char(c + codec.zero);
  file.add(prefix + "_q@" + std::to_string(t), codec.low < 0 && codec.zero == 0 ? "I8" : "U8",
           {int64_t(stored.codes.size())}, bytes);
  numbers("_scale", stored.scales);
  if (codec.needs_lowest()) numbers("_min_log", stored.lowest);
}

template <DType T>
TraceFile replay_in(const Trace& recorded, const Replay& how) {
  TraceFile file;
  json tensors = json::object(), codecs = json::object();
  for (const auto& tensor : recorded.tensors()) {
    tensors[tensor.name] = {{"shape", tensor.shape}, {"regime", tensor.regime}};
    const RecordedSteps steps(recorded, tensor.name);
    const auto slots = known_slots(steps.head(), make_reference(steps.head()));  // for their order alone
    Peer<T> peer(recorded, tensor, how);
    const std::string& name = tensor.name;
    peer.p = recast<T>(recorded.parameter(name, 0), how.parameter);
    add(file, "param/" + name + "@0", tensor.shape, peer.p, how.parameter);
    for (int64_t t = 1; t <= recorded.steps(); ++t) {
      const std::string at = "@" + std::to_string(t);
      peer.g = recast<T>(recorded.gradient(name, t), how.parameter);
      add(file, "grad/" + name + at, tensor.shape, peer.g, how.parameter);
      if (recorded.has("projection/" + name + at)) {
        const Tensor projection = recorded.load("projection/" + name + at);
        peer.projection = recast<T>(projection, how.parameter);
        add(file, "projection/" + name + at, projection.shape, peer.projection, how.parameter);
      }
      if (how.fault != Fault::step_skipped || t != 3) peer.step(t);
      add(file, "param/" + name + at, tensor.shape, peer.p, how.parameter);
      if (!how.record_state) continue;
      for (const KnownSlot& slot : slots) {
        if (!peer.state.contains(slot.name)) continue;
        std::vector<Real<T>>& now = peer.state.at(slot.name);
        std::vector<Real<T>> values = now;
        const auto place = [&](size_t k) { return slot.order.empty() ? k : size_t(slot.order[k]); };
        for (size_t k = 0; k < values.size(); ++k) values[k] = now[place(k)];
        const std::string& codec = is_momentum(slot.slot) ? how.momentum : how.averages;
        if (!codec.empty() && slot.slot != reference::Slot::previous_norm) {
          codecs[slot.name] = {{"codec", codec}, {"block", how.block}};
          code(file, "state/" + name + "/" + slot.name, t, codec, how, values);
          for (size_t k = 0; k < values.size(); ++k) now[place(k)] = values[k];
          continue;
        }
        const auto shape = recorded.load(state_array(name, slot.name, t)).shape;
        add(file, state_array(name, slot.name, t), shape, values, how.state);
      }
    }
  }
  json& meta = file.header["__metadata__"];
  meta["peer"] = recorded.peer();
  meta["options"] = recorded.options_json();
  meta["steps"] = std::to_string(recorded.steps());
  meta["tensors"] = tensors.dump();
  if (!codecs.empty()) {
    meta["format"] = "optimizer-trace/2";
    meta["codecs"] = codecs.dump();
  }
  return file;
}

}  // namespace

TraceFile replay(const Trace& recorded, const Replay& how) {
  switch (how.results) {
    case DType::float64:
      return replay_in<DType::float64>(recorded, how);
    case DType::float32:
      return replay_in<DType::float32>(recorded, how);
    case DType::bfloat16:
      return replay_in<DType::bfloat16>(recorded, how);
    case DType::float16:
      return replay_in<DType::float16>(recorded, how);
  }
  throw std::logic_error("type");
}

}  // namespace plumbline::harness
