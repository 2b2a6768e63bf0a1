#include "harness/suggest.h"

#include <algorithm>
#include <vector>

namespace plumbline::harness {
namespace {

// Restricted edit distance: no letter is touched twice.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string closest(const std::string& word, std::span<const std::string> candidates) {
  std::string best;
  size_t fewest = (word.size() + 2) / 3 + 1;
  for (const std::string& candidate : candidates) {
    const size_t edits = distance(word, candidate);
    if (edits >= fewest) continue;
    fewest = edits;
    best = candidate;
  }
  return best;
}

std::string did_you_mean(const std::string& word, std::span<const std::string> candidates) {
  const std::string meant = closest(word, candidates);
  return meant.empty() ? "" : "; did you mean '" + meant + "'?";
}

}  // namespace plumbline::harness
