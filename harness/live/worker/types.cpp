#include "harness/live/worker/types.h"

#include <array>

namespace plumbline::harness::live {
namespace {

struct Row {
  plumbline_type type;
  const char* name;
  int bits;
};
constexpr std::array<Row, 16> kTypes = {{
    {PLUMBLINE_F32, "f32", 32},
    {PLUMBLINE_BF16, "bf16", 16},
    {PLUMBLINE_F16, "f16", 16},
    {PLUMBLINE_F64, "f64", 64},
    {PLUMBLINE_U8, "u8", 8},
    {PLUMBLINE_I8, "i8", 8},
    {PLUMBLINE_U16, "u16", 16},
    {PLUMBLINE_I16, "i16", 16},
    {PLUMBLINE_I32, "i32", 32},
    {PLUMBLINE_U32, "u32", 32},
    {PLUMBLINE_I64, "i64", 64},
    {PLUMBLINE_U64, "u64", 64},
    {PLUMBLINE_F8_E4M3, "f8_e4m3", 8},
    {PLUMBLINE_F8_E5M2, "f8_e5m2", 8},
    {PLUMBLINE_U4, "u4", 4},
    {PLUMBLINE_I4, "i4", 4},
}};

const Row* find(plumbline_type type) {
  for (const Row& row : kTypes)
    if (row.type == type) return &row;
  return nullptr;
}

}  // namespace

const char* name_of(plumbline_type type) {
  const Row* row = find(type);
  return row ? row->name : nullptr;
}

std::optional<plumbline_type> type_named(std::string_view name) {
  for (const Row& row : kTypes)
    if (row.name == name) return row.type;
  return std::nullopt;
}

int64_t bits_of(plumbline_type type) {
  const Row* row = find(type);
  return row ? row->bits : 0;
}

std::optional<int64_t> bytes_of(plumbline_type type, std::span<const int64_t> shape) {
  constexpr int64_t kMost = int64_t{1} << 48;
  const int64_t bits = bits_of(type);
  const int64_t line = shape.empty() ? 1 : shape.back();
  if (bits == 0 || line < 0 || line > kMost) return std::nullopt;
  int64_t bytes = (line * bits + 7) / 8;
  for (size_t k = 0; k + 1 < shape.size(); ++k) {
    if (shape[k] < 0 || shape[k] > kMost || (shape[k] > 0 && bytes > kMost / shape[k])) return std::nullopt;
    bytes *= shape[k];
  }
  return bytes;
}

}  // namespace plumbline::harness::live
