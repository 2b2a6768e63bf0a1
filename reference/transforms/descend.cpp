#include "reference/transforms/descend.h"

namespace plumbline::reference {

void Descend::apply(Step& step) { step.parameter.data -= step.scale * step.update().data; }

}  // namespace plumbline::reference
