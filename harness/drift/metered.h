// A subject that is measured while it works: whatever judges it sees the subject itself.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "harness/drift/promise.h"
#include "harness/drift/staleness.h"
#include "harness/subject.h"

namespace plumbline::harness {

// What the meters of one session found, slot by slot.
struct SlotStaleness {
  reference::Slot slot{};
  bool predicted = false;  // the rounding is to the nearest: codes can freeze, and which ones can be said
  std::vector<StalenessWindow> windows;
  DriftPromise promise;  // what storing did over all steps, against what it may do
};

// Wraps `inner`, which must outlive it. A session measures the staleness of its quantized slots, and what storing did
// to them against what is promised, beside a reference of its own that runs on without storage rounding, and hands what
// it found to `sink` when it ends (from one thread at a time).
std::unique_ptr<Subject> make_metered(const Subject& inner,
                                      std::function<void(const Problem&, std::vector<SlotStaleness>)> sink);

}  // namespace plumbline::harness
