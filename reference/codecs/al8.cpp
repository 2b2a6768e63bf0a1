#include "reference/codecs/al8.h"

namespace plumbline::reference {

Al8::Scale Al8::scale_of(const LogRange& range) { return kAl8.scale_of(range); }
Al8::Scale Al8::scale_of(std::span<const double> values) { return kAl8.scale_of(values); }
double Al8::decode(uint8_t code, Scale scale) { return kAl8.decode(code, scale); }
double Al8::unrounded_code(double value, Scale scale) { return kAl8.unrounded_code(value, scale); }
uint8_t Al8::encode(double value, Scale scale) { return static_cast<uint8_t>(kAl8.encode(value, scale)); }
double Al8::half_step(double value, Scale scale) { return kAl8.half_step(value, scale); }

}  // namespace plumbline::reference
