#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "cuda/api/options.h"
#include "harness/case.h"
#include "harness/error.h"
#include "harness/subject.h"
#include "harness/ways.h"
#include "reference/dialects/plumbline.h"
#include "tests/harness/faulty.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

std::map<std::string, OptionRow> production_rows() {
  std::map<std::string, OptionRow> rows;
  for (const OptionRow& row : option_table()) rows.emplace(row.name, row);
  return rows;
}
std::vector<reference::OptionRow> reference_rows() { return reference::option_table<reference::PlumblineOptions>(); }

TEST(OptionTables, ProductionHasEveryOptionOfTheReferenceWithItsDefault) {
  const auto production = production_rows();
  for (const auto& row : reference_rows()) {
    const auto found = production.find(row.name);
    ASSERT_NE(found, production.end()) << row.name;
    EXPECT_EQ(found->second.default_value, row.default_value) << row.name;
  }
}

// The reference is mathematics and takes every number; production says where float32 and its tables end.
TEST(OptionTables, ValidTextIsTheSameOrProductionIsNarrowerAsDocumented) {
  const std::map<std::string, std::pair<std::string, std::string>> narrower = {
      {"lr", {"[0, inf)", "[0, 1e6]"}},
      {"beta2_decay", {"(-inf, 0]", "[-1, 0]"}},
      {"beta2", {"none|[0, 1)", "none or [0, 1)"}},
      {"eps1", {"[0, inf)", "[2^-100, 1]"}},
      {"eps2", {"[0, inf)", "[0, 1e6]"}},
      {"clip", {"[0, inf)", "0 (off) or [1e-6, 1e6]"}},
      {"weight_decay", {"[0, inf)", "[0, 1e6]"}},
      {"beta1", {"none|[0, 1)", "none or [0, 1)"}},
      {"beta3", {"none|[0, 1)", "none or [0, 1)"}},
      {"eps_came", {"(0, inf)", "[2^-100, 1]"}},
      {"limiter_margin", {"none|[0, inf)", "none or [0, 1e6]"}},
      {"projection_rank", {"integer [0, 4096]", "0 (off) or [1, 4096]"}},
      {"projection_refresh", {"integer [1, 9007199254740992]", "[1, 2^31]"}},
      {"projection_scale", {"(0, inf)", "(0, 1e6]"}},
      {"projection_eps", {"(0, inf)", "[1e-30, 1]"}},
      {"projection_seed", {"integer [0, 4294967295]", "[0, 2^32)"}},
  };
  const auto production = production_rows();
  for (const auto& row : reference_rows()) {
    const std::string valid(production.at(row.name).valid);
    if (const auto known = narrower.find(row.name); known != narrower.end()) {
      EXPECT_EQ(row.valid, known->second.first) << row.name;
      EXPECT_EQ(valid, known->second.second) << row.name;
    } else if (row.valid == "true|false") {
      EXPECT_EQ(valid, "false|true") << row.name;
    } else {
      EXPECT_EQ(row.valid, valid) << row.name;
    }
  }
}

TEST(OptionTables, WhatProductionHasBesidesIsAWordOfTheCase) {
  std::set<std::string> beside;
  for (const auto& [name, row] : production_rows()) beside.insert(name);
  for (const auto& row : reference_rows()) beside.erase(row.name);
  EXPECT_EQ(beside, (std::set<std::string>{"block", "min_quantized_size", "momentum_block", "momentum_rounding",
                                           "momentum_storage", "parameter_norm", "parameter_rounding", "rounding",
                                           "seed", "storage"}));
  const Problem defaults;
  const auto production = production_rows();
  EXPECT_EQ(production.at("block").default_value, std::to_string(defaults.block));
  EXPECT_EQ(production.at("min_quantized_size").default_value, std::to_string(defaults.min_quantized_size));
  EXPECT_EQ(production.at("storage").default_value, to_string(defaults.storage));
  EXPECT_EQ(production.at("rounding").default_value, to_string(defaults.rounding));
  EXPECT_EQ(production.at("momentum_storage").default_value, to_string(defaults.momentum_storage));
  EXPECT_EQ(production.at("momentum_block").default_value, std::to_string(defaults.momentum_block));
  EXPECT_EQ(production.at("momentum_rounding").default_value, to_string(defaults.momentum_rounding));
  EXPECT_EQ(production.at("parameter_rounding").default_value, to_string(defaults.parameter_rounding));
  EXPECT_EQ(production.at("parameter_norm").default_value, defaults.carried_norm ? "carried" : "fresh");
}

