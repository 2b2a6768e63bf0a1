// Fingerprints as files: JSON, schema "plumbline-fingerprint/1". Lines of work and their stages in order; each stage
// has name, step, bytes of an element, elements, hash, and the hashes of its parts.
#pragma once
#include <filesystem>

#include "cuda/diagnostics/fingerprint.h"

namespace plumbline::harness::hardware {

void write_fingerprint(const diagnostics::Fingerprint& fingerprint, const std::filesystem::path& path);
// Throws InputError for what is not such a file.
diagnostics::Fingerprint read_fingerprint(const std::filesystem::path& path);

}  // namespace plumbline::harness::hardware
