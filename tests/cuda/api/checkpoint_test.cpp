// Checkpoints: the bits of a run that was never interrupted, a file that others can read, and every way it can be bad.
#include "cuda/api/checkpoint.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "harness/trace.h"
#include "tests/cuda/api/training.h"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using Kind = CheckpointError::Kind;
using testing::HasSubstr;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), std::streamsize(bytes.size()));
}

// CRC-32 bit by bit, as the format's description says.
uint32_t crc32_of(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}
// The file with a checksum that is right for what it holds now.
std::string with_checksum(std::string bytes) {
  const uint32_t crc = crc32_of(std::string_view(bytes).substr(0, bytes.size() - 4));
  std::memcpy(bytes.data() + bytes.size() - 4, &crc, 4);
  return bytes;
}
std::string replaced(std::string bytes, std::string_view from, std::string_view to) {
  const size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(from.size(), to.size());
  return at == std::string::npos ? bytes : bytes.replace(at, from.size(), to);
}

class Checkpoint : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) / (std::string("plumbline-checkpoint-") +
                                                     testing::UnitTest::GetInstance()->current_test_info()->name());
  fs::path path_ = folder_ / "run.safetensors";
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  int files() const { return int(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }

  // Loading fails with this kind and these words, and leaves every byte of the run.
  void expect_refused(Training& to, Kind kind, const std::string& says, Restore restore = Restore::bits) const {
    const std::vector<Values> parameters = to.parameters;
    std::vector<std::vector<RawSlot>> before;
    for (int i = 0; i < int(to.specs.size()); ++i) before.push_back(to.optimizer.export_raw(i));
    const GroupOptions group = to.optimizer.groups()[0];
    const float multiplier = to.optimizer.gradient_multiplier();
    try {
      load_checkpoint(to.optimizer, path_, restore);
      ADD_FAILURE() << "taken, expected: " << says;
    } catch (const CheckpointError& error) {
      EXPECT_EQ(int(error.kind()), int(kind)) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(says));
      EXPECT_TRUE(std::string(error.what()).starts_with(path_.string() + ": ")) << error.what();
    }
    for (int i = 0; i < int(before.size()); ++i) {
      const std::vector<RawSlot> after = to.optimizer.export_raw(i);
      for (size_t k = 0; k < after.size(); ++k) EXPECT_TRUE(same_slot(after[k], before[size_t(i)][k])) << says;
    }
    EXPECT_EQ(to.optimizer.groups()[0], group);
    EXPECT_EQ(to.optimizer.gradient_multiplier(), multiplier);
  }
};

std::vector<TensorSpec> specs() {
  return {{"layer/1.weight", {2, 20, 33}},
          {"layer/1.bias", {77}, Type::bfloat16, Type::float16},
          {"head \"ü\"", {30, 11}, Type::float16, Type::float32, 1}};
}
// Both groups have momentum; between them every path, and roundings that the count of writes decides.
std::vector<GroupOptions> groups() {
  return {options_of({{"beta1", "0.9"},
                      {"momentum_of", "update"},
                      {"momentum_rounding", "dither"},
                      {"rounding", "stochastic"},
                      {"limiter_margin", "0.01"},
                      {"parameter_norm", "carried"},
                      {"parameter_rounding", "stochastic"}}),
          options_of({{"beta1", "0.9"},
                      {"beta2", "0.99"},
                      {"projection_rank", "3"},
                      {"projection_refresh", "2"},
                      {"storage", "al16"},
                      {"momentum_storage", "bf16"},
                      {"momentum_rounding", "stochastic"},
                      {"parameter_rounding", "stochastic"}})};
}