TEST(OptionTables, TextOfOneSideIsReadByTheOther) {
  for (const auto& row : reference_rows())
    for (const char* text : {"0", "1", "0.25", "-0.5", "none", "true", "false", "lr", "step_size", "zero", "skip",
                             "propagate", "0.30000000000000004", "2.5e-7"}) {
      reference::PlumblineOptions r;
      GroupOptions p;
      try {
        set_option(p, row.name, text);
      } catch (const OptionError&) {
        continue;
      }
      reference::set_option(r, row.name, text);  // wherever production takes it
      EXPECT_EQ(reference::get_option(r, row.name), get_option(p, row.name)) << row.name << " " << text;
    }
}

TEST(Subjects, AreFoundByName) {
  EXPECT_EQ(make_subject("host")->name(), "host");
  EXPECT_EQ(subject_unavailable("host"), "");
  EXPECT_THROW(make_subject("tpu"), InputError);
  EXPECT_THROW(subject_unavailable(""), InputError);
  EXPECT_EQ(make_subject("host")->cannot_run(Problem{}), "");
}

TEST(Subjects, OneThatIsNotHereSaysWhy) {
  const std::string why = subject_unavailable("cuda");
  if (why.empty()) GTEST_SKIP() << "there is a GPU";
  try {
    make_subject("cuda");
    FAIL();
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("subject 'cuda' is not available here: " + why));
  }
}

TEST(Subjects, OfferTheWaysThatTheyHaveAndRefuseTheOthers) {
  const Problem problem = parse_problem("shape=4x4 seed=1");
  const std::vector<std::byte> parameter(64);
  for (const char* name : {"host", "emulator", "cuda"}) {
    if (!subject_unavailable(name).empty()) continue;
    const auto subject = make_subject(name);
    const auto& offers = dynamic_cast<const OffersWays&>(*subject);
    const bool gpu = subject->name() == "cuda";
    for (const Way way : {Way::again, Way::among_others, Way::reloaded, Way::threads, Way::stream, Way::graph}) {
      const bool offered = way == Way::stream || way == Way::graph ? gpu : way == Way::threads ? !gpu : true;
      const auto ways = offers.ways();
      EXPECT_EQ(std::count(ways.begin(), ways.end(), way), int(offered)) << name << ", " << to_string(way);
      if (offered) {
        EXPECT_NO_THROW(offers.start(problem, parameter, way)) << name << ", " << to_string(way);
      } else {
        EXPECT_THROW(offers.start(problem, parameter, way), InputError) << name << ", " << to_string(way);
      }
    }
  }
}

TEST(Subjects, TheEmulatorRefusesWhatIsTooLargeForIt) {
  if (!subject_unavailable("emulator").empty()) GTEST_SKIP() << subject_unavailable("emulator");
  const auto emulator = make_subject("emulator");
  EXPECT_EQ(emulator->cannot_run(parse_problem("shape=256x512 seed=1")), "");
  EXPECT_THAT(emulator->cannot_run(parse_problem("shape=256x513 seed=1")), HasSubstr("too large"));
}

TEST(Subjects, TheTwinComparedWithItselfAndWithAFaultWithinEveryBound) {
  const auto host = make_subject("host");
  const Problem problem = parse_problem("shape=40x30 min_quantized_size=1 block=64 steps=3 seed=5");
  CaseOptions options;
  options.twin = host.get();
  EXPECT_EQ(run_case(problem, *host, options).verdict, Verdict::pass);
  const FaultySubject one_bit([](int64_t step, Observation& now, const Observation&) {
    if (step == 2) now.row->at(3) = std::nextafter(now.row->at(3), 0.0f);
  });
  EXPECT_EQ(run_case(problem, one_bit).verdict, Verdict::pass);
  const CaseResult result = run_case(problem, one_bit, options);
  EXPECT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(result.first_broken, Quantity::twin_bits);
  EXPECT_EQ(result.first_broken_step, 2);
}

TEST(Production, ShowsANanOfAScalarThatAnOptionNeedsAndNoneThatNoOptionNeeds) {
  const auto host = make_subject("host");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto after_nan = [&](const std::string& words) {
    const Problem p = parse_problem("shape=4x4 nonfinite=propagate steps=2 seed=1 " + words);
    const std::vector<float> parameter(16, 1.0f), gradient(16, nan);
    const auto session = host->start(p, std::as_bytes(std::span(parameter)));
    Observation seen;
    for (int step = 0; step < 2; ++step) session->step(std::as_bytes(std::span(gradient)), seen);
    return seen;
  };
  const Observation needed = after_nan("clip=1 scale_parameter=true limiter_margin=0.01");
  for (const auto& scalar : {needed.parameter_rms, needed.update_rms, needed.update_norm}) {
    ASSERT_TRUE(scalar);
    EXPECT_TRUE(std::isnan(*scalar));
  }
  const Observation idle = after_nan("clip=0 scale_parameter=false");
  EXPECT_FALSE(idle.parameter_rms || idle.update_rms || idle.update_norm);
}

}  // namespace
}  // namespace plumbline::harness
