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

const std::vector<ReportWriter>& report_writers() { return entries<ReportWriter>(); }
const std::vector<CaseSource>& case_sources() { return entries<CaseSource>(); }
const std::vector<SuiteStudy>& suite_studies() { return entries<SuiteStudy>(); }
const std::vector<Command>& commands() { return entries<Command>(); }

RegisterReportWriter::RegisterReportWriter(ReportWriter writer) { insert_by_name(std::move(writer)); }
RegisterCaseSource::RegisterCaseSource(CaseSource source) { insert_by_name(std::move(source)); }
RegisterSuiteStudy::RegisterSuiteStudy(SuiteStudy study) { insert_by_name(std::move(study)); }
RegisterCommand::RegisterCommand(Command command) { insert_by_name(std::move(command)); }

}  // namespace plumbline::harness
