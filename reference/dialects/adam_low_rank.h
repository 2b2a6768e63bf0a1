// What the GaLore family shares: Adam's statistics as a chain.
#pragma once
#include "reference/optimizer.h"

namespace plumbline::reference {

// N = M/(sqrt(V) + eps), both moments of the gradient; no bias correction      [Kingma & Ba 2015, alg. 1]
Chain adam_chain(const Shape& shape, double beta1, double beta2, double eps);

// Throws std::invalid_argument unless the shape has two axes.
void require_matrix(const Shape& shape);

}  // namespace plumbline::reference
