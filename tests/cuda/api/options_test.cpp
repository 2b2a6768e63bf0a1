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

using Words = std::vector<std::pair<const char*, const char*>>;
GroupOptions with(const Words& words) {
  GroupOptions options;
  for (const auto& [name, value] : words) set_option(options, name, value);
  return options;
}

// Each combination, what its refusal says, and one that is near it and has a promise.
TEST(Options, WhatHasNoPromiseIsRefusedByItsReason) {
  struct Refused {
    Words words;
    const char* reason;
    std::pair<const char*, const char*> instead;
  };
  const Refused all[] = {
      {{{"beta1", "0.9"}, {"momentum_rounding", "dither"}}, "residue", {"momentum_rounding", "stochastic"}},
      {{{"beta1", "0.5"}, {"momentum_storage", "uf8"}, {"momentum_rounding", "dither"}},
       "residue",
       {"momentum_of", "update"}},
      {{{"beta1", "0.9"}, {"momentum_of", "update"}, {"beta3", "0.99"}, {"momentum_rounding", "dither"}},
       "residue",
       {"beta3", "none"}},
      {{{"beta1", "0.9"}, {"projection_rank", "4"}, {"momentum_rounding", "dither"}}, "residue", {"beta1", "none"}},
      {{{"beta1", "0.9"}, {"momentum_rounding", "nearest"}}, "codes below 5 at beta1 = 0.9", {"beta1", "0.5"}},
      {{{"beta1", "0.51"}, {"momentum_storage", "uf8"}, {"momentum_rounding", "nearest"}},
       "sticking",
       {"momentum_storage", "bf16"}},
      {{{"beta1", "0.9"}, {"momentum_of", "update"}, {"beta3", "0.99"}, {"momentum_rounding", "nearest"}},
       "sticking",
       {"beta3", "none"}},
      {{{"beta1", "0.99609375"}, {"momentum_storage", "bf16"}, {"momentum_rounding", "nearest"}},
       "sticking",
       {"beta1", "0.996"}},
      {{{"storage", "log_u8"}, {"rounding", "dither"}, {"beta2", "0.9"}}, "noise", {"storage", "al16"}},
      {{{"rounding", "dither"}}, "noise", {"storage", "al16"}},
      {{{"rounding", "dither"}, {"beta2", "0.999"}}, "noise", {"beta2", "0.95"}},
      {{{"rounding", "dither"}, {"beta2", "0.9"}, {"beta1", "0.9"}, {"momentum_of", "update"}, {"beta3", "0.99"}},
       "noise",
       {"beta3", "0.9"}},
  };
  for (const Refused& one : all) {
    GroupOptions options = with(one.words);
    const std::string what = message([&] { validate(options); });
    EXPECT_NE(what.find(one.reason), std::string::npos) << what;
    EXPECT_NE(what.find("expected"), std::string::npos) << what;
    set_option(options, one.instead.first, one.instead.second);
    EXPECT_NO_THROW(validate(options)) << one.instead.first << "=" << one.instead.second;
  }
}

// Every storage with every numerator in at least one rounding.
TEST(Options, EveryStorageServesEveryNumerator) {
  for (const char* storage : {"fp32", "al8", "log_u8", "linear_u8", "al16"})
    for (const char* momentum : {"fp32", "bf16", "uf8", "uf4"})
      for (const Words& numerator :
           {Words{}, Words{{"beta1", "0.999"}}, Words{{"beta1", "0.9"}, {"momentum_of", "update"}},
            Words{{"beta1", "0.9"}, {"momentum_of", "update"}, {"beta3", "0.9999"}},
            Words{{"beta1", "0.9"}, {"projection_rank", "8"}}}) {
        GroupOptions options = with(numerator);
        set_option(options, "storage", storage);
        set_option(options, "momentum_storage", momentum);
        EXPECT_NO_THROW(validate(options)) << storage << " " << momentum;
      }
}

}  // namespace
}  // namespace plumbline
