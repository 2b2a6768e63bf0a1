// The production optimizer's own rule as a peer's, for programs that follow it in an arithmetic of their own. State is
// unquantized. Projections are made of projection_seed where none are recorded.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

extern const Dialect kPlumbline;

}  // namespace plumbline::reference
