// Options by name: every options struct has one constexpr table of OptionField, from which text is read, printed and
// checked. Text is what std::to_chars prints ("0.01"), true|false, a choice's name, none (or null) for an absent value,
// and [a, b] for several values at once.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace plumbline::reference {

// Accepted values; an end at infinity is open.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;

  bool contains(double x) const;  // no infinity, no NaN
  std::string text() const;       // "[0, 1)"
};
inline constexpr Range kNonnegative{0};
inline constexpr Range kPositive{0, std::numeric_limits<double>::infinity(), true};
inline constexpr Range kNonpositive{-std::numeric_limits<double>::infinity(), 0};
inline constexpr Range kCount{1, 0x1p53};
inline constexpr Range kBeta{0, 1, false, true};

struct OptionRow {
  std::string name;
  std::string default_value;
  std::string valid;
};

// The struct's members that one option sets.
template <class Options>
struct OptionField {
  // An enumeration, by the names of its values 0, 1, ...
  struct Choice {
    std::span<const std::string_view> names;
    int (*get)(const Options&);
    void (*set)(Options&, int);
  };
  struct List {
    using Member = std::variant<double Options::*, std::optional<double> Options::*>;
    std::span<const Member> members;
  };
  std::string_view name;
  std::variant<double Options::*, std::optional<double> Options::*, int64_t Options::*, bool Options::*,
               std::optional<bool> Options::*, Choice, List>
      member;
  Range range{};
};

template <auto Member, class Options>
constexpr typename OptionField<Options>::Choice choice(std::span<const std::string_view> names) {
  return {names, [](const Options& o) { return static_cast<int>(o.*Member); },
          [](Options& o, int value) { o.*Member = static_cast<std::remove_reference_t<decltype(o.*Member)>>(value); }};
}

namespace option_text {
std::string concat(std::initializer_list<std::string_view> parts);
std::string print(double value);
std::string print(const std::optional<double>& value);
std::optional<double> parse_number(std::string_view text);  // all of it, or nothing
std::optional<std::vector<std::optional<double>>> parse_list(std::string_view text);
std::string join(std::span<const std::string_view> names);  // a|b|c
[[noreturn]] void refuse(std::string_view name, std::string_view value, std::string_view valid);
[[noreturn]] void unknown(std::string_view name, const std::vector<OptionRow>& known);
}  // namespace option_text

// Each options struct specialises this: static std::span<const OptionField<Options>> fields()
template <class Options>
struct OptionTable;

template <class Options>
std::string valid_text(const OptionField<Options>& field) {
  using Field = OptionField<Options>;
  return std::visit(
      [&](const auto& m) -> std::string {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, bool Options::*>)
          return "true|false";
        else if constexpr (std::is_same_v<M, std::optional<bool> Options::*>)
          return "none|true|false";
        else if constexpr (std::is_same_v<M, typename Field::Choice>)
          return option_text::join(m.names);
        else if constexpr (std::is_same_v<M, std::optional<double> Options::*>)
          return option_text::concat({"none|", field.range.text()});
        else if constexpr (std::is_same_v<M, int64_t Options::*>)
          return option_text::concat({"integer ", field.range.text()});
        else if constexpr (std::is_same_v<M, typename Field::List>)
          return option_text::concat({"[", std::to_string(m.members.size()), " values in ", field.range.text(), "]"});
        else
          return field.range.text();
      },
      field.member);
}

template <class Options>
std::string print_field(const OptionField<Options>& field, const Options& options) {
  using Field = OptionField<Options>;
  return std::visit(
      [&](const auto& m) -> std::string {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, typename Field::Choice>) {
          return std::string(m.names[static_cast<size_t>(m.get(options))]);
        } else if constexpr (std::is_same_v<M, typename Field::List>) {
          std::string out;
          for (const auto& member : m.members)
            out += option_text::concat(
                {out.empty() ? "[" : ", ", std::visit([&](auto x) { return option_text::print(options.*x); }, member)});
          return out + "]";
        } else if constexpr (std::is_same_v<M, bool Options::*>) {
          return options.*m ? "true" : "false";
        } else if constexpr (std::is_same_v<M, std::optional<bool> Options::*>) {
          return !(options.*m) ? "none" : *(options.*m) ? "true" : "false";
        } else if constexpr (std::is_same_v<M, int64_t Options::*>) {
          return std::to_string(options.*m);
        } else {
          return option_text::print(options.*m);
        }
      },
      field.member);
}