// A program's parameters go with the state.
ProgramData parameters_of(Training& run) {
  ProgramData data;
  for (size_t i = 0; i < run.specs.size(); ++i) {
    const std::span<std::byte> bytes = run.parameters[i].span();
    data.arrays[run.specs[i].name] = {"U8", {int64_t(bytes.size())}, {bytes.begin(), bytes.end()}};
  }
  return data;
}
void set_parameters(Training& run, const ProgramData& data) {
  for (size_t i = 0; i < run.specs.size(); ++i) {
    const std::vector<std::byte>& bytes = data.arrays.at(run.specs[i].name).bytes;
    std::copy(bytes.begin(), bytes.end(), run.parameters[i].span().begin());
  }
}

TEST_F(Checkpoint, AResumedRunHasTheBitsOfTheUninterruptedOne) {
  Training a(specs(), groups());
  for (int t = 1; t <= 3; ++t) a.step(t);
  a.optimizer.set_lr(0.0123456789012345678, nullptr, 1);
  a.optimizer.set_gradient_multiplier(0.3f);
  for (const bool decoded : {true, false}) {
    save_checkpoint(a.optimizer, path_, parameters_of(a), nullptr, decoded);
    OptimizerConfig config;
    config.threads = 2;
    Training b(specs(), groups(), config);
    b.step(7);  // whatever it was before
    set_parameters(b, load_checkpoint(b.optimizer, path_));
    EXPECT_TRUE(same_training(a, b));
    EXPECT_EQ(b.optimizer.groups(), a.optimizer.groups());
    EXPECT_EQ(b.optimizer.gradient_multiplier(), 0.3f);
    for (int t = 4; t <= 6; ++t) {
      a.step(t);
      b.step(t);
      ASSERT_TRUE(same_training(a, b)) << t;
    }
  }
  EXPECT_EQ(files(), 1);
}

TEST_F(Checkpoint, OfTheHostRunsOnUnderTheEmulator) {
  const std::vector<GroupOptions> options = {groups()[0], groups()[0]};
  OptimizerConfig config;
  config.backend = Backend::emulator;
  Training a(specs(), options), b(specs(), options, config);
  for (int t = 1; t <= 2; ++t) a.step(t);
  save_checkpoint(a.optimizer, path_, parameters_of(a));
  set_parameters(b, load_checkpoint(b.optimizer, path_));
  a.step(3);
  b.step(3);
  EXPECT_TRUE(same_training(a, b));
  const std::string bytes = [&] {
    save_checkpoint(a.optimizer, path_);
    return read_file(path_);
  }();
  save_checkpoint(b.optimizer, path_);
  EXPECT_EQ(read_file(path_), bytes);  // the same state is the same file
}

