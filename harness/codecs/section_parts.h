// The parts of study_sections, and what they share.
#pragma once
#include <string>
#include <vector>

#include "harness/codecs/study.h"
#include "harness/section.h"

namespace plumbline::harness::codecs {

Section published_section(const Study& study);
Section stores_section(const Study& study, StateKind kind);
Section blocks_section(const Study& study);
Section averages_section(const Study& study);
Section factored_section(const Study& study);
Section promise_section(const Study& study);
Section recommendation_section(const Study& study);

inline constexpr double kPercent = 100;
inline Cell percent(double x) { return kPercent * x; }
inline std::string label(const Storage& storage) { return storage.rival ? storage.name + " (rival)" : storage.name; }
// Measured and bound, in percent.
void add_cells(std::vector<Cell>& row, const Figure& f);
// Storages of one kind in the order of the rows.
std::vector<const Storage*> storages_of(const std::vector<StoreRow>& rows, StateKind kind);

}  // namespace plumbline::harness::codecs
