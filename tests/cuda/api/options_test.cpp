#include "cuda/api/options.h"

#include <gtest/gtest.h>

#include <limits>

namespace plumbline {
namespace {

// The message of the OptionError that `call` throws; fails when it throws none.
template <class Call>
std::string message(Call call) {
  try {
    call();
  } catch (const OptionError& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Options, DefaultsAreValidAndTheTableNamesThem) {
  EXPECT_NO_THROW(validate(GroupOptions{}));
  EXPECT_EQ(option_table().size(), 36u);
  for (const OptionRow& row : option_table()) {
    EXPECT_EQ(get_option(GroupOptions{}, row.name), row.default_value);
    GroupOptions options;
    set_option(options, row.name, row.default_value);
    EXPECT_EQ(options, GroupOptions{}) << row.name;
  }
}

TEST(Options, EveryValueReadsBackExactly) {
  const std::pair<const char*, const char*> cases[] = {{"lr", "0.1234567890123456"},
                                                       {"relative_step", "true"},
                                                       {"scale_parameter", "false"},
                                                       {"beta2_decay", "-0.75"},
                                                       {"beta2", "0.999"},
                                                       {"beta2", "none"},
                                                       {"eps1", "1e-20"},
                                                       {"eps2", "0"},
                                                       {"clip", "0"},
                                                       {"weight_decay", "0.01"},
                                                       {"weight_decay_by", "lr"},
                                                       {"maximize", "true"},
                                                       {"factored", "false"},
                                                       {"nonfinite", "propagate"},
                                                       {"nonfinite", "skip"},
                                                       {"storage", "fp32"},
                                                       {"storage", "linear_u8"},
                                                       {"block", "64"},
                                                       {"min_quantized_size", "0"},
                                                       {"parameter_norm", "carried"}};
  for (const auto& [name, value] : cases) {
    GroupOptions options;
    set_option(options, name, value);
    const std::string printed = get_option(options, name);
    EXPECT_EQ(printed, value);
    GroupOptions again;
    set_option(again, name, printed);
    EXPECT_EQ(again, options) << name;
  }
}

TEST(Options, WhatIsNotValidIsNamedAndChangesNothing) {
  const std::pair<const char*, const char*> cases[] = {{"lr", "-1"},
                                                       {"lr", "nan"},
                                                       {"lr", "inf"},
                                                       {"lr", "1e7"},
                                                       {"lr", ""},
                                                       {"lr", "1 "},
                                                       {"lr", "0x1p-3"},
                                                       {"beta2", "1"},
                                                       {"beta2", "-0.1"},
                                                       {"beta2_decay", "0.1"},
                                                       {"eps1", "1e-31"},
                                                       {"eps1", "2"},
                                                       {"clip", "-1"},
                                                       {"clip", "1e-9"},
                                                       {"block", "100"},
                                                       {"block", "32"},
                                                       {"block", "4096"},
                                                       {"block", "64.0"},
                                                       {"storage", "fp"},
                                                       {"storage", "fp32|al8"},
                                                       {"nonfinite", "ignore"},
                                                       {"maximize", "1"},
                                                       {"min_quantized_size", "-1"}};
  for (const auto& [name, value] : cases) {
    GroupOptions options;
    const std::string what = message([&, option = name, text = value] { set_option(options, option, text); });
    EXPECT_NE(what.find(name), std::string::npos) << what;
    EXPECT_NE(what.find("'" + std::string(value) + "'"), std::string::npos) << what;
    EXPECT_NE(what.find("expected"), std::string::npos) << what;
    EXPECT_EQ(options, GroupOptions{}) << name;
  }
}

TEST(Options, AnUnknownNameIsAnswerdWithTheKnownOnes) {
  GroupOptions options;
  EXPECT_NE(message([&] { set_option(options, "momentums", "1"); }).find("beta2_decay"), std::string::npos);
  EXPECT_NE(message([&] { (void)get_option(options, ""); }).find("unknown"), std::string::npos);
}

TEST(Options, ValidateFindsWhatWasSetDirectly) {
  GroupOptions options;
  options.eps2 = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(message([&] { validate(options); }).find("eps2"), std::string::npos);
  options = {};
  options.storage = Storage(9);
  EXPECT_NE(message([&] { validate(options); }).find("storage"), std::string::npos);
}

TEST(Options, Eps1TimesTheLeastWeightStaysNormal) {
  GroupOptions options;
  options.eps1 = 1e-30;
  options.beta2_decay = -1.0;  // 1e-30 2^-31 is below 2^-126
  EXPECT_NE(message([&] { validate(options); }).find("eps1"), std::string::npos);
  options.eps1 = 1e-28;
  EXPECT_NO_THROW(validate(options));
  options.eps1 = 1e-30;
  options.beta2 = 1 - 0x1p-25;
  EXPECT_NO_THROW(validate(options));
  options.beta2 = 1 - 0x1p-27;
  EXPECT_THROW(validate(options), OptionError);
}

}  // namespace
}  // namespace plumbline