// With nothing but the file: a reader of safetensors, and the formulas of the format.
TEST_F(Checkpoint, IsReadWithoutTheLibrary) {
  Training run(
      {{"w", {50, 301}}, {"b", {90}}},
      {options_of({{"beta1", "0.9"}, {"momentum_storage", "uf4"}, {"block", "64"}, {"limiter_margin", "0.1"}})});
  for (int t = 1; t <= 3; ++t) run.step(t);
  ProgramData program;
  program.notes["epoch"] = "7";
  save_checkpoint(run.optimizer, path_, program);

  const harness::SafeTensors file = harness::SafeTensors::read(path_);
  const auto floats = [&](const std::string& name) {
    const harness::SafeTensors::Array* array = file.find(name);
    EXPECT_NE(array, nullptr) << name;
    EXPECT_EQ(array->dtype, "F32") << name;
    std::vector<float> values(size_t(array->elements()));
    std::memcpy(values.data(), file.data(*array), values.size() * 4);
    return values;
  };
  const auto tensors = nlohmann::json::parse(file.metadata().at("tensors"));
  EXPECT_EQ(file.metadata().at("format"), "plumbline-optimizer/1");
  EXPECT_EQ(tensors[0]["name"], "w");
  EXPECT_EQ(tensors[0]["steps"], 3);
  EXPECT_EQ(nlohmann::json::parse(file.metadata().at("groups"))[0]["momentum_storage"], "uf4");
  EXPECT_EQ(nlohmann::json::parse(file.metadata().at("notes"))["epoch"], "7");

  // al8: 2^((code - 1) r/254 + lo), code 0 is 0
  const std::vector<float> row = floats("state/w/row"), scales = floats("raw/w/row/scales");
  const auto* codes = reinterpret_cast<const uint8_t*>(file.data(*file.find("raw/w/row/codes")));
  ASSERT_EQ(row.size(), 50u);
  ASSERT_EQ(file.find("raw/w/row/scales")->shape, (std::vector<int64_t>{1, 1, 2}));
  for (size_t i = 0; i < row.size(); ++i) {
    const double value = codes[i] == 0 ? 0 : std::exp2((codes[i] - 1) * double(scales[1]) / 254 + double(scales[0]));
    EXPECT_NEAR(row[i], value, 1e-5 * value);
  }
  // uf4, stochastic: code/6 scale, the first of two in the high nibble, rows of 301 on a byte, blocks of 128 within a
  // row
  const std::vector<float> momentum = floats("state/w/momentum"), absmax = floats("raw/w/momentum/scales");
  const harness::SafeTensors::Array* packed = file.find("raw/w/momentum/codes");
  ASSERT_EQ(packed->shape, (std::vector<int64_t>{50, 151}));
  ASSERT_EQ(file.find("raw/w/momentum/scales")->shape, (std::vector<int64_t>{50, 3, 1}));
  ASSERT_EQ(file.find("state/w/momentum")->shape, (std::vector<int64_t>{50, 301}));
  double largest = 0;
  for (size_t i = 0; i < 50; ++i) {
    for (size_t j = 0; j < 301; ++j) {
      const auto byte = uint8_t(file.data(*packed)[i * 151 + j / 2]);
      const int nibble = j % 2 == 0 ? byte >> 4 : byte & 15, code = nibble < 8 ? nibble : nibble - 16;
      const double value = code / 6.0 * double(absmax[i * 3 + j / 128]);
      EXPECT_NEAR(momentum[i * 301 + j], value, 2e-7 * std::abs(value));
      largest = std::max(largest, std::abs(value));
    }
  }
  EXPECT_GT(largest, 0);
  EXPECT_EQ(momentum, run.optimizer.export_decoded(0, "momentum"));
  EXPECT_EQ(file.find("raw/w/previous_norm")->dtype, "F64");

  const std::string bytes = read_file(path_);
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + bytes.size() - 4, 4);
  EXPECT_EQ(crc, crc32_of(std::string_view(bytes).substr(0, bytes.size() - 4)));
  // arrays start where their elements may: other readers map them in place
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  for (const auto& [name, array] : file.arrays())
    EXPECT_EQ(array.begin % (size_t(array.end - array.begin) / size_t(array.elements())), 0u) << name;
}

TEST_F(Checkpoint, ProgramDataComesBack) {
  Training run({{"w", {4, 4}}}, {GroupOptions{}});
  ProgramData program;
  program.arrays["random state"] = {"U64", {2}, std::vector<std::byte>(16, std::byte(0xa5))};
  program.arrays["empty"] = {"F32", {0, 5}, {}};
  program.arrays["scalar"] = {"BOOL", {}, {std::byte(1)}};
  program.notes["comment"] = "line\n\"quoted\" ü";
  save_checkpoint(run.optimizer, path_, program);
  EXPECT_EQ(load_checkpoint(run.optimizer, path_), program);
  EXPECT_EQ(load_checkpoint(run.optimizer, path_, Restore::values), program);
}

