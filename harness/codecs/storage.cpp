#include "harness/codecs/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "reference/codecs/codebook.h"
#include "reference/codecs/float_format.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_codec.h"
#include "reference/codecs/uniform.h"

namespace plumbline::harness::codecs {
namespace {

using reference::Interval;
using reference::Rounding;

// Each codec: the scale that a block stores, what a value is read back as, and where that may lie.
struct Log {
  reference::LogCodec codec;
  using Scale = reference::LogScale;
  Scale scale(std::span<const double> values) const { return codec.scale_of(values).stored(); }
  double stored(double v, Scale s, Rounding rounding, double u, double offset) const {
    if (rounding == Rounding::dither) return codec.decode_dither(codec.encode_dither(v, s, offset), s, offset);
    return codec.decode(rounding == Rounding::nearest ? codec.encode(v, s) : codec.encode_stochastic(v, s, u), s);
  }
  Interval reach(double v, Scale s, Rounding rounding) const { return codec.reach(v, s, rounding); }
};

struct Linear {
  using Scale = reference::LinearScale;
  using Codec = reference::LinearU8;
  static Scale scale(std::span<const double> values) { return Codec::scale_of(values).stored(); }
  static double stored(double v, Scale s, Rounding rounding, double u, double) {
    return Codec::decode(rounding == Rounding::nearest ? Codec::encode(v, s) : Codec::encode_stochastic(v, s, u), s);
  }
  static Interval reach(double v, Scale s, Rounding rounding) { return Codec::reach(v, s, rounding); }
};

struct Uniform {
  reference::UniformCodec codec;
  using Scale = double;
  Scale scale(std::span<const double> values) const { return static_cast<float>(codec.scale_of(values)); }
  double stored(double v, Scale s, Rounding rounding, double u, double offset) const {
    if (rounding == Rounding::dither) return codec.decode_dither(codec.encode_dither(v, s, offset), s, offset);
    return rounding == Rounding::nearest ? codec.decode(codec.encode(v, s), s)
                                         : codec.decode_stochastic(codec.encode_stochastic(v, s, u), s);
  }
  Interval reach(double v, Scale s, Rounding rounding) const { return codec.reach(v, s, rounding); }
};

struct Float {
  reference::FloatFormat format;
  struct Scale {};
  static Scale scale(std::span<const double>) { return {}; }
  double stored(double v, Scale, Rounding rounding, double u, double) const {
    return rounding == Rounding::nearest ? format.nearest(v) : format.stochastic(v, u);
  }
  Interval reach(double v, Scale, Rounding rounding) const { return format.reach(v, rounding); }
};

struct Table {
  reference::Codebook book;
  using Scale = double;
  Scale scale(std::span<const double> values) const { return static_cast<float>(book.scale_of(values)); }
  double stored(double v, Scale s, Rounding, double, double) const { return book.decode(book.encode(v, s), s); }
  Interval reach(double v, Scale s, Rounding) const { return book.reach(v, s); }
};

template <class Codec>
class Blocks final : public BlockCodec {
 public:
  Blocks(Codec codec, Rounding rounding) : codec_(std::move(codec)), rounding_(rounding) {}
  void begin(std::span<const double> values, const BlockPlace& place) override {
    scale_ = codec_.scale(values);
    place_ = place;
    offset_ = rounding_ == Rounding::dither ? place.stream.offset(place.block, 0, 0) : 0;
  }
  double stored(double value, int64_t i) const override {
    const double u = rounding_ == Rounding::stochastic ? place_.stream.uniform(place_.column + i, 0, 0) : 0;
    return codec_.stored(value, scale_, rounding_, u, offset_);
  }
  Interval reach(double value) const override { return codec_.reach(value, scale_, rounding_); }
  Interval cell(double value) const override { return codec_.reach(value, scale_, Rounding::nearest); }

 private:
  Codec codec_;
  Rounding rounding_;
  typename Codec::Scale scale_{};
  BlockPlace place_;
  double offset_ = 0;
};

struct Shape {
  StateKind kind;
  int code_bits, scale_words;
  int64_t block;
  bool rival = false;
};

class List {
 public:
  template <class Codec>
  void add(const std::string& name, const Codec& codec, Shape shape,
           std::initializer_list<Rounding> roundings = {Rounding::nearest}) {
    for (const Rounding rounding : roundings) {
      static constexpr const char* kSuffix[] = {"", " stochastic", " dither"};
      entries_.push_back({name + kSuffix[int(rounding)], name, shape.kind, rounding, shape.rival, shape.code_bits,
                          shape.scale_words, shape.block, std::make_shared<Blocks<Codec>>(codec, rounding),
                          [](const BlockCodec& c) -> std::unique_ptr<BlockCodec> {
                            return std::make_unique<Blocks<Codec>>(static_cast<const Blocks<Codec>&>(c));
                          }});
    }
  }
  std::vector<Storage> take() { return std::move(entries_); }

