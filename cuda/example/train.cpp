// Trains a net of two layers on handwritten digits with Plumbline's optimizer, on the host or on a GPU. A checkpoint is
// written after every epoch; a run that finds one goes on from it, with the bits of a run that was never interrupted:
//
//   train --checkpoint digits.safetensors --epochs 3
//   train --checkpoint digits.safetensors --epochs 10      # epochs 4 to 10
//
// To keep the page short the net runs on the host, in memory that a GPU reaches too. Everything about the optimizer is
// as in a program that computes its gradients on the GPU, except that such a program does not wait after a step.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/api/checkpoint.h"
#include "cuda/api/optimizer.h"
#include "cuda/api/presets.h"
#ifdef PLUMBLINE_HAVE_CUDA
#include <cuda_runtime.h>
#endif

namespace {

using namespace plumbline;

// --- the tensors, as the optimizer hears of them ---

constexpr int kPixels = 64, kHidden = 128, kClasses = 10;
enum Tensor { kHiddenWeight, kHiddenBias, kOutputWeight, kOutputBias, kTensors };
enum Group { kWeights, kBiases };

std::vector<TensorSpec> describe_tensors() {
  return {{.name = "hidden.weight", .shape = {kHidden, kPixels}, .group = kWeights},
          {.name = "hidden.bias", .shape = {kHidden}, .group = kBiases},
          {.name = "output.weight", .shape = {kClasses, kHidden}, .group = kWeights},
          {.name = "output.bias", .shape = {kClasses}, .group = kBiases}};
}

// A preset, and what this program wants otherwise: momentum (kept in 8 bits) and decay of the weights alone.
std::vector<GroupOptions> choose_options(const std::string& preset, double lr) {
  GroupOptions biases = presets::by_name(preset);
  biases.lr = lr;
  if (!biases.beta1) biases.beta1 = 0.9;
  GroupOptions weights = biases;
  weights.weight_decay = 1e-3;
  return {weights, biases};
}

// --- memory that the host and the optimizer's device both reach, 16-byte aligned as step() wants it ---

using Values = std::array<std::shared_ptr<float[]>, kTensors>;  // parameters or gradients, row-major

#ifdef PLUMBLINE_HAVE_CUDA
void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}
#endif

std::shared_ptr<float[]> allocate(size_t size, [[maybe_unused]] Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
  if (backend == Backend::cuda) {
    float* memory = nullptr;
    check(cudaMallocManaged(&memory, size * sizeof(float)));
    return {memory, [](float* p) { cudaFree(p); }};
  }
#endif
  return std::shared_ptr<float[]>(new float[size]);
}
void wait_for([[maybe_unused]] Stream stream, [[maybe_unused]] Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
  if (backend == Backend::cuda) check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
#endif
}

// --- the data: 8 x 8 pixels from 0 to 16 and a label, one byte each ---

struct Image {
  std::array<float, kPixels> pixels;
  int label;
};

std::vector<Image> read_images(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Image> images;
  for (std::array<unsigned char, kPixels + 1> bytes; file.read(reinterpret_cast<char*>(bytes.data()), bytes.size());) {
    Image& image = images.emplace_back();
    for (int i = 0; i < kPixels; ++i) image.pixels[i] = float(bytes[i]) / 16;
    image.label = bytes[kPixels] % kClasses;
  }
  if (images.size() < 1000) throw std::runtime_error(path.string() + ": not the digits");
  return images;
}

// --- the net: W2 relu(W1 x + b1) + b2, cross entropy of its softmax ---

struct Answer {
  float loss;
  bool right;
};

// Adds the gradients of share * loss where they are wanted.
Answer evaluate(const Image& image, const Values& p, const Values* gradients = nullptr, float share = 1) {
  std::array<float, kHidden> hidden, back = {};
  std::array<float, kClasses> output;
  for (int i = 0; i < kHidden; ++i) {
    const float* row = &p[kHiddenWeight][i * kPixels];
    hidden[i] = std::max(0.0f, std::inner_product(row, row + kPixels, image.pixels.begin(), p[kHiddenBias][i]));
  }
  for (int k = 0; k < kClasses; ++k) {
    const float* row = &p[kOutputWeight][k * kHidden];
    output[k] = std::inner_product(row, row + kHidden, hidden.begin(), p[kOutputBias][k]);
  }
  const auto best = std::max_element(output.begin(), output.end());
  const bool right = best - output.begin() == image.label;
  const float largest = *best, wanted = output[image.label] - largest;
  for (float& y : output) y = std::exp(y - largest);
  const float sum = std::accumulate(output.begin(), output.end(), 0.0f);
  const Answer answer = {std::log(sum) - wanted, right};
  if (gradients == nullptr) return answer;
  const Values& g = *gradients;
  for (int k = 0; k < kClasses; ++k) {
    const float d = share * (output[k] / sum - (k == image.label ? 1.0f : 0.0f));
    g[kOutputBias][k] += d;
    for (int i = 0; i < kHidden; ++i) {
      g[kOutputWeight][k * kHidden + i] += d * hidden[i];
      back[i] += d * p[kOutputWeight][k * kHidden + i];
    }
  }
  for (int i = 0; i < kHidden; ++i) {
    if (hidden[i] == 0) continue;
    g[kHiddenBias][i] += back[i];
    for (int j = 0; j < kPixels; ++j) g[kHiddenWeight][i * kPixels + j] += back[i] * image.pixels[j];
  }
  return answer;
}

