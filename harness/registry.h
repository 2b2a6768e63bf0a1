// Report writers that a program was linked with. The harness knows them only by this list: reports/ registers itself,
// so that no include runs against the arrows.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/family.h"
#include "harness/result.h"

namespace plumbline::harness {

struct ReportWriter {
  std::string name;
  // A listener that leaves its files in `folder`. Its begin() throws InputError where the folder cannot be written.
  std::function<std::unique_ptr<Listener>(const std::filesystem::path& folder)> make;
};

// Every registered writer, by name.
const std::vector<ReportWriter>& report_writers();

// A static object of this type registers a writer before main.
struct RegisterReportWriter {
  explicit RegisterReportWriter(ReportWriter writer);
};

// A case that a suite plans.
struct PlannedCase {
  AnyProblem problem;
  std::string suite;  // where it comes from: "traces", "generated", ...
  bool record_drift = false;
  // Another problem of the same kind, for a case that turned out vacuous; attempt = 1, 2, ... Empty: there is none.
  std::function<AnyProblem(int attempt)> redraw = {};

  // Of a case of the optimizer family.
  Problem& optimizer() { return std::get<Problem>(problem); }
  const Problem& optimizer() const { return std::get<Problem>(problem); }
};

// Cases in an order, each made when it is asked for: 10^6 of them are never in memory together.
class CasePlan {
 public:
  using Make = std::function<PlannedCase(size_t index)>;  // the same for the same index, from any thread
  CasePlan() = default;
  CasePlan(std::vector<PlannedCase> cases);  // NOLINT(google-explicit-constructor): a plan that is all there
  CasePlan(size_t count, Make make);
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  PlannedCase operator[](size_t index) const;
  void append(CasePlan plan);
  // Every `count`-th case from `first` on.
  CasePlan every(size_t count, size_t first) const;
  std::vector<PlannedCase> all() const;

 private:
  struct Part {
    size_t end;  // of the plan's indices that are in this part or before
    Make make;
  };
  std::vector<Part> parts_;
  size_t size_ = 0;
};

enum class SuiteSize : uint8_t { quick, full, nightly };
// What a source of cases is asked for.
struct SuiteRequest {
  SuiteSize size = SuiteSize::full;
  uint64_t seed = 1;
  std::string subject;  // its name only: an emulator gets smaller shapes, the arithmetic is the same
};

struct CaseSource {
  std::string name;
  std::function<CasePlan(const SuiteRequest& request)> plan;
  std::string family = "optimizer";  // of its cases
};

// Every registered source, by name.
const std::vector<CaseSource>& case_sources();

// What the cases of a suite come to together: hears of every one, then brings a section.
class Census {
 public:
  virtual ~Census() = default;
  virtual void on_case(const CaseResult& result) = 0;
  // `whole`: every case of the suite was to run, so that what was not met is missing.
  virtual Section describe(bool whole) const = 0;
  // What was counted, as text, when the cases were those of a shard; `whole`: all of it.
  virtual std::string part(bool whole) const = 0;
};

struct SuiteCensus {
  std::string name;                  // and the id of its section
  std::string family = "optimizer";  // of the cases that it counts
  std::function<std::unique_ptr<Census>(const SuiteRequest& request)> make;
  // The section of a suite from the parts of all its shards. Throws InputError for what is not one.
  std::function<Section(std::span<const std::string> parts)> join;
};

// Every registered census, by name.
const std::vector<SuiteCensus>& suite_censuses();

struct RegisterSuiteCensus {
  explicit RegisterSuiteCensus(SuiteCensus census);
};

// A part of a suite that brings a section and not cases.
struct SuiteStudy {
  std::string name;
  std::string family = "optimizer";  // of what it studies
  std::function<Section(const SuiteRequest& request, const Subject& subject)> run;
};

// Every registered study, by name.
const std::vector<SuiteStudy>& suite_studies();

struct RegisterSuiteStudy {
  explicit RegisterSuiteStudy(SuiteStudy study);
};

struct RegisterCaseSource {
  explicit RegisterCaseSource(CaseSource source);
};

}  // namespace plumbline::harness
