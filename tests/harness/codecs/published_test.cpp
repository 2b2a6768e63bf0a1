// The published study's figures, to the last printed digit, from its own inputs.
#include "harness/codecs/published.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "harness/error.h"

namespace plumbline::harness::codecs {
namespace {

TEST(PublishedStudy, EveryFigureIsReproducedToItsLastDigit) {
  const auto rows = reproduce_published(published_inputs());
  ASSERT_EQ(rows.size(), 12u);
  for (const PublishedRow& row : rows)
    EXPECT_TRUE(row.reproduced()) << row.distribution << " " << row.codec << ": " << row.measured_values << " "
                                  << row.measured_update << ", printed " << row.values << " " << row.update;
}

TEST(PublishedStudy, AnotherLastDigitIsNotReproduced) {
  PublishedRow row{"", "", 1.373, 0.688, 1.37307, 0.68777};
  EXPECT_TRUE(row.reproduced());
  row.measured_update = 0.6885001;
  EXPECT_FALSE(row.reproduced());
  row.measured_update = 0.688;
  row.measured_values = 1.3724;
  EXPECT_FALSE(row.reproduced());
}

TEST(PublishedStudy, NamesWhatIsMissing) {
  const auto path = std::filesystem::path(testing::TempDir()) / "plumbline-not-a-study.safetensors";
  EXPECT_THROW(reproduce_published(path), InputError);
  const std::string header = R"({"gradient":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  {
    std::ofstream out(path, std::ios::binary);
    const uint64_t size = header.size();
    out.write(reinterpret_cast<const char*>(&size), 8);
    out << header << std::string(8, '\0');
  }
  try {
    reproduce_published(path);
    ADD_FAILURE();
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("array gradient is 2 of type F32: expected 8192 values of type F32"));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace plumbline::harness::codecs