TEST_F(Checkpoint, WhatCannotBeSavedIsNamedAndNothingIsWritten) {
  Training run({{"w", {4, 4}}}, {GroupOptions{}}), twins({{"w", {4, 4}}, {"w", {4}}}, {GroupOptions{}});
  Training nameless({{"", {4, 4}}}, {GroupOptions{}}), latin({{"\xfc", {4, 4}}}, {GroupOptions{}});
  const auto expect = [&](const Training& from, const ProgramData& program, const char* says) {
    try {
      save_checkpoint(from.optimizer, path_, program);
      ADD_FAILURE() << says;
    } catch (const OptionError& error) {
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
    EXPECT_EQ(files(), 0);
  };
  expect(twins, {}, "tensor name 'w'");
  expect(nameless, {}, "tensor name ''");
  expect(latin, {}, "UTF-8");
  expect(run, {{{"a", {"F31", {1}, {}}}}, {}}, "array 'a': type 'F31'");
  expect(run, {{{"a", {"F32", {2}, std::vector<std::byte>(7)}}}, {}}, "array 'a': 7 bytes of F32");
  expect(run, {{{"a", {"F32", {-1}, {}}}}, {}}, "array 'a'");
  expect(run, {{}, {{"note", "\xff"}}}, "UTF-8");
}

TEST_F(Checkpoint, EveryTruncationIsRefused) {
  Training run({{"w", {9, 11}}}, {options_of({{"beta1", "0.9"}})}), to(run.specs, run.optimizer.groups());
  run.step(1);
  save_checkpoint(run.optimizer, path_);
  const std::string bytes = read_file(path_);
  for (size_t size = bytes.size(); size-- > 0;) {
    fs::resize_file(path_, size);
    expect_refused(to, Kind::truncated, "bytes");
    if (HasFailure()) FAIL() << size << " of " << bytes.size() << " bytes";
  }
  write_file(path_, bytes + '\0');
  expect_refused(to, Kind::altered, "1 bytes after the last array");
}

TEST_F(Checkpoint, EveryAlteredByteIsRefused) {
  Training run({{"w", {9, 11}}}, {options_of({{"beta1", "0.9"}, {"limiter_margin", "0"}})});
  Training to(run.specs, run.optimizer.groups()), untouched(run.specs, run.optimizer.groups());
  run.step(1);
  save_checkpoint(run.optimizer, path_);
  const std::string bytes = read_file(path_);
  const auto seed = std::random_device()();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  for (size_t at = 0; at < bytes.size(); ++at) {
    const auto put = [&](char byte) {  // in place: as a disk would alter it
      std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(std::streamoff(at)).put(byte);
    };
    put(char(bytes[at] ^ (1 << random() % 8)));
    EXPECT_THROW(load_checkpoint(to.optimizer, path_), CheckpointError) << "byte " << at;
    EXPECT_THROW(load_checkpoint(to.optimizer, path_, Restore::values), CheckpointError) << "byte " << at;
    put(bytes[at]);
  }
  EXPECT_TRUE(same_state(to.optimizer, untouched.optimizer));
  // in the arrays it is the checksum that says so
  std::string bad = bytes;
  bad[bytes.size() - 20] = char(bad[bytes.size() - 20] ^ 16);
  write_file(path_, bad);
  expect_refused(to, Kind::altered, "bytes were altered");
}

TEST_F(Checkpoint, OtherFilesAreRefused) {
  Training to({{"w", {9, 11}}}, {GroupOptions{}});
  expect_refused(to, Kind::unreadable, "No such file");
  fs::create_directories(path_);
  expect_refused(to, Kind::unreadable, "not a regular file");
  fs::remove(path_);
  write_file(path_, std::string(1000, 'x'));
  expect_refused(to, Kind::not_a_checkpoint, "header of 8680820740569200760 bytes");
  write_file(path_, std::string("\4\0\0\0\0\0\0\0null", 12));
  expect_refused(to, Kind::not_a_checkpoint, "not a JSON object");
  constexpr uint64_t kDeep = 200'000;  // lists within lists: whoever walks through them ends without a stack
  const std::string deep = "{\"__metadata__\":" + std::string(kDeep / 2, '[') + std::string(kDeep / 2, ']') + "}   ";
  const uint64_t length = deep.size();
  write_file(path_, std::string(reinterpret_cast<const char*>(&length), sizeof length) + deep);
  expect_refused(to, Kind::not_a_checkpoint, "not a JSON object");
  write_file(path_, read_file(fs::path(PLUMBLINE_DATA) / "traces/digits_cnn.safetensors"));
  expect_refused(to, Kind::not_a_checkpoint, "format 'optimizer-trace/1', expected plumbline-optimizer/1");
  save_checkpoint(to.optimizer, path_);
  write_file(path_, with_checksum(replaced(read_file(path_), "plumbline-optimizer/1", "plumbline-optimizer/2")));
  expect_refused(to, Kind::version, "format 'plumbline-optimizer/2', expected plumbline-optimizer/1");
}

// A checksum says that bytes are those that were written, not that they make sense.
TEST_F(Checkpoint, NonsenseUnderAGoodChecksumIsRefused) {
  Training run({{"w", {20, 33}}}, {options_of({{"beta1", "0.9"}, {"momentum_storage", "uf4"}})}),
      to(run.specs, run.optimizer.groups());
  run.step(1);
  save_checkpoint(run.optimizer, path_);
  const std::string bytes = read_file(path_);
  const auto refused = [&](std::string_view from, std::string_view now, Kind kind, const char* says) {
    write_file(path_, with_checksum(replaced(bytes, from, now)));
    expect_refused(to, kind, says);
  };
  refused(R"(\"steps\":1)", R"(\"steps\":x)", Kind::altered, "metadata 'tensors' is not JSON");
  refused(R"(\"steps\":1)", R"(\"stops\":1)", Kind::altered, "metadata is not what the format says");
  refused(R"(\"writes\":1)", R"(\"writes\":0)", Kind::mismatch, "writes");
  refused(R"(\"lr\":\"0.01\")", R"(\"lr\":\"-1.0\")", Kind::mismatch, "option lr: '-1.0'");
  refused(R"(\"clip\")", R"(\"clap\")", Kind::altered, "option clap is unknown");
  refused(R"(raw/w/row/codes)", R"(raw/w/row/cones)", Kind::altered, "array 'raw/w/row/codes' is missing");
  refused(R"("crc32")", R"("crc23")", Kind::altered, "array 'crc32' is not at the end");
  refused(R"("dtype":"U8")", R"("dtype":"Q8")", Kind::altered, "unknown type 'Q8'");
  refused(R"("shape":[20,17])", R"("shape":[17,17])", Kind::altered, "as shape and type say");
  refused(R"("shape":[20,17])", R"("shape":[-2,17])", Kind::altered, "negative extent");
  refused(R"("shape":[20,17])", R"("shape":"20x17")", Kind::altered, "negative extent");
  refused(R"(\"group\":0)", R"(\"group\":1)", Kind::mismatch, "group 1, expected 0");
  // -8 is no code of uf4: the first momentum code, at its place in the file
  const harness::SafeTensors file =
      harness::SafeTensors::parse({reinterpret_cast<const std::byte*>(bytes.data()),
                                   reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size()},
                                  "checkpoint");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  std::string bad = bytes;
  bad[8 + header + file.find("raw/w/momentum/codes")->begin] = char(0x80);
  write_file(path_, with_checksum(bad));
  expect_refused(to, Kind::mismatch, "slot 'momentum': row 0, value 0: code -8");
}

TEST_F(Checkpoint, StateOfAnotherRunIsRefusedByName) {
  Training run(specs(), groups());
  run.step(1);
  save_checkpoint(run.optimizer, path_);
  const auto expect = [&](const std::function<void(std::vector<TensorSpec>&, std::vector<GroupOptions>&)>& change,
                          const char* says) {
    std::vector<TensorSpec> tensors = specs();
    std::vector<GroupOptions> options = groups();
    change(tensors, options);
    Training to(tensors, options);
    expect_refused(to, Kind::mismatch, says);
  };
  expect([](auto& t, auto&) { t[0].shape = {2, 33, 20}; }, "tensor 'layer/1.weight': shape 2x20x33, expected 2x33x20");
  expect([](auto& t, auto&) { t[1].parameter = Type::float32; },
         "tensor 'layer/1.bias': parameter bfloat16, expected float32");
  expect([](auto& t, auto&) { t[1].name = "bias"; }, "tensor 1 is 'layer/1.bias', expected 'bias'");
  expect([](auto& t, auto&) { std::swap(t[0], t[1]); }, "tensor 0 is 'layer/1.weight', expected 'layer/1.bias'");
  expect([](auto& t, auto&) { t.pop_back(); }, "tensors: 3, expected 2");
  expect([](auto&, auto& g) { g.push_back({}); }, "groups: 2, expected 3");
  expect([](auto&, auto& g) { g[1].storage = Storage::al8; }, "group 1: option storage is al16, expected al8");
  expect([](auto&, auto& g) { g[0].seed = 5; }, "group 0: option seed is 0, expected 5");
  expect([](auto&, auto& g) { g[0].beta1 = 0.95; }, "group 0: option beta1 is 0.9, expected 0.95");
}

TEST_F(Checkpoint, ValuesGoToOtherOptionsAndAnotherOrder) {
  Training a(specs(), groups());
  for (int t = 1; t <= 3; ++t) a.step(t);
  save_checkpoint(a.optimizer, path_);
  std::vector<TensorSpec> tensors = specs();
  std::swap(tensors[0], tensors[1]);
  std::vector<GroupOptions> options = groups();
  for (GroupOptions& o : options) {
    o.storage = o.momentum_storage = Storage::fp32;
    o.lr = 0.5;
    o.parameter_norm = ParameterNorm::fresh;
  }
  Training b(tensors, options);
  load_checkpoint(b.optimizer, path_, Restore::values);
  for (const auto& [from, to] : {std::pair(0, 1), {1, 0}, {2, 2}}) {
    const DecodedState x = a.optimizer.export_decoded(from), y = b.optimizer.export_decoded(to);
    EXPECT_EQ(x.steps_taken, y.steps_taken);
    EXPECT_EQ(x.previous_norm, y.previous_norm);
    ASSERT_EQ(x.slots.size(), y.slots.size());
    for (size_t k = 0; k < x.slots.size(); ++k) EXPECT_EQ(x.slots[k].values, y.slots[k].values) << x.slots[k].name;
  }
  EXPECT_EQ(b.optimizer.groups()[0].lr, 0.5);
  // what the file does not have
  tensors[2].name = "new";
  Training c(tensors, options);
  expect_refused(c, Kind::mismatch, "tensor 'new': the file has none", Restore::values);
  options[1].projection_rank = 4;
  Training d(specs(), options);
  expect_refused(d, Kind::mismatch, "slot 'low_rank_momentum' of 90 values, expected 120", Restore::values);
  options[1].projection_rank = 0;
  Training e(specs(), options);
  expect_refused(e, Kind::mismatch, "the file has no values of slot 'row'", Restore::values);
  save_checkpoint(a.optimizer, path_, {}, nullptr, false);
  expect_refused(b, Kind::mismatch, "the file has no values of slot", Restore::values);
}

// The disk is full in the middle: the checkpoint of before is still there, and nothing beside it.
TEST_F(Checkpoint, AFailedSaveLeavesTheOldFile) {
  Training run({{"w", {40, 50}}}, {options_of({{"beta1", "0.9"}})});
  run.step(1);
  save_checkpoint(run.optimizer, path_);
  const std::string before = read_file(path_);
  run.step(2);
  rlimit old = {};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {before.size() / 2, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  try {
    save_checkpoint(run.optimizer, path_);
    ADD_FAILURE() << "saved";
  } catch (const CheckpointError& error) {
    EXPECT_EQ(int(error.kind()), int(Kind::unwritable));
    EXPECT_THAT(error.what(), HasSubstr("cannot be written"));
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_file(path_), before);
  EXPECT_EQ(files(), 1);
  const fs::path nowhere = folder_ / "missing" / "run.safetensors";
  EXPECT_THROW(save_checkpoint(run.optimizer, nowhere), CheckpointError);
  fs::remove(path_);
  fs::create_directories(path_ / "in the way");
  EXPECT_THROW(save_checkpoint(run.optimizer, path_), CheckpointError);
  EXPECT_EQ(files(), 1);
}

// A killed program leaves its draft. In a container the next one has the same process number: no name may be in the
// way.
TEST_F(Checkpoint, DraftsOfKilledProgramsGoAndThoseOfLivingOnesStay) {
  Training run({{"w", {40, 50}}}, {options_of({})});
  const auto draft = [&](const char* digits) { return fs::path(path_.string() + "." + digits + ".partial"); };
  const fs::path abandoned = draft("0123456789abcdef"), living = draft("fedcba9876543210"),
                 not_ours = draft("0123456789abcdeg"), old_form = draft("1-4");
  for (const fs::path& path : {abandoned, living, not_ours, old_form}) std::ofstream(path) << "half";
  const int held = open(living.c_str(), O_WRONLY);
  ASSERT_EQ(flock(held, LOCK_EX), 0);
  for (int save = 0; save < 3; ++save) save_checkpoint(run.optimizer, path_);
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(living) && fs::exists(not_ours) && fs::exists(old_form));
  EXPECT_EQ(files(), 4);  // and none of ours beside the checkpoint
  close(held);
  save_checkpoint(run.optimizer, path_);
  EXPECT_FALSE(fs::exists(living));
}

// Killed at any moment, each in a process of its own: what stands is a whole checkpoint, and the next run resumes.
TEST_F(Checkpoint, KillsAtAnyMomentLoseNothing) {
  Training run({{"w", {64, 64}}}, {options_of({{"beta1", "0.9"}})});
  run.step(1);
  save_checkpoint(run.optimizer, path_);
  for (int kill_after = 0; kill_after < 60; ++kill_after) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0)
      for (;;) save_checkpoint(run.optimizer, path_);
    usleep(useconds_t(37 * kill_after));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    Training resumed({{"w", {64, 64}}}, {options_of({{"beta1", "0.9"}})});
    ASSERT_NO_THROW(load_checkpoint(resumed.optimizer, path_));
    ASSERT_TRUE(same_state(resumed.optimizer, run.optimizer));
    ASSERT_NO_THROW(save_checkpoint(resumed.optimizer, path_));
    ASSERT_EQ(files(), 1);
  }
}

