// Which slots of a recorded tensor are kept in codes, and how: what its header says, or what is known of its program.
#pragma once
#include <vector>

#include "harness/record/state_codec.h"
#include "harness/record/state_codes.h"
#include "harness/trace.h"

namespace plumbline::harness {

// Those of which an array of codes is recorded. Tables that an array holds are read. Throws InputError for a word that
// is wrong.
std::vector<CodedSlot> coded_slots(const Trace& trace, const Trace::TensorInfo& tensor);

// Codes and scales after step t, unpacked. Throws InputError where one of the arrays is missing.
StoredCodes load_stored_codes(const Trace& trace, const Trace::TensorInfo& tensor, const CodedSlot& slot, int64_t t);

}  // namespace plumbline::harness
