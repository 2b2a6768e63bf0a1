// Statistics in the space of a projected gradient, and what full-rank updates are made of them: the normalised
// low-rank gradient N_low and the scaling s = |N_low|/(|G_low| + 1e-8), per channel or for the tensor.
//                                                            [Zhu et al. 2024, APOLLO, alg. 1]
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "reference/transform.h"
#include "reference/transforms/projection.h"

namespace plumbline::reference {

enum class ScaleType : uint8_t { channel, tensor };

class LowRank {
 public:
  // `chain` acts on G_low and leaves N_low; its state appears under the low_rank slots, that of a confidence under its
  // own. A program that works in place may leave in G_low the update that transform number `overwritten_by` (from 1)
  // makes of it, which the scaling then divides by.
  LowRank(Projection projection, std::vector<std::unique_ptr<Transform>> chain, size_t overwritten_by = 0);

  void run(Step& step);  // fills the rest
  // s: (rows) or (columns) of the gradient, or (1) for the tensor
  void channel_scale(ScaleType type, Tensor& scale) const;
  // out = s (.) x, x of the gradient's shape
  void scale_channels(const Tensor& scale, const Tensor& x, Tensor& out) const;

  const Projection& projection() const { return projection_; }
  const Tensor& gradient() const { return gradient_; }      // G_low
  const Tensor& normalised() const { return normalised_; }  // N_low
  Tensor* state(Slot slot);
  std::span<const std::unique_ptr<Transform>> chain() const { return chain_; }
  size_t overwritten_by() const { return overwritten_by_; }

 private:
  Projection projection_;
  std::vector<std::unique_ptr<Transform>> chain_;
  size_t overwritten_by_;
  Tensor gradient_, normalised_;
  StepRecord record_;  // of the chain, where somebody asks
};

}  // namespace plumbline::reference
