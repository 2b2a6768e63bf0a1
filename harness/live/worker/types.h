// Element types of the subject ABI: their names on the wire, and how many bytes an array of them takes.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "harness/live/plumbline_subject.h"

namespace plumbline::harness::live {

// "f32", "bf16", "f16", "f64", "u8", "i8", "u16", "i16", "i32", "u32", "i64", "u64", "f8_e4m3", "f8_e5m2", "u4", "i4"
const char* name_of(plumbline_type type);  // null for a type that is none
std::optional<plumbline_type> type_named(std::string_view name);
int64_t bits_of(plumbline_type type);
// Of a row-major array without gaps; rows of packed types begin on a byte. None: an extent below 0, or beyond 2^48.
std::optional<int64_t> bytes_of(plumbline_type type, std::span<const int64_t> shape);

}  // namespace plumbline::harness::live
