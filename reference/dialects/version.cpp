#include "reference/dialects/version.h"

#include <charconv>

namespace plumbline::reference {

std::string Version::text() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::optional<Version> Version::parse(std::string_view text) {
  Version version;
  const char *at = text.data(), *const end = at + text.size();
  for (int64_t* part : {&version.major, &version.minor, &version.patch}) {
    if (part != &version.major && (at == end || *at++ != '.')) return std::nullopt;
    const auto [next, error] = std::from_chars(at, end, *part);
    if (error != std::errc() || *part < 0) return std::nullopt;
    at = next;
  }
  if (at != end && *at != '.' && *at != '+') return std::nullopt;
  return version;
}

std::string VersionRange::text() const {
  if (!first) return "";
  return *first == *last ? first->text() : first->text() + " - " + last->text();
}

}  // namespace plumbline::reference
