#include "harness/drift/training.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <Eigen/QR>
#include <cmath>
#include <random>

#include "harness/drift/digits.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using reference::Tensor;
using Tensors = std::vector<Tensor>;

class Draw {
 public:
  Draw(uint64_t seed, uint64_t stream) {
    std::seed_seq words{uint32_t(seed), uint32_t(seed >> 32), uint32_t(stream), uint32_t(stream >> 32)};
    engine_.seed(words);
  }
  double normal() { return normal_(engine_); }
  Index below(Index n) { return Index(engine_() % uint64_t(n)); }
  MatrixXd matrix(Index rows, Index cols, double scale) {
    return MatrixXd::NullaryExpr(rows, cols, [&] { return scale * normal(); });
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};
enum Stream : uint64_t { kInitial, kProblem, kStep = 16 };  // kStep + t

Tensors zeros(const std::vector<TrainingTensor>& tensors) {
  Tensors out;
  for (const TrainingTensor& t : tensors) out.emplace_back(t.shape);
  return out;
}
void fill(Tensor& x, Draw& draw, double scale) {
  for (double& v : x.data) v = scale * draw.normal();
}

// f(W) = tr((W - W*)^T A (W - W*) B)/2, whose Hessian A (x) B has the eigenvalues a_i b_j: two decades each, in random
// orthogonal bases. Gradients carry noise, so that averages of their squares do not vanish at the minimum.
class Quadratic final : public Training {
 public:
  explicit Quadratic(uint64_t seed) : seed_(seed), tensors_{{"w", {kRows, kCols}}} {
    Draw draw(seed, kProblem);
    left_ = spectrum(draw, kRows);
    right_ = spectrum(draw, kCols);
    minimum_ = draw.matrix(kRows, kCols, 1);
  }
  const std::vector<TrainingTensor>& tensors() const override { return tensors_; }
  Tensors initial() const override {
    Tensors p = zeros(tensors_);
    Draw draw(seed_, kInitial);
    fill(p[0], draw, 0.1);
    return p;
  }
  void gradients(int64_t t, const Tensors& p, Tensors& out) const override {
    Draw draw(seed_, kStep + uint64_t(t));
    out = zeros(tensors_);
    out[0].matrix(0).matrix() = left_ * distance(p) * right_ + draw.matrix(kRows, kCols, kNoise);
  }
  double loss(const Tensors& p) const override {
    const MatrixXd d = distance(p);
    return (left_ * d * right_).cwiseProduct(d).sum() / 2;
  }

 private:
  static constexpr Index kRows = 32, kCols = 24;
  static constexpr double kNoise = 1e-2;
  static MatrixXd spectrum(Draw& draw, Index n) {
    const MatrixXd basis = Eigen::HouseholderQR<MatrixXd>(draw.matrix(n, n, 1)).householderQ();
    Eigen::VectorXd values(n);
    for (Index i = 0; i < n; ++i) values[i] = std::pow(10.0, -2.0 * double(i) / double(n - 1));
    return basis * values.asDiagonal() * basis.transpose();
  }
  MatrixXd distance(const Tensors& p) const { return p[0].matrix(0).matrix() - minimum_; }

