#include "cuda/diagnostics/ieee.h"

#include <bit>
#include <cmath>

#include "cuda/diagnostics/mix.h"
#include "cuda/diagnostics/values.h"

namespace plumbline::diagnostics {
namespace {

// float32 or float64 by its parts.
struct Format {
  int mantissa, exponent;  // bits
  uint64_t bits_of(bool negative, int64_t biased, uint64_t fraction) const {
    return uint64_t(negative) << (mantissa + exponent) | uint64_t(biased) << mantissa | fraction;
  }
  uint64_t mask() const { return (uint64_t(1) << mantissa) - 1; }
  int64_t bias() const { return (int64_t(1) << (exponent - 1)) - 1; }
  int64_t most() const { return 2 * bias() + 1; }  // the exponent of infinities
};
constexpr Format kSingle = {23, 8}, kDouble = {52, 11};

class Maker {
 public:
  Maker(Operation operation, bool wide)
      : format_(wide ? kDouble : kSingle), wide_(wide), state_(mix64(uint64_t(operation) * 2 + wide + 1)) {
    out_.operation = operation;
    out_.wide = wide;
  }
  IeeeVectors make() {
    specials();
    constexpr int kEach = 12000;
    for (int i = 0; i < kEach; ++i) {
      tie();
      subnormal();
      cancellation();
      overflow();
      random();
    }
    return std::move(out_);
  }

 private:
  uint64_t draw() { return mix64(state_ += 0x9e3779b97f4a7c15u); }
  uint64_t below(uint64_t n) { return draw() % n; }
  uint64_t fraction() { return draw() & format_.mask(); }
  uint64_t number(int64_t exponent) { return format_.bits_of(draw() & 1, exponent + format_.bias(), fraction()); }
  // A number with few bits, times 2^exponent: products of two are short.
  uint64_t short_number(int bits, int64_t exponent) {
    const uint64_t high = (draw() | 1) & ((uint64_t(1) << bits) - 1);
    return format_.bits_of(draw() & 1, exponent + format_.bias(), high << (format_.mantissa - bits));
  }
  double value(uint64_t bits) const {
    return wide_ ? std::bit_cast<double>(bits) : double(std::bit_cast<float>(uint32_t(bits)));
  }
  uint64_t bits(double x) const { return wide_ ? std::bit_cast<uint64_t>(x) : std::bit_cast<uint32_t>(float(x)); }
  void put(Hardness hardness, uint64_t a, uint64_t b = 0, uint64_t c = 0) {
    out_.operands.push_back({a, b, c});
    out_.hardness.push_back(hardness);
  }

  void specials() {
    const Format& f = format_;
    std::vector<uint64_t> list;
    const auto add = [&](int64_t biased, uint64_t fraction) {
      for (const bool negative : {false, true}) list.push_back(f.bits_of(negative, biased, fraction));
    };
    add(0, 0);
    add(0, 1);
    add(0, 2);
    add(0, f.mask());
    add(0, (f.mask() >> 1) + 1);
    add(1, 0);
    add(1, 1);
    for (const int64_t e : {int64_t(-1), int64_t(0), int64_t(1), int64_t(f.mantissa), int64_t(f.mantissa) + 1,
                            -int64_t(f.mantissa) - 1, f.bias() / 2, -f.bias() / 2})
      add(f.bias() + e, 0);
    add(f.bias(), 1);
    add(f.bias(), f.mask());
    add(f.bias() + 1, uint64_t(1) << (f.mantissa - 1));
    add(f.bias() - 2, f.mask() / 3);
    add(f.most() - 1, f.mask());
    add(f.most() - 1, f.mask() - 1);
    add(f.most() - 1, 0);
    add(f.most(), 0);
    add(f.most(), uint64_t(1) << (f.mantissa - 1));  // quiet NaN
    add(f.most(), 1);                                // signalling NaN
    switch (out_.operation) {
      case Operation::sqrt:
      case Operation::narrow:
        for (const uint64_t a : list) put(Hardness::special, a);
        break;
      case Operation::fused:
        for (const uint64_t a : list)
          for (const uint64_t b : list)
            for (const uint64_t c : list) put(Hardness::special, a, b, c);
        break;
      default:
        for (const uint64_t a : list)
          for (const uint64_t b : list) put(Hardness::special, a, b);
    }
  }

