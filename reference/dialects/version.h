// Versions of packages: three numbers, in the order of publication.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plumbline::reference {

struct Version {
  int64_t major = 0, minor = 0, patch = 0;

  auto operator<=>(const Version&) const = default;
  std::string text() const;
  // "0.4.6"; what follows the third number (".post1", "+cu130") is no other version. None for anything else.
  static std::optional<Version> parse(std::string_view text);
};

// Of a package, both ends included; none: any version, and none at all.
struct VersionRange {
  std::optional<Version> first{}, last{};

  bool contains(const Version& version) const { return !first || (*first <= version && version <= *last); }
  std::string text() const;  // "0.2.6 - 0.2.8", "0.3.0", or nothing
};

}  // namespace plumbline::reference
