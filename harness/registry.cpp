#include "harness/registry.h"

#include <algorithm>
#include <utility>

#include "harness/command.h"

namespace plumbline::harness {
namespace {

// A function's static: registrars in other files may run before this file's own statics exist.
template <class Entry>
std::vector<Entry>& entries() {
  static std::vector<Entry> list;
  return list;
}

template <class Entry>
void insert_by_name(Entry entry) {
  auto& list = entries<Entry>();
  const auto place = std::upper_bound(list.begin(), list.end(), entry.name,
                                      [](const std::string& name, const Entry& e) { return name < e.name; });
  list.insert(place, std::move(entry));
}

}  // namespace

CasePlan::CasePlan(std::vector<PlannedCase> cases) {
  const auto kept = std::make_shared<const std::vector<PlannedCase>>(std::move(cases));
  *this = CasePlan(kept->size(), [kept](size_t i) { return (*kept)[i]; });
}

CasePlan::CasePlan(size_t count, Make make) : size_(count) {
  if (count > 0) parts_.push_back({count, std::move(make)});
}

PlannedCase CasePlan::operator[](size_t index) const {
  const auto part =
      std::upper_bound(parts_.begin(), parts_.end(), index, [](size_t i, const Part& p) { return i < p.end; });
  return part->make(index - (part == parts_.begin() ? 0 : std::prev(part)->end));
}

void CasePlan::append(CasePlan plan) {
  for (Part& part : plan.parts_) parts_.push_back({size_ + part.end, std::move(part.make)});
  size_ += plan.size_;
}

CasePlan CasePlan::every(size_t count, size_t first) const {
  const size_t mine = size_ > first ? (size_ - first + count - 1) / count : 0;
  return {mine, [whole = *this, count, first](size_t i) { return whole[first + i * count]; }};
}

std::vector<PlannedCase> CasePlan::all() const {
  std::vector<PlannedCase> out;
  out.reserve(size_);
  for (size_t i = 0; i < size_; ++i) out.push_back((*this)[i]);
  return out;
}

const std::vector<ReportWriter>& report_writers() { return entries<ReportWriter>(); }
const std::vector<CaseSource>& case_sources() { return entries<CaseSource>(); }
const std::vector<SuiteStudy>& suite_studies() { return entries<SuiteStudy>(); }
const std::vector<SuiteCensus>& suite_censuses() { return entries<SuiteCensus>(); }
const std::vector<Command>& commands() { return entries<Command>(); }

RegisterReportWriter::RegisterReportWriter(ReportWriter writer) { insert_by_name(std::move(writer)); }
RegisterCaseSource::RegisterCaseSource(CaseSource source) { insert_by_name(std::move(source)); }
RegisterSuiteCensus::RegisterSuiteCensus(SuiteCensus census) { insert_by_name(std::move(census)); }
RegisterSuiteStudy::RegisterSuiteStudy(SuiteStudy study) { insert_by_name(std::move(study)); }
RegisterCommand::RegisterCommand(Command command) { insert_by_name(std::move(command)); }

}  // namespace plumbline::harness