// False when the text is not valid; then nothing is changed.
template <class Options>
bool parse_field(const OptionField<Options>& field, Options& options, std::string_view text) {
  using Field = OptionField<Options>;
  return std::visit(
      [&](const auto& m) -> bool {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, typename Field::Choice>) {
          for (size_t k = 0; k < m.names.size(); ++k)
            if (m.names[k] == (text == "null" ? "none" : text)) return m.set(options, static_cast<int>(k)), true;
          return false;
        } else if constexpr (std::is_same_v<M, typename Field::List>) {
          const auto values = option_text::parse_list(text);
          if (!values || values->size() != m.members.size()) return false;
          Options changed = options;
          for (size_t k = 0; k < values->size(); ++k) {
            const std::optional<double> value = (*values)[k];
            if (value && !field.range.contains(*value)) return false;
            if (const auto* optional = std::get_if<std::optional<double> Options::*>(&m.members[k]))
              changed.** optional = value;
            else if (value)
              changed.*std::get<double Options::*>(m.members[k]) = *value;
            else
              return false;
          }
          options = changed;
          return true;
        } else if constexpr (std::is_same_v<M, std::optional<bool> Options::*>) {
          if (text != "true" && text != "false" && text != "none" && text != "null") return false;
          options.*m = text == "true" ? std::optional(true) : text == "false" ? std::optional(false) : std::nullopt;
          return true;
        } else if constexpr (std::is_same_v<M, bool Options::*>) {
          if (text != "true" && text != "false") return false;
          options.*m = text == "true";
          return true;
        } else {
          if constexpr (std::is_same_v<M, std::optional<double> Options::*>)
            if (text == "none" || text == "null") return options.*m = std::nullopt, true;
          const auto value = option_text::parse_number(text);
          if (!value || !field.range.contains(*value)) return false;
          if constexpr (std::is_same_v<M, int64_t Options::*>) {
            if (static_cast<double>(static_cast<int64_t>(*value)) != *value) return false;
            options.*m = static_cast<int64_t>(*value);
          } else {
            options.*m = *value;
          }
          return true;
        }
      },
      field.member);
}

// Every option in declaration order, with the default of a value-initialised struct.
template <class Options>
std::vector<OptionRow> option_table() {
  std::vector<OptionRow> rows;
  for (const auto& field : OptionTable<Options>::fields())
    rows.push_back({std::string(field.name), print_field(field, Options{}), valid_text(field)});
  return rows;
}

// Throws std::invalid_argument naming option, value and valid range; then nothing is changed.
template <class Options>
void set_option(Options& options, std::string_view name, std::string_view text) {
  for (const auto& field : OptionTable<Options>::fields()) {
    if (field.name != name) continue;
    if (!parse_field(field, options, text)) option_text::refuse(name, text, valid_text(field));
    return;
  }
  option_text::unknown(name, option_table<Options>());
}

// Text that set_option reads back exactly; throws std::invalid_argument for an unknown name.
template <class Options>
std::string get_option(const Options& options, std::string_view name) {
  for (const auto& field : OptionTable<Options>::fields())
    if (field.name == name) return print_field(field, options);
  option_text::unknown(name, option_table<Options>());
}

// Throws where a member set directly is outside its range.
template <class Options>
void check_ranges(const Options& options) {
  for (const auto& field : OptionTable<Options>::fields()) {
    Options copy = options;
    const std::string text = print_field(field, options);
    if (!parse_field(field, copy, text)) option_text::refuse(field.name, text, valid_text(field));
  }
}

}  // namespace plumbline::reference
