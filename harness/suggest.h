// What somebody may have meant who mistyped a word.
#pragma once
#include <span>
#include <string>

namespace plumbline::harness {

// The candidate with the fewest insertions, deletions, replacements and swaps of neighbours [Damerau 1964], where these
// are at most a third of the word's letters, rounded up; else empty. Between equals the first.
std::string closest(const std::string& word, std::span<const std::string> candidates);

// "; did you mean 'verify'?", or nothing.
std::string did_you_mean(const std::string& word, std::span<const std::string> candidates);

}  // namespace plumbline::harness
