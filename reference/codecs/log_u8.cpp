#include "reference/codecs/log_u8.h"

namespace plumbline::reference {

LogU8::Scale LogU8::scale_of(const LogRange& range) { return kLogU8.scale_of(range); }
LogU8::Scale LogU8::scale_of(std::span<const double> values) { return kLogU8.scale_of(values); }
double LogU8::decode(uint8_t code, Scale scale) { return kLogU8.decode(code, scale); }
double LogU8::unrounded_code(double value, Scale scale) { return kLogU8.unrounded_code(value, scale); }
uint8_t LogU8::encode(double value, Scale scale) { return static_cast<uint8_t>(kLogU8.encode(value, scale)); }
double LogU8::half_step(double value, Scale scale) { return kLogU8.half_step(value, scale); }

}  // namespace plumbline::reference