 private:
  std::vector<Storage> entries_;
};

std::vector<Storage> all_storages() {
  constexpr auto kNearest = Rounding::nearest, kStochastic = Rounding::stochastic, kDither = Rounding::dither;
  constexpr auto kV = StateKind::second_moment, kM = StateKind::momentum;
  constexpr reference::FloatFormat kFloat32{24, -126, 0x1.fffffep127};
  constexpr int64_t kBlockV = 2048;
  List list;
  list.add("fp32", Float{kFloat32}, {kV, 32, 0, kBlockV});
  list.add("al16", Log{reference::kAl16}, {kV, 16, 2, kBlockV}, {kNearest, kStochastic, kDither});
  list.add("al8", Log{reference::kAl8}, {kV, 8, 2, kBlockV}, {kNearest, kStochastic, kDither});
  list.add("log_u8", Log{reference::kLogU8}, {kV, 8, 2, kBlockV}, {kNearest, kStochastic, kDither});
  list.add("linear_u8", Linear{}, {kV, 8, 1, kBlockV}, {kNearest, kStochastic});
  list.add("fp32", Float{kFloat32}, {kM, 32, 0, 256});
  list.add("bf16", Float{reference::kBfloat16}, {kM, 16, 0, 256}, {kNearest, kStochastic});
  list.add("uf8", Uniform{reference::kUf8}, {kM, 8, 1, 256}, {kNearest, kStochastic, kDither});
  list.add("uf4", Uniform{reference::kUf4}, {kM, 4, 1, 128}, {kNearest, kStochastic, kDither});

  list.add("al8, no zero", Log{{0, 255}}, {kV, 8, 2, kBlockV, true});
  for (const int floor : {-100, -80, -60, -40, -20})
    list.add(fmt::format("log floor {}", floor), Log{{0, 255, double(floor)}}, {kV, 8, 2, kBlockV, true});
  list.add("dynamic 8", Table{reference::dynamic_tree_unsigned()}, {kV, 8, 1, 256, true});
  list.add("nf4", Table{reference::normal_float4()}, {kV, 4, 1, 64, true});
  list.add("fp4", Table{reference::float4_e2m1()}, {kV, 4, 1, 64, true});
  list.add("dynamic 8", Table{reference::dynamic_tree_signed()}, {kM, 8, 1, 256, true});
  list.add("nf4", Table{reference::normal_float4()}, {kM, 4, 1, 64, true});
  list.add("fp4", Table{reference::float4_e2m1()}, {kM, 4, 1, 64, true});
  list.add("-8..7", Uniform{reference::kAdafactor8bitMomentum}, {kM, 4, 1, 128, true});
  return list.take();
}

}  // namespace

double step_at_zero(const BlockCodec& codec, Rounding rounding) {
  return rounding == Rounding::stochastic ? codec.reach(1e-300).high : 2 * codec.reach(0).high;
}

const char* to_string(StateKind kind) { return kind == StateKind::momentum ? "momentum" : "second moment"; }

const std::vector<Storage>& storages() {
  static const std::vector<Storage> list = all_storages();
  return list;
}

std::vector<Storage> storages(StateKind kind) {
  std::vector<Storage> out;
  for (const Storage& storage : storages())
    if (storage.kind == kind) out.push_back(storage);
  return out;
}

StoredValues store_in_blocks(const Storage& storage, std::span<const double> values, int64_t block,
                             const reference::RoundingStream& stream) {
  StoredValues out;
  out.decoded.reserve(values.size());
  out.reach.reserve(values.size());
  const auto codec = storage.make();
  for (size_t begin = 0; begin < values.size(); begin += size_t(block)) {
    const auto part = values.subspan(begin, std::min(size_t(block), values.size() - begin));
    codec->begin(part, {stream, int64_t(begin) / block, int64_t(begin)});
    for (size_t i = 0; i < part.size(); ++i) {
      out.decoded.push_back(codec->stored(part[i], int64_t(i)));
      out.reach.push_back(codec->reach(part[i]));
    }
  }
  return out;
}

}  // namespace plumbline::harness::codecs