// --- 2,000 steps of a recorded training, looped, interrupted at random ---

struct Recorded {
  std::vector<TensorSpec> specs;
  std::vector<Values> parameters;              // at the start
  std::vector<std::vector<Values>> gradients;  // by step, by tensor
};
Recorded read_digits(Type type) {
  const harness::Trace trace = harness::Trace::read(fs::path(PLUMBLINE_DATA) / "traces/digits_cnn.safetensors");
  Recorded out;
  const auto take = [](const reference::Tensor& from, Type as) {
    Values values(from.size(), as);
    for (int64_t i = 0; i < from.size(); ++i) values.set(i, float(from.data(i)));
    return values;
  };
  for (const auto& tensor : trace.tensors()) {
    out.specs.push_back({tensor.name, tensor.shape, type, Type::float32});
    out.parameters.push_back(take(trace.parameter(tensor.name, 0), type));
  }
  for (int64_t t = 1; t <= trace.steps(); ++t) {
    auto& step = out.gradients.emplace_back();
    for (const auto& tensor : trace.tensors()) step.push_back(take(trace.gradient(tensor.name, t), Type::float32));
  }
  return out;
}

struct Journey {
  const char* name;
  Type type;
  OptionList options;
};
class LongRun : public testing::TestWithParam<Journey> {};