// --- the training ---

struct Settings {
  std::filesystem::path data = "tests/data/digits/digits.u8", checkpoint;
  std::string device = "cpu", preset = "adafactor";
  int epochs = 10;
  double lr = 0.02;
};

void train(const Settings& settings) {
  constexpr size_t kBatch = 50;
  constexpr int kWarmUp = 100;
  const std::vector<Image> images = read_images(settings.data);
  const size_t batches = images.size() * 5 / 6 / kBatch, trained = batches * kBatch;  // the rest is held out

  const Backend backend = settings.device == "cuda" ? Backend::cuda : Backend::host;
  const Stream stream = nullptr;  // or any cudaStream_t
  Optimizer optimizer(describe_tensors(), choose_options(settings.preset, settings.lr), {.backend = backend});
  Values parameters, gradients;
  std::array<size_t, kTensors> sizes;
  std::vector<TensorPointers> pointers;
  std::mt19937 random(1);
  for (int i = 0; i < kTensors; ++i) {
    const std::vector<int64_t>& shape = optimizer.tensors()[i].shape;
    sizes[i] = size_t(std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>()));
    parameters[i] = allocate(sizes[i], backend);
    gradients[i] = allocate(sizes[i], backend);
    pointers.push_back({parameters[i].get(), gradients[i].get()});
    std::normal_distribution<float> normal(0, shape.size() == 2 ? std::sqrt(2.0f / float(shape[1])) : 0.01f);
    std::generate_n(parameters[i].get(), sizes[i], [&] { return normal(random); });
  }

  int done = 0;  // epochs
  if (std::filesystem::exists(settings.checkpoint)) {
    const ProgramData saved = load_checkpoint(optimizer, settings.checkpoint, Restore::bits, stream);
    done = std::stoi(saved.notes.at("epoch"));
    for (int i = 0; i < kTensors; ++i)
      std::memcpy(parameters[i].get(), saved.arrays.at(optimizer.tensors()[i].name).bytes.data(),
                  sizes[i] * sizeof(float));
    std::printf("goes on after epoch %d\n", done);
  }

  for (int epoch = done + 1; epoch <= settings.epochs; ++epoch) {
    std::vector<size_t> order(trained);
    std::iota(order.begin(), order.end(), size_t(0));
    std::shuffle(order.begin(), order.end(), std::mt19937(unsigned(epoch)));  // by the epoch alone: nothing to save
    double loss = 0;
    for (size_t batch = 0; batch < batches; ++batch) {
      for (int i = 0; i < kTensors; ++i) std::fill_n(gradients[i].get(), sizes[i], 0.0f);
      for (size_t k = 0; k < kBatch; ++k)
        loss += double(evaluate(images[order[batch * kBatch + k]], parameters, &gradients, 1.0f / kBatch).loss);
      const double warmth = double(size_t(epoch - 1) * batches + batch + 1) / kWarmUp;
      for (const int group : {kWeights, kBiases}) optimizer.set_lr(settings.lr * std::min(1.0, warmth), stream, group);
      optimizer.step(pointers, stream);
      wait_for(stream, backend);  // for the host reads the parameters next
    }
    const auto right = std::count_if(images.begin() + ptrdiff_t(trained), images.end(),
                                     [&](const Image& image) { return evaluate(image, parameters).right; });
    std::printf("epoch %2d  loss %.4f  held out %.1f %% right\n", epoch, loss / double(trained),
                100.0 * double(right) / double(images.size() - trained));

    if (settings.checkpoint.empty()) continue;
    ProgramData program;  // the program's part of the file: of the same step as the optimizer's
    program.notes["epoch"] = std::to_string(epoch);
    for (int i = 0; i < kTensors; ++i) {
      const auto bytes = std::as_bytes(std::span(parameters[i].get(), sizes[i]));
      const TensorSpec& spec = optimizer.tensors()[i];
      program.arrays[spec.name] = {"F32", spec.shape, {bytes.begin(), bytes.end()}};
    }
    save_checkpoint(optimizer, settings.checkpoint, program, stream);
  }
  std::printf("%zu parameters, %zu bytes of optimizer state\n", std::accumulate(sizes.begin(), sizes.end(), size_t(0)),
              optimizer.state_bytes());
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Trains a net of two layers on handwritten digits");
  app.add_option("--device", settings.device, "where the optimizer works")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--preset", settings.preset, "adafactor, came, apollo, apollo_mini or adam_style");
  app.add_option("--lr", settings.lr, "step size");
  app.add_option("--epochs", settings.epochs, "passes over the images")->check(CLI::PositiveNumber);
  app.add_option("--checkpoint", settings.checkpoint, "written after every epoch; where it exists, the run goes on");
  app.add_option("--data", settings.data, "the images");
  CLI11_PARSE(app, argc, argv);
  try {
    train(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train: %s\n", error.what());
    return 1;
  }
}
