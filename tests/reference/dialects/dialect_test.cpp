#include "reference/dialects/dialect.h"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

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

Optimizer make(std::string_view peer, std::vector<NamedOption> options, const Shape& shape, PeerContext context = {}) {
  return find_dialect(peer).make(options, shape, context);
}

TEST(DialectTest, UnknownPeersListTheKnownOnes) {
  EXPECT_EQ(message([] { find_dialect("adam"); }),
            "peer adam: unknown, known: torch, huggingface, came, apollo, fira, optax, rlx, torch-adamw, galore, "
            "pytorch-optimizer-adafactor, timm-adafactor, timm-adafactor-bv, pytorch-optimizer-came, "
            "adafactor8bit-0.1, adafactor8bit, plumbline");
}

TEST(DialectTest, VersionsPickTheirRule) {
  const auto range = [](std::string_view version) { return find_dialect("adafactor8bit", version).versions.text(); };
  EXPECT_EQ(range("0.1.0"), "0.1.0");
  EXPECT_EQ(range("0.2.3"), "0.2.2 - 0.2.4");
  EXPECT_EQ(range("0.2.8"), "0.2.7 - 0.2.8");
  EXPECT_EQ(range("0.4.6+cu130"), "0.4.6");
  EXPECT_EQ(range(""), "0.3.0");  // what recordings without a version have always meant
  EXPECT_EQ(find_dialect("torch", "2.11.0").name, "torch");
  EXPECT_EQ(find_dialect("adafactor8bit-0.1").defects.front().name, "vector_variance_overwritten");
}

TEST(DialectTest, UnknownVersionsListThoseWhoseRulesAreKnown) {
  for (const char* version : {"0.4.7", "0.1.1", "1", "0.4.x", "0.4.", "0.4.6x"}) {
    const std::string text = message([&] { find_dialect("adafactor8bit", version); });
    EXPECT_TRUE(text.starts_with("peer adafactor8bit: version " + std::string(version) + " unknown, rules known for "))
        << text;
    EXPECT_TRUE(text.ends_with(", 0.4.5, 0.4.6")) << text;
  }
}

TEST(DialectTest, DefectsAreThoseOfTheVersion) {
  const std::vector<std::string> vectors{"vector_variance_overwritten"};
  EXPECT_NO_THROW(check_defects(find_dialect("adafactor8bit", "0.1.0"), vectors));
  EXPECT_EQ(message([&] { check_defects(find_dialect("adafactor8bit", "0.4.0"), vectors); }),
            "defect vector_variance_overwritten: unknown here, known: momentum_overwritten, "
            "low_rank_gradient_overwritten");
  EXPECT_EQ(message([&] { check_defects(find_dialect("torch"), vectors); }),
            "defect vector_variance_overwritten: unknown here, known: none");
}

TEST(DialectTest, VersionsHaveTheirOwnOptionsAndDefaults) {
  const auto value = [](std::string_view version, std::string_view name) -> std::string {
    for (const OptionRow& row : find_dialect("adafactor8bit", version).options())
      if (row.name == name) return row.default_value;
    return "absent";
  };
  EXPECT_EQ(value("0.1.0", "relative_step"), "false");
  EXPECT_EQ(value("0.1.4", "relative_step"), "true");
  EXPECT_EQ(value("0.2.8", "eps"), "[none, 0.001]");
  EXPECT_EQ(value("0.2.9", "eps"), "[1e-30, 0.001]");
  EXPECT_EQ(value("0.2.9", "apollo_eps"), "1e-08");
  EXPECT_EQ(value("0.4.6", "eps_came"), "1e-16");
  EXPECT_EQ(value("0.4.2", "c_quant_type"), "absent");
  EXPECT_EQ(value("0.4.4", "c_quant_type"), "none");
  EXPECT_EQ(value("0.2.0", "apollo_beta1"), "0.9");
  EXPECT_EQ(value("0.2.1", "apollo_beta1"), "absent");
  EXPECT_THROW(find_dialect("adafactor8bit", "0.2.0").make(std::vector<NamedOption>{{"beta1", "0.9"}}, {2, 2}, {}),
               std::invalid_argument);
}