TEST_P(LongRun, ResumedAtRandomStepsHasTheBitsOfTheUninterruptedRun) {
  constexpr int kSteps = 2000;
  const Recorded digits = read_digits(GetParam().type);
  const std::vector<GroupOptions> options = {options_of(GetParam().options)};
  const fs::path path =
      fs::path(testing::TempDir()) / (std::string("plumbline-long-") + GetParam().name + ".safetensors");
  const auto make = [&] { return std::make_unique<Optimizer>(digits.specs, options, OptimizerConfig{}); };
  const auto seed = std::random_device()();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);

  std::vector<Values> straight = digits.parameters, resumed = digits.parameters;
  std::unique_ptr<Optimizer> one = make(), other = make();
  const auto step = [&](Optimizer& optimizer, std::vector<Values>& parameters, int t) {
    std::vector<TensorPointers> pointers;
    const std::vector<Values>& gradients = digits.gradients[size_t(t - 1) % digits.gradients.size()];
    for (size_t i = 0; i < parameters.size(); ++i) pointers.push_back({parameters[i].data(), gradients[i].data()});
    optimizer.step(pointers);
  };
  int resumptions = 0;
  for (int t = 1; t <= kSteps; ++t) {
    step(*one, straight, t);
    step(*other, resumed, t);
    if (random() % 100 != 0 && t != kSteps / 2) continue;
    ++resumptions;
    save_checkpoint(*other, path, {}, nullptr, random() % 2 == 0);
    other = make();
    load_checkpoint(*other, path);
  }
  std::cout << resumptions << " resumptions\n";
  fs::remove(path);
  EXPECT_TRUE(straight == resumed);
  EXPECT_TRUE(same_state(*one, *other));
  EXPECT_EQ(other->steps_taken(0), kSteps);
}

