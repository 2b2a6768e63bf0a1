// What storing did to the update, by storage, over the cases of a suite.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <sstream>

#include "harness/error.h"
#include "harness/registry.h"

namespace plumbline::properties {
namespace {

using harness::CaseResult;
using harness::Section;
using harness::StoredUpdate;
using harness::Table;

class StoredUpdates final : public harness::Census {
 public:
  void on_case(const CaseResult& result) override {
    for (const StoredUpdate& s : result.stored_updates) add(s, 1);
  }

  // A line a storage, its name last.
  std::string part(bool) const override {
    std::string out;
    for (const auto& [state, row] : rows_)
      out += fmt::format("{} {} {} {:a} {:a} {:a} {}\n", row.cases, row.sum.elements, row.sum.lifted, row.sum.error,
                         row.sum.update, row.sum.largest, state);
    return out;
  }
  void join(const std::string& part) {
    std::istringstream lines(part);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream in(line);
      uint64_t cases = 0;
      std::string error, update, largest;
      StoredUpdate s;
      in >> cases >> s.elements >> s.lifted >> error >> update >> largest >> std::ws;
      if (!in || !std::getline(in, s.state)) throw harness::InputError("not a part of what storing did to the update");
      s.error = std::stod(error);
      s.update = std::stod(update);
      s.largest = std::stod(largest);
      add(s, cases);
    }
  }

  Section describe(bool) const override {
    Section out;
    out.id = "stored-update";
    out.title = "What storing did to the update";
    out.text =
        "u of a step from stored state against u from the values before coding, in double, over all elements and steps "
        "judged; whether each change is within what is promised is the quantity update_stored. Momentum: b (M' - M) "
        "over the root of the second moment in use. Averages: sqrt(v/v') - 1, what a store of v does to u. Lifted: "
        "elements whose second moment was below what the codes resolve.";
    Table t{"", {"state", "cases", "elements", "lifted (%)", "RMS of the change / RMS u (%)", "largest change"}, {}};
    for (const auto& [state, row] : rows_) {
      const StoredUpdate& s = row.sum;
      t.rows.push_back({state, int64_t(row.cases), int64_t(s.elements), 100 * double(s.lifted) / double(s.elements),
                        100 * std::sqrt(s.error / s.update), s.largest});
    }
    out.tables.push_back(std::move(t));
    return out;
  }

 private:
  struct Row {
    uint64_t cases = 0;
    StoredUpdate sum;
  };
  void add(const StoredUpdate& s, uint64_t cases) {
    Row& row = rows_[s.state];
    row.cases += cases;
    row.sum.elements += s.elements;
    row.sum.lifted += s.lifted;
    row.sum.error += s.error;
    row.sum.update += s.update;
    if (!(s.largest <= row.sum.largest)) row.sum.largest = s.largest;
  }
  std::map<std::string, Row> rows_;
};

const harness::RegisterSuiteCensus kStoredUpdates(
    {"stored-update", "optimizer", [](const harness::SuiteRequest&) { return std::make_unique<StoredUpdates>(); },
     [](std::span<const std::string> parts) {
       StoredUpdates all;
       for (const std::string& part : parts) all.join(part);
       return all.describe(true);
     }});

}  // namespace
}  // namespace plumbline::properties
