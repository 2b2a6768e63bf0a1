// From a type known at run time to one known to the compiler.
#pragma once
#include "cuda/api/tensor.h"
#include "cuda/core/number.h"

namespace plumbline::core {

// Calls work(G{}) with the element type.
template <class Work>
void with_type(Type type, const Work& work) {
  switch (type) {
    case Type::float32:
      return work(float{});
    case Type::bfloat16:
      return work(bf16{});
    case Type::float16:
      return work(f16{});
  }
}

}  // namespace plumbline::core