INSTANTIATE_TEST_SUITE_P(
    Digits, LongRun,
    testing::Values(Journey{"adafactor", Type::float32, {{"relative_step", "true"}, {"parameter_norm", "carried"}}},
                    Journey{"dither",
                            Type::bfloat16,
                            {{"beta1", "0.9"},
                             {"momentum_of", "update"},
                             {"storage", "al16"},
                             {"rounding", "dither"},
                             {"momentum_rounding", "dither"},
                             {"parameter_rounding", "stochastic"},
                             {"limiter_margin", "0.01"}}},
                    Journey{"came",
                            Type::float32,
                            {{"beta1", "0.9"},
                             {"momentum_of", "update"},
                             {"beta3", "0.999"},
                             {"storage", "al16"},
                             {"rounding", "stochastic"},
                             {"momentum_storage", "uf8"},
                             {"momentum_rounding", "stochastic"}}},
                    Journey{"full",
                            Type::float16,
                            {{"factored", "false"},
                             {"beta1", "0.9"},
                             {"beta2", "0.99"},
                             {"storage", "log_u8"},
                             {"rounding", "stochastic"},
                             {"momentum_storage", "bf16"},
                             {"momentum_rounding", "stochastic"},
                             {"parameter_rounding", "stochastic"}}},
                    Journey{"apollo",
                            Type::float32,
                            {{"projection_rank", "4"},
                             {"projection_refresh", "37"},
                             {"beta1", "0.9"},
                             {"beta2", "0.999"},
                             {"clip", "0"},
                             {"limiter_margin", "0.01"},
                             {"storage", "linear_u8"},
                             {"rounding", "stochastic"},
                             {"momentum_rounding", "stochastic"}}}),
    [](const auto& journey) { return std::string(journey.param.name); });

}  // namespace
}  // namespace plumbline
