#include "cuda/plan/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/api/presets.h"
#include "cuda/core/codec.h"

namespace plumbline {
namespace {

TensorSpec spec(std::vector<int64_t> shape) {
  TensorSpec s;
  s.name = "w";
  s.shape = std::move(shape);
  return s;
}

TEST(Plan, RejectsImpossibleTensorsByName) {
  const GroupOptions groups[] = {{}};
  for (const auto& shape : std::vector<std::vector<int64_t>>{
           {}, {0}, {4, 0}, {-1, 4}, {int64_t(1) << 41}, {int64_t(1) << 32, int64_t(1) << 32}}) {
    const TensorSpec tensors[] = {spec(shape)};
    try {
      make_plan(tensors, groups, false);
      ADD_FAILURE() << "accepted";
    } catch (const OptionError& error) {
      EXPECT_NE(std::string(error.what()).find("'w'"), std::string::npos);
    }
  }
  TensorSpec other_group = spec({4});
  other_group.group = 1;
  EXPECT_THROW(make_plan(std::span(&other_group, 1), groups, false), OptionError);
  EXPECT_THROW(make_plan({}, groups, false), OptionError);
  const TensorSpec good[] = {spec({4})};
  EXPECT_THROW(make_plan(good, {}, false), OptionError);
}

TEST(Plan, ChoosesThePathByAxesAndOption) {
  GroupOptions unfactored;
  unfactored.factored = false;
  const GroupOptions groups[] = {{}, unfactored};
  TensorSpec full = spec({3, 4, 5});
  full.group = 1;
  const TensorSpec tensors[] = {spec({7}), spec({3, 4, 5}), full};
  const Plan plan = make_plan(tensors, groups, false);
  EXPECT_EQ(plan.tensors[0].path, Path::full);
  EXPECT_EQ(plan.tensors[0].slices, 1);
  EXPECT_EQ(plan.tensors[1].path, Path::factored);
  EXPECT_EQ(plan.tensors[1].slices, 3);
  EXPECT_EQ(plan.tensors[1].rows, 4);
  EXPECT_EQ(plan.tensors[1].cols, 5);
  EXPECT_EQ(plan.tensors[2].path, Path::full);
  EXPECT_EQ(plan.tensors[2].slices, 3);
  EXPECT_EQ(plan.tensors[2].slot[int(SlotKind::second_moment)].matrix, 20);
}

TEST(Plan, BlocksNeverCrossAMatrix) {
  GroupOptions options;
  options.min_quantized_size = 0;
  options.block = 64;
  const GroupOptions groups[] = {options};
  const TensorSpec tensors[] = {spec({5, 65, 3})};
  const Plan plan = make_plan(tensors, groups, false);
  const SlotPlan& row = plan.tensors[0].slot[int(SlotKind::row)];
  EXPECT_EQ(row.count, 5 * 65);
  EXPECT_EQ(row.blocks, 2);
}

// Byte ranges of a plan's areas that live at the same time; none may overlap another or leave the arena.
struct Area {
  int64_t first, bytes;
};
void expect_disjoint(std::vector<Area> areas, size_t arena) {
  std::sort(areas.begin(), areas.end(), [](const Area& a, const Area& b) { return a.first < b.first; });
  int64_t end = 0;
  for (const Area& area : areas) {
    ASSERT_GE(area.first, end);
    ASSERT_EQ(area.first % 16, 0);
    end = area.first + area.bytes;
  }
  ASSERT_LE(size_t(end), arena);
}

TEST(Plan, AreasAreDisjointAndInsideTheArenas) {
  GroupOptions full;
  full.factored = false;
  full.storage = Storage::linear_u8;
  const GroupOptions groups[] = {{}, full};
  std::vector<TensorSpec> tensors = {spec({3, 700, 90}), spec({5000}),        spec({1, 1}),
                                     spec({4096, 4096}), spec({8, 300, 300}), spec({33, 2100})};
  tensors.back().group = 1;
  const Plan plan = make_plan(tensors, groups, true);
  std::vector<Area> state = {{0, 2 * 8}}, lasting;
  for (const TensorPlan& t : plan.tensors) {
    state.push_back({t.clock, sizeof(core::TensorClock)});
    for (const SlotPlan& s : t.slot) {
      if (s.count == 0) continue;
      const bool coded = s.storage != Storage::fp32;
      state.push_back({s.values, s.count * (coded ? 1 : 4)});
      if (coded) state.push_back({s.scales, t.slices * s.blocks * (s.storage == Storage::linear_u8 ? 4 : 8)});
    }
    lasting.push_back({t.scalars, sizeof(core::StepScalars)});
    lasting.push_back({t.done, (t.slices + 1) * 4});
    if (t.path == Path::factored) {
      lasting.push_back({t.row, t.slices * t.rows * 4});
      lasting.push_back({t.col, t.slices * t.cols * 4});
    } else {
      lasting.push_back({t.second_moment, t.size * 4});
    }
  }
  expect_disjoint(state, plan.state_bytes);
  int covered = 0;
  for (const Wave& wave : plan.waves) {
    ASSERT_EQ(wave.first, covered);
    covered = wave.last;
    std::vector<Area> areas = lasting;
    for (int i = wave.first; i < wave.last; ++i) {
      const TensorPlan& t = plan.tensors[size_t(plan.order[size_t(i)])];
      areas.push_back({t.slice_sums, 3 * t.slices * 8});
      areas.push_back({t.slice_step, t.slices * 4});
      if (t.path == Path::full) {
        areas.push_back({t.update_sums, t.slices * t.flat_tiles * 8});
        areas.push_back({t.parameter_sums, t.slices * t.flat_tiles * 8});
        continue;
      }
      areas.push_back({t.parameter_sums, t.slices * t.rows * 8});
      areas.push_back({t.col_scale, t.slices * t.pitch * 4});
      areas.push_back({t.norm_tiles, t.slices * t.column_tiles * 8});
      areas.push_back({t.row_tile_sums, t.slices * t.row_tiles * 8});
      areas.push_back({t.partial_col, t.chunk * t.strips * t.pitch * 4});
      areas.push_back({t.partial_weighted, t.chunk * t.strips * t.pitch * 4});
    }
    expect_disjoint(areas, plan.scratch_bytes);
  }
  EXPECT_EQ(covered, int(plan.tensors.size()));
}

// More elements than 32 bits count: what follows from a shape follows from it here, too.
TEST(Plan, CountsTensorsPastTwoToThe31Elements) {
  GroupOptions came, full, projected;
  came.beta1 = 0.9;
  came.beta3 = 0.99;
  came.momentum_of = MomentumOf::update;
  came.momentum_storage = projected.momentum_storage = Storage::uf4;
  full.factored = false;
  full.storage = Storage::al16;
  projected.projection_rank = 4096;
  projected.beta1 = 0.9;
  const GroupOptions groups[] = {came, full, projected};
  const int64_t big = int64_t(1) << 20, vector = (int64_t(1) << 32) + 12345;
  std::vector<TensorSpec> tensors = {spec({65600, 32801}), spec({70000, 160, 193}), spec({3, 240'000'011}),
                                     spec({vector}),       spec({big, big}),        spec({5, big, 1000}),
                                     spec({big, big})};
  tensors[4].group = tensors[5].group = 1;
  tensors[6].group = 2;
  const Plan plan = make_plan(tensors, groups, false);
  const auto slot = [&](int i, SlotKind kind) -> const SlotPlan& { return plan.tensors[size_t(i)].slot[int(kind)]; };
  struct Expected {
    int tensor;
    SlotKind kind;
    int64_t count, bytes, blocks;  // bytes of values; blocks of scales in all slices
  };
  for (const Expected& e : {Expected{0, SlotKind::momentum, 65600LL * 32801, 65600LL * 16401, 65600LL * 257},
                            {0, SlotKind::row, 65600, 65600, 33},
                            {1, SlotKind::momentum, 70000LL * 160 * 193, 70000LL * 160 * 97, 70000LL * 160 * 2},
                            {1, SlotKind::confidence_col, 70000LL * 193, 70000LL * 193, 70000},
                            {2, SlotKind::momentum, 3LL * 240'000'011, 3LL * 120'000'006, 3LL * 1'875'001},
                            {3, SlotKind::second_moment, vector, vector, vector / 2048 + 1},
                            {4, SlotKind::second_moment, big * big, 2 * big * big, big * big / 2048},
                            {5, SlotKind::second_moment, 5000 * big, 10000 * big, 5 * (1000 * big / 2048)},
                            {6, SlotKind::low_rank_momentum, 4096 * big, 2048 * big, 32 * big},
                            {6, SlotKind::low_rank_second_moment, 4096 * big, 4096 * big, 2 * big}}) {
    const SlotPlan& s = slot(e.tensor, e.kind);
    const int64_t slices = plan.tensors[size_t(e.tensor)].slices;
    EXPECT_EQ(s.count, e.count) << e.tensor << slot_name(e.kind);
    EXPECT_EQ(slices * s.rows() * s.row_bytes, e.bytes) << e.tensor << slot_name(e.kind);
    EXPECT_EQ(slices * s.blocks, e.blocks) << e.tensor << slot_name(e.kind);
  }
  std::vector<Area> areas;
  for (const TensorPlan& t : plan.tensors) {
    for (const SlotPlan& s : t.slot) {
      if (s.count == 0) continue;
      areas.push_back({s.values, t.slices * s.rows() * s.row_bytes});
      areas.push_back({s.scales, t.slices * s.blocks * core::scale_words(s.storage) * 4});
    }
  }
  expect_disjoint(areas, plan.state_bytes);
}

// State and scratch of what people train: 4096 x 4096, and the 291 tensors of Llama-2-7B.
struct Footprint {
  const char* name;
  GroupOptions options;
  double bytes_per_parameter;
};
std::vector<Footprint> footprints() {
  GroupOptions momentum = presets::adafactor(), unprojected = presets::apollo();
  momentum.beta1 = 0.9;
  momentum.momentum_storage = Storage::uf4;
  unprojected.beta1.reset();
  return {{"adafactor", presets::adafactor(), 0.0006},
          {"adafactor with momentum in uf4", momentum, 0.54},
          {"came", presets::came(), 1.03},
          {"apollo without momentum", unprojected, 0.1},
          {"apollo", presets::apollo(), 0.13},
          {"apollo mini", presets::apollo_mini(), 0.002}};
}

TEST(Plan, KeepsAFewThousandthsOfAByteAParameter) {
  const TensorSpec tensors[] = {{"w", {4096, 4096}, Type::bfloat16, Type::bfloat16}};
  for (const Footprint& one : footprints()) {
    const double bytes = double(make_plan(tensors, {&one.options, 1}, false).state_bytes) / (4096 * 4096);
    EXPECT_LE(bytes, one.bytes_per_parameter) << one.name;
    EXPECT_GE(bytes, one.bytes_per_parameter / 2) << one.name;  // or the bound says little
  }
}

// The 291 tensors of Llama-2-7B.
std::vector<TensorSpec> seven_billion() {
  std::vector<TensorSpec> tensors;
  const auto add = [&](std::vector<int64_t> shape) {
    tensors.push_back({"w", std::move(shape), Type::bfloat16, Type::bfloat16});
  };
  for (int layer = 0; layer < 32; ++layer) {
    for (int i = 0; i < 4; ++i) add({4096, 4096});
    for (const auto& shape : {std::vector<int64_t>{11008, 4096}, {11008, 4096}, {4096, 11008}, {4096}, {4096}})
      add(shape);
  }
  for (const auto& shape : {std::vector<int64_t>{32000, 4096}, {4096}, {32000, 4096}}) add(shape);
  return tensors;
}

TEST(Plan, ScratchOfSevenBillionParametersStaysBelowNinetySixMegabytes) {
  const std::vector<TensorSpec> tensors = seven_billion();
  ASSERT_EQ(tensors.size(), 291u);
  for (const int sweep_columns : {0, 16384}) {
    for (const Footprint& one : footprints()) {
      const size_t scratch = make_plan(tensors, {&one.options, 1}, false, sweep_columns).scratch_bytes;
      EXPECT_LE(scratch, 96'000'000u) << one.name;
    }
  }
}

// Partial sums enter the ring where others lay only once these have left it.
TEST(Plan, TensorsOfAKindTakeTicketsAndShareARing) {
  const GroupOptions groups[] = {{}};
  const Plan plan = make_plan(seven_billion(), groups, false, 16384);
  ASSERT_EQ(plan.waves.size(), 3u);  // rows up to 4096, wider ones, vectors
  for (const Wave& wave : plan.waves) {
    int64_t largest = 0, first = INT64_MAX, last = 0;
    for (int at = wave.first; at < wave.last; ++at) {
      const TensorPlan& t = plan.tensors[size_t(plan.order[size_t(at)])];
      EXPECT_EQ(t.ticketed, t.path == Path::factored);
      if (!t.ticketed) continue;
      EXPECT_EQ(t.ring_order, at - wave.first);
      const int64_t bytes = 2 * (t.partial_weighted - t.partial_col);
      largest = std::max(largest, bytes);
      first = std::min(first, t.partial_col);
      last = std::max(last, t.partial_col + bytes);
      for (int before = wave.first; before < at; ++before) {
        const TensorPlan& u = plan.tensors[size_t(plan.order[size_t(before)])];
        const bool apart = u.partial_col >= t.partial_col + bytes ||
                           t.partial_col >= u.partial_col + 2 * (u.partial_weighted - u.partial_col);
        EXPECT_TRUE(apart || u.ring_order < t.ring_after) << u.ring_order << " and " << t.ring_order;
      }
      EXPECT_LE(t.ring_after, t.ring_order);
    }
    EXPECT_LE(last - first, 6 * largest);
    EXPECT_LE(size_t(last), plan.scratch_bytes);
  }
  // One of a kind, momentum, and rows that no block sweeps stay what they were.
  GroupOptions momentum;
  momentum.beta1 = 0.9;
  const TensorSpec few[] = {spec({40, 30}), spec({2, 5000}), spec({3, 6000})};
  EXPECT_FALSE(make_plan(few, {groups, 1}, false, 1024).tensors[0].ticketed);
  EXPECT_FALSE(make_plan(few, {groups, 1}, false, 1024).tensors[1].ticketed);
  EXPECT_TRUE(make_plan(few, {groups, 1}, false, 16384).tensors[1].ticketed);
  EXPECT_FALSE(make_plan(few, {&momentum, 1}, false, 16384).tensors[1].ticketed);
}

TEST(Plan, BatchesOfSmallMatricesArePackedInOneWave) {
  GroupOptions groups[2];
  groups[1].beta1 = 0.9;
  TensorSpec specs[] = {spec({64, 64, 3, 3}), spec({50, 1, 1}),    spec({4, 16, 32}), spec({6, 8, 64}),
                        spec({4, 16, 33}),    spec({9, 8, 65}),    spec({3, 3, 3}),   spec({3, 3}),
                        spec({8192, 3, 3}),   spec({2, 100, 7, 7})};
  specs[1].parameter = Type::bfloat16;  // types are no reason for another wave
  const Plan plan = make_plan(specs, {groups, 1}, false, 1024);
  const int packs[] = {16, 1, 1, 1, 0, 0, 0, 0, 32, 4};
  for (size_t i = 0; i < std::size(specs); ++i) {
    const TensorPlan& t = plan.tensors[i];
    EXPECT_EQ(t.packed, packs[i] != 0) << i;
    EXPECT_EQ(t.packs, packs[i]) << i;
    EXPECT_LE(int64_t(t.pack) * t.slice, kPackElements);
    EXPECT_LE(t.pack * std::max(t.rows, t.cols), t.packed ? kPackLines : 0);
    EXPECT_EQ(t.pack & (t.pack - 1), 0) << i;  // an aligned range of T
    EXPECT_EQ(t.pack * t.slice % 8, 0) << i;   // packs begin at aligned addresses, in 16 bits, too
  }
  int waves = 0;
  for (const Wave& wave : plan.waves) {
    const bool packed = plan.tensors[size_t(plan.order[size_t(wave.first)])].packed;
    waves += packed;
    EXPECT_EQ(wave.last - wave.first, packed ? 6 : wave.last - wave.first);
  }
  EXPECT_EQ(waves, 1);
  specs[0].group = 1;
  EXPECT_FALSE(make_plan(specs, groups, false, 1024).tensors[0].packed);  // momentum
  EXPECT_FALSE(make_plan(specs, groups, false).tensors[1].packed);        // a backend without blocks
  groups[0].factored = false;
  EXPECT_TRUE(make_plan(specs, groups, false, 1024).tensors[5].packed == false);
  EXPECT_TRUE(make_plan(specs, groups, false, 1024).tensors[3].packed);
}

TEST(Plan, ScratchOfALargeMatrixStaysBelowFiveMegabytes) {
  const GroupOptions groups[] = {{}};
  const TensorSpec tensors[] = {spec({4096, 4096})};
  EXPECT_LE(make_plan(tensors, groups, false).scratch_bytes, 5'000'000u);
}

}  // namespace
}  // namespace plumbline
