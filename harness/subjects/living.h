// Whole lives on the production optimizer.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "cuda/api/optimizer.h"
#include "harness/lives/subject.h"

namespace plumbline::harness {

bool lives_offer(Backend backend, Act act);
std::unique_ptr<LifeSession> begin_life(Backend backend, const Life& life,
                                        std::span<const std::vector<std::byte>> parameters);

}  // namespace plumbline::harness