TEST(DialectTest, UnknownOptionsListTheKnownOnes) {
  EXPECT_EQ(message([] {
              make("rlx", {{"d", "1"}}, {2, 2});
            }),
            "option d: unknown, known: lr, beta2_decay, eps1, eps2, clip_threshold, weight_decay");
}

TEST(DialectTest, EveryDefaultIsTakenAsText) {
  for (const auto& dialect : dialects()) {
    std::vector<NamedOption> options;
    for (const auto& row : dialect.options()) options.push_back({row.name, row.default_value});
    if (dialect.name == "came") options.front().value = "0.1";  // lr has no default
    EXPECT_NO_THROW(dialect.make(options, {4, 3}, {})) << dialect.name;
  }
}

TEST(DialectTest, ListsTakeOneNumberPerMember) {
  EXPECT_NO_THROW(make("torch", {{"eps", "[null, 0.1]"}}, {2, 2}));
  EXPECT_NO_THROW(make("torch", {{"eps", "[1e-06, 0.1]"}}, {2, 2}));
  EXPECT_EQ(message([] {
              make("torch", {{"eps", "[1e-06]"}}, {2, 2});
            }),
            "option eps: value [1e-06], valid: [2 values in [0, inf)]");
  EXPECT_THROW(make("torch", {{"eps", "[0.1, null]"}}, {2, 2}), std::invalid_argument);
  EXPECT_THROW(make("came", {{"lr", "1"}, {"betas", "[0.9, 1, 0.9]"}}, {2, 2}), std::invalid_argument);
}

TEST(DialectTest, CombinationsThatThePeerRefusesAreRefused) {
  EXPECT_THROW(make("huggingface", {{"lr", "0.1"}}, {2, 2}), std::invalid_argument);
  EXPECT_THROW(make("huggingface", {{"relative_step", "false"}}, {2, 2}), std::invalid_argument);
  EXPECT_THROW(make("came", {}, {2, 2}), std::invalid_argument);
  EXPECT_THROW(make("adafactor8bit", {{"beta3", "0.9"}}, {2, 2}), std::invalid_argument);
  EXPECT_THROW(make("fira", {{"rank", "1"}}, {2, 2, 2}), std::invalid_argument);
  EXPECT_THROW(make("apollo", {{"rank", "1"}}, {2, 2}, {.recorded_projection = false}), std::invalid_argument);
}

TEST(DialectTest, TorchsEps1DefaultsToTheEpsilonOfTheType) {
  Tensor p({1}), g({1});
  g.data << 0x1p-40;
  Tensor q = p;
  make("torch", {}, {1}).step(p, g);
  make("torch", {}, {1}, {.epsilon = 0x1p-23}).step(q, g);
  // u = g/max(|g|, eps1), alpha = 1e-3 * 1e-2
  EXPECT_DOUBLE_EQ(p.data[0], -1e-5);
  EXPECT_DOUBLE_EQ(q.data[0], -1e-5 * 0x1p-17);
}

TEST(DialectTest, OptaxStoresAveragesInTheOrderOfTheTensor) {
  const Dialect& optax = find_dialect("optax");
  // (4, 3, 2): columns along axis 0, rows along axis 1; the peer's rows are (3, 2), ours (2 slices, 3)
  EXPECT_EQ(optax.order({4, 3, 2}, Slot::row), (std::vector<int64_t>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(optax.order({4, 3, 2}, Slot::col), (std::vector<int64_t>{0, 4, 1, 5, 2, 6, 3, 7}));
  EXPECT_EQ(optax.order({2, 3, 4}, Slot::row), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace plumbline::reference
