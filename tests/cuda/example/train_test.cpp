// The example as a person starts it: it learns, and a run in two parts ends with the bytes of the run in one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cuda/api/checkpoint.h"
#include "cuda/api/optimizer.h"
#include "cuda/api/presets.h"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Train : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) /
                     (std::string("plumbline-train-") + testing::UnitTest::GetInstance()->current_test_info()->name());
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // What it prints, to either stream; its exit code has to be this one.
  std::string run(const std::string& arguments, int code = 0) const {
    const std::string command = "cd '" + folder_.string() +
                                "' && '" PLUMBLINE_TRAIN "' --data '" PLUMBLINE_DIGITS "' " + arguments +
                                " >out 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, code) << arguments << "\n" << text(folder_ / "out");
    return text(folder_ / "out");
  }
  void expect_resumed_run_to_end_alike(const std::string& options) const {
    run("--epochs 4 --checkpoint whole " + options);
    run("--epochs 1 --checkpoint parts " + options);
    run("--epochs 3 --checkpoint parts " + options);
    EXPECT_THAT(run("--epochs 4 --checkpoint parts " + options), HasSubstr("goes on after epoch 3"));
    EXPECT_TRUE(text(folder_ / "whole") == text(folder_ / "parts")) << options;
    run("--epochs 3 --checkpoint shorter " + options);
    EXPECT_FALSE(text(folder_ / "whole") == text(folder_ / "shorter")) << options;  // or equality would say nothing
    for (const char* name : {"whole", "parts", "shorter"}) fs::remove(folder_ / name);
  }
};

TEST_F(Train, ResumedEndsWithTheBytesOfTheUninterruptedRun) { expect_resumed_run_to_end_alike(""); }

TEST_F(Train, OnAGpuEndsWithTheBytesOfTheHosts) {
  if (const std::string why = backend_unavailable(Backend::cuda); !why.empty()) GTEST_SKIP() << why;
  for (const std::string_view preset : presets::names()) {
    const std::string options = "--preset " + std::string(preset);
    expect_resumed_run_to_end_alike("--device cuda " + options);
    run("--epochs 2 --checkpoint host " + options);
    run("--epochs 2 --checkpoint gpu --device cuda " + options);
    EXPECT_TRUE(text(folder_ / "host") == text(folder_ / "gpu")) << preset;
    fs::remove(folder_ / "host");
    fs::remove(folder_ / "gpu");
  }
}

const fs::path k010 = PLUMBLINE_RELEASED "/0.1.0/checkpoint.safetensors";

// As the example's, with momentum stored so.
Optimizer example_optimizer(Storage momentum_storage, Rounding momentum_rounding) {
  GroupOptions biases = presets::adafactor();
  biases.lr = 0.02;
  biases.beta1 = 0.9;
  biases.momentum_storage = momentum_storage;
  biases.momentum_rounding = momentum_rounding;
  GroupOptions weights = biases;
  weights.weight_decay = 1e-3;
  return {{{.name = "hidden.weight", .shape = {128, 64}, .group = 0},
           {.name = "hidden.bias", .shape = {128}, .group = 1},
           {.name = "output.weight", .shape = {10, 128}, .group = 0},
           {.name = "output.bias", .shape = {10}, .group = 1}},
          {weights, biases},
          OptimizerConfig{}};
}

// A checkpoint that 0.1.0 wrote after the first epoch, with the defaults of then: momentum in 4 bits, to nearest. No
// optimizer has these options any more, since they never let go of a value. Its bits are refused in one line, which
// names the conversion; its values are taken, into the default's storage and into its own, and their bits from then on.
TEST_F(Train, TakesACheckpointOf010) {
  fs::copy_file(k010, folder_ / "old");
  const std::string refused = run("--epochs 2 --checkpoint old", 1);
  EXPECT_EQ(refused,
            "train: old: group 0: option momentum_storage is uf4, expected uf8 as the optimizer has; "
            "Restore::values converts\n");
  EXPECT_THROW(example_optimizer(Storage::uf4, Rounding::nearest), OptionError);
  Optimizer same = example_optimizer(Storage::uf4, Rounding::stochastic),
            other = example_optimizer(Storage::uf8, Rounding::stochastic);
  EXPECT_THROW(load_checkpoint(same, k010, Restore::bits), CheckpointError);
  EXPECT_EQ(load_checkpoint(same, k010, Restore::values).notes.at("epoch"), "1");
  EXPECT_EQ(load_checkpoint(other, k010, Restore::values).notes.at("epoch"), "1");
  for (int tensor = 0; tensor < 4; ++tensor) {
    EXPECT_GT(same.steps_taken(tensor), 20);
    EXPECT_EQ(other.steps_taken(tensor), same.steps_taken(tensor));
    EXPECT_EQ(other.export_decoded(tensor, "momentum").size(), same.export_decoded(tensor, "momentum").size());
  }
  save_checkpoint(same, folder_ / "again");
  Optimizer once_more = example_optimizer(Storage::uf4, Rounding::stochastic);
  load_checkpoint(once_more, folder_ / "again");
  for (int tensor = 0; tensor < 4; ++tensor) {
    const auto a = same.export_raw(tensor), b = once_more.export_raw(tensor);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].values == b[i].values && a[i].scales == b[i].scales);
  }
}

TEST_F(Train, LearnsTheDigitsItHasNotSeen) {
  const std::string out = run("--epochs 10");
  double loss = 0, right = 0;
  const size_t at = out.find("epoch 10  ");
  ASSERT_NE(at, std::string::npos) << out;
  ASSERT_EQ(std::sscanf(out.c_str() + at, "epoch 10  loss %lf  held out %lf %% right", &loss, &right), 2) << out;
  EXPECT_LT(loss, 0.2) << out;
  EXPECT_GT(right, 85) << out;
}

TEST_F(Train, SaysWhatItCannotTake) {
  EXPECT_THAT(run("--preset sgd", 1), HasSubstr("train: preset 'sgd': unknown, expected one of adafactor, came"));
  EXPECT_THAT(run("--lr -1", 1), HasSubstr("option lr: '-1', expected [0, 1e6]"));
  std::ofstream(folder_ / "note") << "this is no checkpoint, only a few words";
  EXPECT_THAT(run("--checkpoint note", 1), HasSubstr("train: note: "));
  run("--epochs 1 --checkpoint run");
  EXPECT_THAT(run("--epochs 2 --checkpoint run --preset came", 1), HasSubstr("expected"));
  const std::string why = backend_unavailable(Backend::cuda);
  if (!why.empty()) {
    EXPECT_THAT(run("--device cuda", 1), HasSubstr("train: " + why));
  }
}

}  // namespace
}  // namespace plumbline
