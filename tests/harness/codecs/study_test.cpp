#include "harness/codecs/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/codecs/recommend.h"
#include "harness/codecs/sections.h"
#include "harness/error.h"

namespace plumbline::harness::codecs {
namespace {

using testing::HasSubstr;

Storage find(StateKind kind, const std::string& name) {
  for (const Storage& s : storages(kind))
    if (s.name == name) return s;
  throw std::out_of_range(name);
}

// al8 that cuts codes off instead of rounding them, and says that it rounds.
class Truncating final : public BlockCodec {
 public:
  explicit Truncating(const Storage& honest) : honest_(honest), codec_(honest.make()) {}
  Truncating(const Truncating& other) : honest_(other.honest_), codec_(honest_.make()) {}
  void begin(std::span<const double> values, const BlockPlace& place) override { codec_->begin(values, place); }
  double stored(double value, int64_t i) const override {
    const reference::Interval cell = codec_->cell(value);
    return codec_->stored(value * std::sqrt(cell.low / cell.high), i);  // half a step lower
  }
  reference::Interval reach(double value) const override { return codec_->reach(value); }
  reference::Interval cell(double value) const override { return codec_->cell(value); }

 private:
  Storage honest_;
  std::unique_ptr<BlockCodec> codec_;
};

Storage truncating() {
  Storage s = find(StateKind::second_moment, "al8");
  s.prototype = std::make_shared<Truncating>(s);
  s.clone = [](const BlockCodec& c) -> std::unique_ptr<BlockCodec> {
    return std::make_unique<Truncating>(static_cast<const Truncating&>(c));
  };
  s.name = "truncating";
  return s;
}

StudyInputs no_inputs() { return {}; }

TEST(CodecStudy, ACodecThatTruncatesPassesItsBounds) {
  RunOptions options;
  options.storages = {truncating()};
  const Study study = run_study(no_inputs(), options);
  EXPECT_FALSE(study.green());
  EXPECT_THAT(study.failures.front(), HasSubstr("narrow in truncating"));
  EXPECT_THAT(study.failures.front(), HasSubstr("its bound is"));
  const auto sections = study_sections(study);
  EXPECT_FALSE(sections.back().green);
}

TEST(CodecStudy, AFigureThatIsNotReproducedIsAFailure) {
  StudyInputs inputs = read_inputs({});
  inputs.published[0].measured_update += 1e-3;
  RunOptions options;
  options.storages = {find(StateKind::momentum, "bf16")};
  const Study study = run_study(std::move(inputs), options);
  ASSERT_EQ(study.failures.size(), 1u);
  EXPECT_THAT(study.failures.front(), HasSubstr("published study, narrow_0.5dec in adaptive"));
}

class SmallStudy : public testing::Test {
 protected:
  static const Study& study() {
    static const Study made = [] {
      RunOptions options;
      options.seed = 3;
      options.storages.clear();
      for (const char* name : {"al8", "al8 stochastic", "al16 dither", "dynamic 8"})
        options.storages.push_back(find(StateKind::second_moment, name));
      for (const char* name : {"bf16", "uf8", "uf4", "nf4"})
        options.storages.push_back(find(StateKind::momentum, name));
      return run_study(read_inputs({default_traces()[1], default_traces()[2]}), options);
    }();
    return made;
  }
};

TEST_F(SmallStudy, IsGreenAndNearItsBounds) {
  EXPECT_TRUE(study().green()) << study().failures.front();
  double closest = 0;
  for (const StoreRow& row : study().stores)
    if (row.storage.name == "al8") closest = std::max(closest, row.figures.worst.measured / row.figures.worst.bound);
  EXPECT_GE(closest, 0.95);  // a bound that nothing approaches says nothing
}

TEST_F(SmallStudy, HoldsDrawnAndRecordedStates) {
  const auto has = [&](const std::string& sample, StateKind kind) {
    return std::any_of(study().stores.begin(), study().stores.end(),
                       [&](const StoreRow& r) { return r.sample == sample && r.kind == kind; });
  };
  EXPECT_TRUE(has("wide", StateKind::second_moment));
  EXPECT_TRUE(has("digits_cnn: second moment", StateKind::second_moment));
  EXPECT_TRUE(has("digits_cnn: rows and columns", StateKind::second_moment));
  EXPECT_TRUE(has("digits_cnn: momentum", StateKind::momentum));
  EXPECT_TRUE(has("torch-default: row_var", StateKind::second_moment));
}

TEST_F(SmallStudy, RecommendsFromItsRows) {
  const auto list = recommend(study());
  ASSERT_FALSE(list.empty());
  std::map<std::string, int> chosen;
  for (const Recommendation& r : list) {
    chosen[r.state] += r.chosen;
    ASSERT_EQ(r.store_row.front(), 'S');
    ASSERT_EQ(r.average_row.front(), 'A');
    const StoreRow& stored = study().stores[std::stoul(r.store_row.substr(1)) - 1];
    const AverageRow& averaged = study().averages[std::stoul(r.average_row.substr(1)) - 1];
    EXPECT_EQ(stored.storage.name, r.storage);
    EXPECT_EQ(averaged.storage.name, r.storage);
    EXPECT_EQ(stored.figures.update.measured, r.store_error);
    EXPECT_FALSE(stored.storage.rival);
    EXPECT_EQ(stored.storage.code_bits, r.bits);
    // no row of this storage and state is worse
    for (const StoreRow& row : study().stores)
      if (row.storage.name == r.storage && row.kind == stored.kind && row.factored == stored.factored) {
        EXPECT_LE(row.figures.update.measured, r.store_error);
      }
  }
  for (const auto& [state, count] : chosen) EXPECT_EQ(count, 1) << state;
}

TEST_F(SmallStudy, PrefersUnfrozenCodesInEightBits) {
  for (const Recommendation& r : recommend(study()))
    if (r.state == "second moment" && r.bits == 8) {
      EXPECT_EQ(r.storage, "al8 stochastic");
      EXPECT_EQ(r.rival, "dynamic 8");
    }
}

TEST_F(SmallStudy, SectionsAreWellFormed) {
  const auto sections = study_sections(study());
  EXPECT_EQ(sections.back().id, "codecs-recommendation");
  for (const Section& section : sections) {
    EXPECT_TRUE(section.green) << section.id;
    EXPECT_FALSE(section.tables.empty()) << section.id;
    for (const Table& table : section.tables)
      for (const auto& row : table.rows)
        ASSERT_EQ(row.size(), table.columns.size()) << section.id << " " << table.caption;
    for (const Chart& chart : section.charts) {
      EXPECT_FALSE(chart.description.empty()) << chart.id;
      EXPECT_FALSE(chart.series.empty()) << chart.id;
      for (const Series& series : chart.series) {
        EXPECT_FALSE(series.y.empty()) << chart.id;
        EXPECT_EQ(series.x.size(), series.y.size()) << chart.id;
        EXPECT_TRUE(series.labels.empty() || series.labels.size() == series.y.size()) << chart.id;
      }
    }
  }
}

TEST(CodecStudy, DoesNotDependOnThreads) {
  RunOptions one;
  one.storages = {find(StateKind::momentum, "bf16 stochastic")};
  one.threads = 1;
  RunOptions all = one;
  all.threads = 0;
  const Study a = run_study(no_inputs(), one), b = run_study(no_inputs(), all);
  ASSERT_EQ(a.stores.size(), b.stores.size());
  for (size_t i = 0; i < a.stores.size(); ++i)
    EXPECT_EQ(a.stores[i].figures.update.measured, b.stores[i].figures.update.measured);
}

}  // namespace
}  // namespace plumbline::harness::codecs