  uint64_t seed_;
  std::vector<TrainingTensor> tensors_;
  MatrixXd left_, right_, minimum_;
};

// Cross entropy of a softmax over ten classes: its mean, and d(loss)/d(logits) in place of the logits.
double cross_entropy(MatrixXd& logits, const Eigen::VectorXi& labels) {
  double loss = 0;
  const auto n = double(logits.rows());
  for (Index i = 0; i < logits.rows(); ++i) {
    auto row = logits.row(i);
    row.array() -= row.maxCoeff();
    const double correct = row[labels[i]];
    row = row.array().exp();
    const double sum = row.sum();
    loss += std::log(sum) - correct;
    row /= sum;
    row[labels[i]] -= 1;
    row /= n;
  }
  return loss / n;
}

// What trainings on digits share: batches, and one pass over everything.
class DigitsTraining : public Training {
 public:
  DigitsTraining(uint64_t seed, std::vector<TrainingTensor> tensors) : seed_(seed), tensors_(std::move(tensors)) {}
  const std::vector<TrainingTensor>& tensors() const final { return tensors_; }
  Tensors initial() const final {
    Tensors p = zeros(tensors_);
    Draw draw(seed_, kInitial);
    for (Tensor& x : p)
      if (x.shape.size() == 2) fill(x, draw, 1 / std::sqrt(double(x.cols())));
    return p;
  }
  void gradients(int64_t t, const Tensors& p, Tensors& out) const final {
    const Digits& digits = shared_digits();
    Draw draw(seed_, kStep + uint64_t(t));
    MatrixXd images(kBatch, digits.images.cols());
    Eigen::VectorXi labels(kBatch);
    for (Index i = 0; i < kBatch; ++i) {
      const Index chosen = draw.below(digits.images.rows());
      images.row(i) = digits.images.row(chosen);
      labels[i] = digits.labels[chosen];
    }
    out = zeros(tensors_);
    evaluate(images, labels, p, &out);
  }
  double loss(const Tensors& p) const final {
    return evaluate(shared_digits().images, shared_digits().labels, p, nullptr);
  }

 protected:
  static constexpr Index kBatch = 64, kPixels = 64, kClasses = 10;
  // Mean loss; gradients where they are wanted.
  virtual double evaluate(const MatrixXd& images, const Eigen::VectorXi& labels, const Tensors& p,
                          Tensors* gradients) const = 0;
  // x W^T + b
  static MatrixXd layer(const MatrixXd& x, const Tensor& w, const Tensor& b) {
    return (x * w.matrix(0).matrix().transpose()).rowwise() + b.matrix(0).matrix().row(0);
  }
  static void layer_gradients(const MatrixXd& x, const MatrixXd& d, Tensor& w, Tensor& b) {
    w.matrix(0).matrix() = d.transpose() * x;
    b.matrix(0).matrix().row(0) = d.colwise().sum();
  }

 private:
  uint64_t seed_;
  std::vector<TrainingTensor> tensors_;
};

class Logistic final : public DigitsTraining {
 public:
  explicit Logistic(uint64_t seed) : DigitsTraining(seed, {{"w", {kClasses, kPixels}}, {"b", {kClasses}}}) {}

 protected:
  double evaluate(const MatrixXd& images, const Eigen::VectorXi& labels, const Tensors& p,
                  Tensors* gradients) const override {
    MatrixXd d = layer(images, p[0], p[1]);
    const double loss = cross_entropy(d, labels);
    if (gradients) layer_gradients(images, d, (*gradients)[0], (*gradients)[1]);
    return loss;
  }
};

class Net final : public DigitsTraining {
 public:
  explicit Net(uint64_t seed)
      : DigitsTraining(
            seed, {{"w1", {kHidden, kPixels}}, {"b1", {kHidden}}, {"w2", {kClasses, kHidden}}, {"b2", {kClasses}}}) {}

 protected:
  double evaluate(const MatrixXd& images, const Eigen::VectorXi& labels, const Tensors& p,
                  Tensors* gradients) const override {
    const MatrixXd hidden = layer(images, p[0], p[1]).array().tanh();
    MatrixXd d = layer(hidden, p[2], p[3]);
    const double loss = cross_entropy(d, labels);
    if (gradients) {
      layer_gradients(hidden, d, (*gradients)[2], (*gradients)[3]);
      const MatrixXd inner = (d * p[2].matrix(0).matrix()).array() * (1 - hidden.array().square());
      layer_gradients(images, inner, (*gradients)[0], (*gradients)[1]);
    }
    return loss;
  }

 private:
  static constexpr Index kHidden = 32;
};

}  // namespace

const std::vector<std::string>& training_names() {
  static const std::vector<std::string> names = {"quadratic", "logistic", "net"};
  return names;
}

std::unique_ptr<Training> make_training(const std::string& name, uint64_t seed) {
  if (name == "quadratic") return std::make_unique<Quadratic>(seed);
  if (name == "logistic") return std::make_unique<Logistic>(seed);
  if (name == "net") return std::make_unique<Net>(seed);
  throw InputError(fmt::format("training '{}': expected one of {}", name, fmt::join(training_names(), ", ")));
}

}  // namespace plumbline::harness