  // A double that lies halfway between two float32, or one unit of the double beside that.
  uint64_t near_midpoint(int64_t exponent, int lost) {
    const uint64_t half = uint64_t(1) << (lost - 1), kept = fraction() >> lost << lost;
    return format_.bits_of(draw() & 1, exponent + kDouble.bias(), kept | (half + below(3) - 1));
  }

  void tie() {
    const int m = format_.mantissa;
    switch (out_.operation) {
      case Operation::add: {  // half a unit of the larger, give or take
        const int64_t e = int64_t(below(60)) - 30;
        const uint64_t near[] = {0, 1, format_.mask()};
        const uint64_t pick = near[below(3)];
        put(Hardness::tie, number(e),
            format_.bits_of(draw() & 1, e - m - 1 - (pick == format_.mask()) + format_.bias(), pick));
        break;
      }
      case Operation::multiply: {  // products of m + 2 bits
        const int one = 1 + int(below(uint64_t(m - 1)));
        put(Hardness::tie, short_number(one, 0), short_number(m + 1 - one, 0));
        break;
      }
      case Operation::fused: {  // a short product, and half a unit
        const int one = 1 + int(below(uint64_t(m - 1)));
        const uint64_t a = short_number(one, 0), b = short_number(m - one, 0);
        put(Hardness::tie, a, b, format_.bits_of(draw() & 1, format_.bias() - m - 1 - int64_t(below(2)), below(2)));
        break;
      }
      case Operation::divide: {  // n = fl(q d) for a q of m + 2 bits lies beside a midpoint
        const uint64_t d = number(0);
        const double q = 1 + std::ldexp(double(fraction()) + 0.5, -m);
        put(Hardness::tie, bits(q * value(d)), d);
        break;
      }
      case Operation::sqrt: {
        const double q = 1 + std::ldexp(double(fraction()) + 0.5, -m);
        put(Hardness::tie, bits(q * q));
        break;
      }
      case Operation::narrow:
        put(Hardness::tie, near_midpoint(int64_t(below(250)) - 125, 29));
        break;
    }
  }

  void subnormal() {
    const int m = format_.mantissa;
    const int64_t bottom = 1 - format_.bias(), deep = int64_t(below(uint64_t(m) + 3));
    const int64_t split = int64_t(below(40)) - 20;
    switch (out_.operation) {
      case Operation::add:
        put(Hardness::subnormal, number(bottom + int64_t(below(3))), number(bottom + int64_t(below(3))));
        break;
      case Operation::multiply:
        put(Hardness::subnormal, number((bottom - deep) / 2 + split),
            number(bottom - deep - (bottom - deep) / 2 - split));
        break;
      case Operation::fused:
        put(Hardness::subnormal, number((bottom - deep) / 2 + split),
            number(bottom - deep - (bottom - deep) / 2 - split),
            draw() & (format_.mask() | uint64_t(1) << (m + format_.exponent)));
        break;
      case Operation::divide:
        put(Hardness::subnormal, number((bottom - deep) / 2 + split),
            number((bottom - deep) / 2 + split - (bottom - deep)));
        break;
      case Operation::sqrt:
        put(Hardness::subnormal, fraction() >> below(uint64_t(m)));
        break;
      case Operation::narrow: {
        const int64_t lost = 1 + int64_t(below(24));
        put(Hardness::subnormal, near_midpoint(-126 - lost, int(29 + lost)));
        break;
      }
    }
  }

  void cancellation() {
    const uint64_t a = number(int64_t(below(20)) - 10), b = number(int64_t(below(20)) - 10);
    const uint64_t sign = uint64_t(1) << (format_.mantissa + format_.exponent);
    switch (out_.operation) {
      case Operation::add:
        put(Hardness::cancellation, a, (a ^ sign) + below(5) - 2);
        break;
      case Operation::multiply:
        put(Hardness::cancellation, a, bits(1 / value(a)));
        break;
      case Operation::fused: {  // a b - fl(a b): what only a fused operation sees
        const uint64_t product = bits(value(a) * value(b));
        put(Hardness::cancellation, a, b, (product ^ sign) + below(3) - 1);
        break;
      }
      case Operation::divide:
        put(Hardness::cancellation, a, a + below(5) - 2);
        break;
      case Operation::sqrt:
        put(Hardness::cancellation, bits(1) + below(1000) - 500);
        break;
      case Operation::narrow:
        put(Hardness::cancellation, std::bit_cast<uint64_t>(1.0) + below(1u << 31) - (1u << 30));
        break;
    }
  }

