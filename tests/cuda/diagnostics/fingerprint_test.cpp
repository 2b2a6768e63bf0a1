#include "cuda/diagnostics/fingerprint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace plumbline::diagnostics {
namespace {

std::vector<Probe> probes_of(const std::string& family, const std::string& name = "") {
  std::vector<Probe> out;
  for (const Probe& probe : fingerprint_probes())
    if (probe.family == family && probe.line.starts_with(name)) out.push_back(probe);
  return out;
}

TEST(Fingerprint, IsTheSameTwiceAndEveryPieceHasItsOwnLine) {
  const std::vector<Probe> probes = probes_of("optimizer");
  std::set<std::string> lines;
  for (const Probe& probe : fingerprint_probes()) EXPECT_TRUE(lines.insert(probe.line).second) << probe.line;
  const Fingerprint first = make_fingerprint(probes, "host", Backend::host, 0);
  const Fingerprint second = make_fingerprint(probes, "host", Backend::host, 0);
  EXPECT_TRUE(compare(first, second).equal());
  EXPECT_EQ(first.hash(), second.hash());
  EXPECT_GT(first.probes.size(), 40u);
  std::set<uint64_t> hashes;
  for (const ProbeHash& probe : first.probes) {
    EXPECT_GE(probe.stages.size(), 9u) << probe.line;
    hashes.insert(probe.stages.back().hash);
  }
  EXPECT_EQ(hashes.size(), first.probes.size()) << "two pieces of work are one";
}

TEST(Fingerprint, OfTheEmulatedKernelsIsTheHostTwins) {
  std::vector<Probe> probes;
  for (const char* name : {"exact row sums", "batch of matrices", "log_u8", "non-finite", "full, batch", "full, mixed"})
    for (Probe& probe : probes_of("optimizer", name)) probes.push_back(std::move(probe));
  for (Probe& probe : probes_of("functions")) probes.push_back(std::move(probe));
  ASSERT_GT(probes.size(), 20u);
  const Comparison comparison = compare(make_fingerprint(probes, "emulator", Backend::emulator, 1),
                                        make_fingerprint(probes, "host", Backend::host, 0));
  EXPECT_TRUE(comparison.equal());
  EXPECT_EQ(comparison.compared, probes.size());
}

// A piece of work that goes wrong in one element of its second step on any device but 0.
Probe faulty_work(size_t element, size_t count, int bytes) {
  return {"work", "test", [=](Backend, int device, const std::function<void(Stage &&)>& take) {
            for (int step = 1; step <= 3; ++step)
              for (const char* name : {"row", "update", "parameter"}) {
                Stage stage{name, step, bytes, std::vector<std::byte>(count * size_t(bytes))};
                for (size_t i = 0; i < stage.bytes.size(); ++i) stage.bytes[i] = std::byte(i * 7 + size_t(step));
                const bool wrong = device != 0 && (step > 2 || (step == 2 && name != std::string("row")));
                if (wrong) stage.bytes[element * size_t(bytes)] ^= std::byte(0x40);
                take(std::move(stage));
              }
          }};
}

TEST(Fingerprint, NamesTheFirstStageAndElementThatDiffer) {
  for (const size_t element : {0, 255, 256, 4999}) {
    const std::vector<Probe> probes = {faulty_work(element, 5000, 4)};
    const Fingerprint good = make_fingerprint(probes, "", Backend::host, 0),
                      bad = make_fingerprint(probes, "", Backend::host, 1);
    Comparison comparison = compare(bad, good);
    ASSERT_EQ(comparison.differences.size(), 1u);
    Difference& d = comparison.differences[0];
    EXPECT_EQ(d.stage, "update");
    EXPECT_EQ(d.step, 2);
    EXPECT_EQ(d.other_stages, 4u) << "parameter of step 2, all of step 3";
    // from hashes alone: the part that holds the element
    EXPECT_LE(d.first, element);
    EXPECT_GE(d.last, element);
    EXPECT_LT(d.last - d.first, 5000u / 15);
    locate(d, probes, Backend::host, 1, Backend::host, 0);
    EXPECT_TRUE(d.exact);
    EXPECT_EQ(d.first, element);
    EXPECT_EQ(d.got ^ d.expected, 0x40u);
    EXPECT_EQ(d.different, 1u);
  }
}

TEST(Fingerprint, SeesEveryBitOfEveryElement) {
  Stage stage{"x", 1, 2, std::vector<std::byte>(2 * 37)};
  for (size_t i = 0; i < stage.bytes.size(); ++i) stage.bytes[i] = std::byte(i);
  const StageHash right = hash_stage(stage);
  for (size_t byte = 0; byte < stage.bytes.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      stage.bytes[byte] ^= std::byte(1 << bit);
      EXPECT_NE(hash_stage(stage).hash, right.hash);
      stage.bytes[byte] ^= std::byte(1 << bit);
    }
  std::swap(stage.bytes[4], stage.bytes[8]);
  EXPECT_NE(hash_stage(stage).hash, right.hash) << "order counts";
}

TEST(Fingerprint, OfAnotherVersionIsComparedInWhatBothHave) {
  std::vector<Probe> probes = probes_of("ieee");
  const Fingerprint ours = make_fingerprint(probes, "", Backend::host, 0);
  Fingerprint theirs = ours;
  theirs.probes.front().line += " of old";
  const Comparison comparison = compare(ours, theirs);
  EXPECT_TRUE(comparison.differences.empty());
  EXPECT_FALSE(comparison.equal()) << "a piece that the other does not know is not equal";
  EXPECT_EQ(comparison.compared, ours.probes.size() - 1);
  EXPECT_EQ(comparison.only_here, 1u);
  EXPECT_EQ(comparison.only_there, 1u);
  EXPECT_TRUE(compare({"", {ours.probes.back()}, {}}, theirs).equal()) << "a part of the work";
  theirs.probes.clear();
  EXPECT_FALSE(compare(ours, theirs).equal()) << "nothing in common is not equality";
}

TEST(Fingerprint, SaysWhatABackendDoesNotTake) {
  const std::vector<Probe> probes = {
      {"too new", "test", [](Backend, int, const auto&) { throw OptionError("beta9"); }}};
  const Fingerprint fingerprint = make_fingerprint(probes, "", Backend::host, 0);
  EXPECT_TRUE(fingerprint.probes.empty());
  ASSERT_EQ(fingerprint.left_out.size(), 1u);
  EXPECT_EQ(fingerprint.left_out[0], "'too new': beta9");
}

}  // namespace
}  // namespace plumbline::diagnostics
