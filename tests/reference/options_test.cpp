#include "reference/options.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "reference/dialects/plumbline.h"

namespace plumbline::reference {
namespace {

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(OptionsTest, EveryDefaultReadsBackExactly) {
  for (const auto& row : option_table<PlumblineOptions>()) {
    PlumblineOptions options;
    set_option(options, row.name, row.default_value);
    EXPECT_EQ(options, PlumblineOptions{}) << row.name;
    EXPECT_EQ(get_option(options, row.name), row.default_value);
  }
}

TEST(OptionsTest, TextOfADoubleReadsBackToItsBits) {
  PlumblineOptions options, copy;
  for (const double lr : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 0x1.fffffffffffffp-7}) {
    options.lr = lr;
    set_option(copy, "lr", get_option(options, "lr"));
    EXPECT_EQ(copy.lr, lr);
  }
}

TEST(OptionsTest, ChoicesAndAbsentValuesHaveNames) {
  PlumblineOptions options;
  set_option(options, "nonfinite", "skip");
  set_option(options, "weight_decay_by", "lr");
  set_option(options, "beta2", "0.999");
  EXPECT_EQ(options.nonfinite, Nonfinite::skip);
  EXPECT_EQ(options.weight_decay_by, DecayScale::lr);
  EXPECT_EQ(options.beta2, 0.999);
  set_option(options, "beta2", "none");
  EXPECT_EQ(options.beta2, std::nullopt);
}

TEST(OptionsTest, WhatIsNotValidIsNamedAndChangesNothing) {
  PlumblineOptions options;
  EXPECT_EQ(message([&] { set_option(options, "lr", "-1"); }), "option lr: value -1, valid: [0, inf)");
  EXPECT_EQ(message([&] { set_option(options, "beta2", "1"); }), "option beta2: value 1, valid: none|[0, 1)");
  EXPECT_EQ(message([&] { set_option(options, "maximize", "1"); }), "option maximize: value 1, valid: true|false");
  EXPECT_EQ(message([&] { set_option(options, "nonfinite", "drop"); }),
            "option nonfinite: value drop, valid: propagate|zero|skip");
  EXPECT_EQ(message([&] { set_option(options, "beta2_decay", "0.5"); }),
            "option beta2_decay: value 0.5, valid: (-inf, 0]");
  for (const char* text : {"", "nan", "inf", "1e", "1 ", "0x1", "1,2"})
    EXPECT_THROW(set_option(options, "lr", text), std::invalid_argument) << text;
  EXPECT_EQ(options, PlumblineOptions{});
}

TEST(OptionsTest, UnknownNamesListTheKnownOnes) {
  PlumblineOptions options;
  const std::string text = message([&] { set_option(options, "learning_rate", "1"); });
  EXPECT_NE(text.find("option learning_rate: unknown, known: lr, relative_step"), std::string::npos) << text;
  EXPECT_THROW(get_option(options, ""), std::invalid_argument);
}

TEST(OptionsTest, RangesAreCheckedForMembersSetDirectly) {
  PlumblineOptions options;
  options.eps2 = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message([&] { make_plumbline(options, {2, 2}); }), "option eps2: value nan, valid: [0, inf)");
}

}  // namespace
}  // namespace plumbline::reference
