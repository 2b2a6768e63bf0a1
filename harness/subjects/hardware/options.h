// What `plumbline hardware` was asked for.
#pragma once
#include <cstdint>
#include <set>
#include <string>

#include "harness/runner.h"
#include "harness/study.h"

namespace plumbline::harness::hardware {

enum class Part : uint8_t { functions, operations, codecs, fingerprint, sensitivity, soak };
inline constexpr int kParts = 6;
const char* to_string(Part part);

struct Options {
  StudyOptions study;
  std::string device;    // "0", "1", ..., "all", "host", "emulator"; empty: the first GPU, else the host
  std::string against;   // fingerprint to compare with, beside the host twin's: a file, or the number of a GPU
  std::string save;      // where the fingerprint goes; empty: fingerprint-<device>.json in the report's folder
  std::set<Part> parts;  // empty: all
  double budget = 60;    // seconds of the whole run; the soak takes what the rest leaves
  int sample = -1;       // one input of every 2^sample is scanned; -1: all on a GPU, of every 2^8 on the host
  bool bursts = false;
  double memory = 0;  // GiB under test; 0: nine tenths of what is free
  uint64_t stop_after = 1000;
  std::string inject;  // a deliberate fault: memory, cache or arithmetic
  int threads = 0;     // of the host; 0: all
  Shard shard;
  bool wants(Part part) const { return parts.empty() || parts.contains(part); }
};

}  // namespace plumbline::harness::hardware