  void overflow() {
    const int64_t top = format_.most() - 1, bias = format_.bias();
    const uint64_t largest = format_.bits_of(draw() & 1, top, format_.mask() - below(3));
    switch (out_.operation) {
      case Operation::add:
        put(Hardness::overflow, largest, number(bias - format_.mantissa - 1 + int64_t(below(3)) - 1));
        break;
      case Operation::multiply: {
        const int64_t e = int64_t(below(100)) - 50;
        put(Hardness::overflow, number(bias / 2 + e), number(bias - bias / 2 - e));
        break;
      }
      case Operation::fused: {
        const int64_t e = int64_t(below(100)) - 50;
        put(Hardness::overflow, number(bias / 2 + e), number(bias - bias / 2 - e), largest);
        break;
      }
      case Operation::divide:
        put(Hardness::overflow, number(bias - int64_t(below(3))), number(-1 - int64_t(below(3))));
        break;
      case Operation::sqrt:
        put(Hardness::overflow, largest & ~(uint64_t(1) << (format_.mantissa + format_.exponent)));
        break;
      case Operation::narrow:  // the largest float32, half a unit above it, and around
        put(Hardness::overflow, (std::bit_cast<uint64_t>(0x1.fffffep127) + (uint64_t(1) << 28) + below(5) - 2) |
                                    (draw() & uint64_t(1) << 63));
        break;
    }
  }

  void random() {
    const uint64_t mask = wide_ ? ~uint64_t(0) : 0xffffffffu;
    const bool two = out_.operation != Operation::sqrt && out_.operation != Operation::narrow;
    const uint64_t a = draw() & mask, b = draw() & mask, c = draw() & mask;
    put(Hardness::random, a, two ? b : 0, out_.operation == Operation::fused ? c : 0);
  }

  Format format_;
  bool wide_;
  uint64_t state_;
  IeeeVectors out_;
};

}  // namespace

const char* to_string(Operation operation) {
  constexpr const char* kNames[] = {"add", "multiply", "fused multiply-add", "divide", "sqrt", "narrow to float32"};
  return kNames[int(operation)];
}
const char* to_string(Hardness hardness) {
  constexpr const char* kNames[] = {"special", "tie", "subnormal", "cancellation", "overflow", "random"};
  return kNames[int(hardness)];
}
std::string to_string(const IeeeVectors& v) {
  return std::string(v.wide ? "float64 " : "float32 ") + to_string(v.operation);
}

IeeeVectors ieee_vectors(Operation operation, bool wide) {
  return Maker(operation, wide || operation == Operation::narrow).make();
}

std::vector<uint64_t> run_ieee(const IeeeVectors& vectors, Backend backend, int device) {
  return evaluate_ieee(vectors.operation, vectors.wide, vectors.operands, backend, device);
}

FlushToZero detect_flush(Operation operation, bool wide, Backend backend, int device) {
  const Format f = wide ? kDouble : kSingle;
  const uint64_t one = f.bits_of(false, f.bias(), 0), half = f.bits_of(false, f.bias() - 1, 0), small = f.mask();
  const uint64_t normal = f.bits_of(false, 1, 2), least = f.bits_of(true, 1, 1);
  // subnormal operands with a subnormal or normal result; normal operands with a subnormal result
  Operands from{}, to{};
  switch (operation) {
    case Operation::add:
      from = {small, 0, 0};
      to = {normal, least, 0};
      break;
    case Operation::multiply:
    case Operation::fused:
      from = {small, f.bits_of(false, f.bias() + 30, 0), 0};
      to = {f.bits_of(false, 1, 0), half, 0};
      break;
    case Operation::divide:
      from = {small, f.bits_of(false, f.bias() - 30, 0), 0};
      to = {f.bits_of(false, 1, 0), f.bits_of(false, f.bias() + 1, 0), 0};
      break;
    case Operation::sqrt:
      from = {small, 0, 0};
      to = {one, 0, 0};  // no root is subnormal
      break;
    case Operation::narrow:
      from = {std::bit_cast<uint64_t>(1.0), 0, 0};  // no subnormal double narrows to anything but zero
      to = {std::bit_cast<uint64_t>(0x1.8p-130), 0, 0};
      break;
  }
  const std::vector<uint64_t> y = evaluate_ieee(operation, wide, {from, to}, backend, device);
  return {y[0] == 0, y[1] == 0};
}

}  // namespace plumbline::diagnostics
