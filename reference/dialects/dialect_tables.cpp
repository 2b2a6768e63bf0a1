// The rows of DIALECTS.md: which options show what a dialect can do.
#include <initializer_list>
#include <vector>

#include "reference/dialects/describe.h"
#include "reference/dialects/dialect.h"

namespace plumbline::reference {
namespace {

struct Row {
  std::string_view dialect;
  std::vector<NamedOption> options;
  bool vector = false;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"plumbline", {}, false},
      {"plumbline",
       {{"beta1", "0.9"}, {"relative_step", "false"}, {"weight_decay", "0.1"}, {"limiter_margin", "0.01"}},
       true},
      {"plumbline",
       {{"beta1", "0.9"}, {"momentum_of", "update"}, {"beta3", "0.99"}, {"relative_step", "false"}},
       false},
      {"plumbline", {{"projection_rank", "2"}, {"beta1", "0.9"}, {"maximize", "true"}}, false},
      {"torch", {}, false},
      {"torch", {{"weight_decay", "0.1"}, {"maximize", "true"}}, true},
      {"huggingface", {}, false},
      {"huggingface", {{"beta1", "0.9"}, {"weight_decay", "0.1"}}, true},
      {"came", {{"lr", "0.0002"}, {"weight_decay", "0.1"}}, false},
      {"came", {{"lr", "0.0002"}}, true},
      {"apollo", {{"rank", "2"}, {"weight_decay", "0.1"}}, false},
      {"fira", {{"rank", "2"}, {"weight_decay", "0.1"}}, false},
      {"galore", {{"rank", "2"}, {"scale", "0.25"}, {"weight_decay", "0.1"}}, false},
      {"optax", {{"min_dim_size_to_factor", "2"}, {"momentum", "0.9"}, {"weight_decay_rate", "0.1"}}, false},
      {"rlx", {{"weight_decay", "0.1"}}, false},
      {"torch-adamw", {{"amsgrad", "true"}}, false},
      {"pytorch-optimizer-adafactor", {{"weight_decay", "0.1"}}, false},
      {"pytorch-optimizer-came", {{"weight_decay", "0.1"}}, false},
      {"timm-adafactor", {{"min_dim_size_to_factor", "2"}, {"betas", "[0.9, 0.999]"}, {"weight_decay", "0.1"}}, false},
      {"timm-adafactor-bv", {{"min_dim_size_to_factor", "2"}, {"clipping_threshold", "1"}}, false},
  };
  return all;
}

// What every version of adafactor8bit is shown at, where it has the options.
const std::vector<Row>& versioned_rows() {
  static const std::vector<Row> all{
      {"", {{"weight_decay", "0.1"}}, false},
      {"", {}, true},
      {"", {{"beta1", "0.9"}}, true},
      {"", {{"beta1", "0.9"}, {"beta3", "0.99"}}, false},
      {"", {{"beta1", "0.9"}, {"beta2", "0.99"}, {"factored", "false"}, {"relative_step", "false"}}, false},
      {"", {{"apollo_rank", "2"}, {"apollo_factorize", "true"}}, false},
      {"", {{"apollo_rank", "2"}, {"beta1", "0.9"}, {"beta3", "0.99"}}, false},
  };
  return all;
}

const PeerContext kFloat32{.epsilon = 0x1p-23};

std::string options_of(const Row& row) {
  std::string out = row.vector ? "vector" : "";
  for (const NamedOption& option : row.options)
    out += option_text::concat({out.empty() ? "" : ", ", option.name, " ", option.value});
  return out.empty() ? "defaults" : out;
}

// The chain, or nothing where the dialect refuses the options.
std::string chain_of(const Dialect& dialect, const Row& row) {
  try {
    return describe(dialect.make(row.options, row.vector ? Shape{8} : Shape{8, 4}, kFloat32));
  } catch (const std::invalid_argument&) {
    return "";
  }
}

}  // namespace

std::string dialect_tables() {
  std::string out = "| dialect | options | chain |\n|---|---|---|\n";
  for (const Row& row : rows())
    out += option_text::concat(
        {"| ", row.dialect, " | ", options_of(row), " | ", chain_of(find_dialect(row.dialect), row), " |\n"});

  out += "\n| adafactor8bit | options | chain |\n|---|---|---|\n";
  for (const Row& row : versioned_rows()) {
    // A line for every run of versions whose chain is the same.
    std::string chain, first, last;
    const auto flush = [&] {
      if (!chain.empty())
        out += option_text::concat({"| ", first, first == last ? "" : " – ", first == last ? "" : last, " | ",
                                    options_of(row), " | ", chain, " |\n"});
    };
    for (const Dialect& dialect : dialects()) {
      if (!dialect.versions.first) continue;
      const std::string next = chain_of(dialect, row);
      if (next != chain) {
        flush();
        chain = next;
        first = dialect.versions.first->text();
      }
      last = dialect.versions.last->text();
    }
    flush();
  }

  out += "\n| versions | defect | what it does |\n|---|---|---|\n";
  for (const Dialect& dialect : dialects())
    if (dialect.versions.first)
      for (const Defect& defect : dialect.defects)
        out += option_text::concat({"| ", dialect.versions.text(), " | `", defect.name, "` | ", defect.what, " |\n"});
  return out;
}

}  // namespace plumbline::reference
