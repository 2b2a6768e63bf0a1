// What a soak does to one device, piece by piece. Each piece compares its results with known answers of the host and
// logs every word that differs. The same source runs on the GPU and under the emulator.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/diagnostics/chain.h"
#include "cuda/diagnostics/pattern.h"

namespace plumbline::diagnostics {

// One word that was not what it had to be.
struct Miscompare {
  uint64_t expected = 0, actual = 0;
  uint64_t where = 0;  // memory, cache: byte of the buffer; shared: byte of the block's shared memory; else the thread
  uint64_t address = 0;      // on the device; 0 outside global memory
  uint64_t nanoseconds = 0;  // the device's clock
  uint32_t block = 0, multiprocessor = 0;
};
struct PieceResult {
  uint64_t miscompares = 0;        // all of them
  std::vector<Miscompare> logged;  // the first few
  bool sum_wrong = false;          // the sum that the host took is not the known one (also when nothing was logged)
  uint64_t bytes = 0;              // moved
  uint64_t results = 0;            // of operations, taken into checksums
  double seconds = 0;
  bool good() const { return miscompares == 0 && !sum_wrong; }
};

// One deliberate fault in a tensor of results.
struct OutputFault {
  static constexpr int64_t kTile = 2048;
  ChainFault::Kind kind = ChainFault::Kind::none;
  int64_t element = 0;  // dropped_block: any of the tile's
  int amount = 0;       // as of ChainFault
  // stuck: the word did not take its new value; dropped_block: a whole tile did not.
  PLUMBLINE_HD float value_of(int64_t i, float clean, float before) const {
    if (kind == ChainFault::Kind::dropped_block) return i / kTile == element / kTile ? before : clean;
    if (i != element || kind == ChainFault::Kind::none) return clean;
    return kind == ChainFault::Kind::stuck ? before : ChainFault{kind, 0, 0, 0, 0, amount}.apply(clean);
  }
};
PLUMBLINE_HD bool outside_tolerance(float a, float b) {
  const double difference = double(a) - double(b), allowed = 1e-3 * magnitude(double(b));
  return !(magnitude(difference) <= allowed || core::to_bits(a) == core::to_bits(b));
}
struct OutputVerdict {
  bool by_hash = false;       // the hash is not the known one
  bool by_tolerance = false;  // a comparison of the device with itself, tolerance 1e-3, saw it
};

class SoakEngine {
 public:
  static constexpr int kLogged = 64;
  virtual ~SoakEngine() = default;
  virtual uint64_t memory_bytes() const = 0;  // of the buffer under test
  virtual int blocks() const = 0;             // of the arithmetic, all at once on the device

  virtual void fill(const Pattern& pattern) = 0;
  // Reads and compares every word, writes `next` in its place.
  virtual PieceResult exchange(const Pattern& pattern, const Pattern& next) = 0;
  // Reads the first `bytes` again and again, through the caches.
  virtual PieceResult reread(const Pattern& pattern, uint64_t bytes, int times) = 0;
  // Copies one half of the buffer to the other: the rate that a memory phase is measured by.
  virtual PieceResult copy() = 0;
  // All shared memory of every multiprocessor, written and read `times` times.
  virtual PieceResult shared(const Pattern& pattern, int times) = 0;
  // The chain on all multiprocessors, `launches` times; `known` holds the checksum of each of kChainThreads threads.
  virtual PieceResult arithmetic(uint32_t seed, int iterations, const std::vector<uint64_t>& known, int launches,
                                 const ChainFault& fault) = 0;
  // Integer matrix products of the tensor cores; nothing where the device has none of that kind.
  virtual bool has_tensor() const = 0;
  virtual PieceResult tensor(uint32_t seed, int iterations, const std::vector<uint64_t>& known, int launches) = 0;
  // Results of a step and what was there before it, as the judges' material; at most an eighth of the buffer.
  virtual void load_output(const std::vector<float>& clean, const std::vector<float>& before) = 0;
  virtual OutputVerdict judge_output(const OutputFault& fault, uint64_t known_hash) = 0;
  // For tests of the soak itself: one bit of the buffer.
  virtual void flip(uint64_t byte, int bit) = 0;
};

// bytes = 0: nine tenths of what is free. Throws CudaError, std::bad_alloc.
std::unique_ptr<SoakEngine> make_gpu_soak(int device, uint64_t bytes);
std::unique_ptr<SoakEngine> make_emulated_soak(uint64_t bytes, uint64_t schedule_seed);

// Known answers, from the host.
std::vector<uint64_t> chain_answers(uint32_t seed, int iterations, int threads);
std::vector<uint64_t> tensor_answers(uint32_t seed, int iterations);  // of the 32 lanes of a warp
uint64_t output_hash(const std::vector<float>& values);

}  // namespace plumbline::diagnostics
