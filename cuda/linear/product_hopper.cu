// The int8 product on Hopper's warpgroup tensor cores: tiles of 128 tokens x 256 outputs x 128 inputs. One warp copies
// tiles ahead through a ring, two warpgroups multiply 64 tokens each; blocks stay and take tile after tile, so that
// copies of the next one run under the epilogue. Two neighbouring token tiles form a cluster: each copies its own
// tokens and one half of the weight's tile for both.
#include "cuda/linear/hopper.cuh"
#include "cuda/linear/product_hopper.h"

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "compile for sm_90a"
#endif

namespace plumbline::gpu {
namespace {

constexpr int kTokens = 128, kOutputs = 256, kInputs = 128, kStages = 4;
constexpr int kWarpgroup = 128, kConsumers = 2, kThreads = (1 + kConsumers) * kWarpgroup;
constexpr int kXBytes = kTokens * kInputs, kWBytes = kOutputs * kInputs, kStageBytes = kXBytes + kWBytes;
constexpr int kAlignment = 1024;  // of a swizzled box
constexpr size_t kShared = size_t(kStages) * kStageBytes + 2 * kStages * sizeof(uint64_t) + kAlignment;
constexpr int kTurns = 32;  // token tiles that take turns before the next output tile: they share L2

struct Tiles {
  int64_t token_tiles, output_tiles;  // token tiles in whole clusters
};
struct TileIndex {
  int64_t token, output;
};

// The i-th cluster's tile: token tiles of a turn first, so that a tile of the weight is read from memory once.
template <int Cluster>
__device__ TileIndex tile_of(const Tiles& tiles, int64_t i, int rank) {
  constexpr int64_t kGroup = kTurns / Cluster;
  const int64_t rows = tiles.token_tiles / Cluster;
  const int64_t first = i / (kGroup * tiles.output_tiles) * kGroup, left = rows - first;
  const int64_t group = left < kGroup ? left : kGroup, within = i - first * tiles.output_tiles;
  return {(first + within % group) * Cluster + rank, within / group};
}

template <int Cluster>
__device__ void copy_tiles(const CUtensorMap& x, const CUtensorMap& w, const Tiles& tiles, int64_t slabs,
                           std::byte* ring, uint64_t* full, uint64_t* empty) {
  const int rank = Cluster > 1 ? int(cluster_rank()) : 0;
  const int64_t clusters = gridDim.x / Cluster, count = tiles.token_tiles / Cluster * tiles.output_tiles;
  int stage = 0;
  uint32_t phase = 0;
  for (int64_t i = blockIdx.x / Cluster; i < count; i += clusters) {
    const TileIndex tile = tile_of<Cluster>(tiles, i, rank);
    for (int64_t slab = 0; slab < slabs; ++slab) {
      barrier_wait(&empty[stage], phase ^ 1);
      std::byte* const at = ring + stage * kStageBytes;
      barrier_arrive_bytes(&full[stage], kStageBytes);
      const int column = int(slab) * kInputs, row = int(tile.output) * kOutputs;
      copy_box(at, &x, column, int(tile.token) * kTokens, &full[stage]);
      if constexpr (Cluster == 1) {
        copy_box(at + kXBytes, &w, column, row, &full[stage]);
        copy_box(at + kXBytes + kWBytes / 2, &w, column, row + kOutputs / 2, &full[stage]);
      } else {
        copy_box_to(at + kXBytes + rank * (kWBytes / 2), &w, column, row + rank * (kOutputs / 2), &full[stage], 0b11);
      }
      if (++stage == kStages) {
        stage = 0;
        phase ^= 1;
      }
    }
  }
}

// --- epilogue ---
// Four lanes hold two neighbouring results each of a row in columns 8j + 2 (lane % 4). In 16-bit types a transposition
// among them over four j gives each eight neighbours, in float32 one among two lanes over two j gives four: 16 bytes.
__device__ uint32_t exchange(uint32_t x, int distance) { return __shfl_xor_sync(0xffffffffu, x, distance); }

// After it, lane l of four holds the words that lanes 0..3 had in place l.
__device__ void transpose4(uint32_t (&word)[4], int lane) {
#pragma unroll
  for (int distance = 1; distance <= 2; distance *= 2) {
    const bool upper = lane & distance;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & distance) continue;
      const uint32_t give = upper ? word[i] : word[i + distance], got = exchange(give, distance);
      if (upper)
        word[i] = got;
      else
        word[i + distance] = got;
    }
  }
}

template <class T>
__device__ void store_result(const linear::ProductTask& task, int64_t token, int64_t output, float value) {
  if (token < task.tokens && output < task.outputs)
    core::narrow(value, static_cast<T*>(task.y)[token * task.outputs + output]);
}

template <class T>
__device__ void finish_tile(const linear::ProductTask& task, int64_t token, int64_t output, const int32_t (&sum)[128]) {
  const int lane = threadIdx.x % 32, quad = lane % 4;
  token += threadIdx.x % kWarpgroup / 32 * 16 + lane / 4;
  if (task.accumulators != nullptr) {
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        const int64_t t = token + 8 * half, o = output + i / 2 * 8 + 2 * quad + i % 2;
        if (t < task.tokens && o < task.outputs)
          task.accumulators[t * task.outputs + o] = half ? sum[i / 2 * 4 + 2 + i % 2] : sum[i / 2 * 4 + i % 2];
      }
  }
  const bool inside[2] = {token < task.tokens, token + 8 < task.tokens};
  const float x_scale[2] = {inside[0] ? task.x_scale[token] : 0.0f, inside[1] ? task.x_scale[token + 8] : 0.0f};
  constexpr int kColumns = sizeof(T) == 2 ? 4 : 2;  // j of one transposition
  const bool whole = output + kOutputs <= task.outputs && task.outputs % (16 / sizeof(T)) == 0;
#pragma unroll
  for (int j = 0; j < 32; j += kColumns) {
    float2 w_scale[kColumns], bias[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {  // both arrays go on with zeros to a whole tile
      const int64_t o = output + 8 * (j + c) + 2 * quad;
      w_scale[c] = *reinterpret_cast<const float2*>(task.w_scale + o);
      bias[c] = *reinterpret_cast<const float2*>(task.bias + o);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float value[kColumns][2];
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        value[c][0] = linear::output_of(sum[4 * (j + c) + 2 * half], x_scale[half], w_scale[c].x, bias[c].x);
        value[c][1] = linear::output_of(sum[4 * (j + c) + 2 * half + 1], x_scale[half], w_scale[c].y, bias[c].y);
      }
      if (!whole) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const int64_t o = output + 8 * (j + c) + 2 * quad;
          store_result<T>(task, token + 8 * half, o, value[c][0]);
          store_result<T>(task, token + 8 * half, o + 1, value[c][1]);
        }
        continue;
      }
      uint32_t word[4];
      int64_t column = output;
      if constexpr (sizeof(T) == 2) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          T low, high;
          core::narrow(value[c][0], low);
          core::narrow(value[c][1], high);
          word[c] = uint32_t(low.bits) | uint32_t(high.bits) << 16;
        }
        transpose4(word, lane);
        column += 8 * (j + quad);
      } else {
        // lanes 2i and 2i + 1: the even one gets both pairs of column j, the odd one those of column j + 1
        const bool odd = lane & 1;
        const float give[2] = {odd ? value[0][0] : value[1][0], odd ? value[0][1] : value[1][1]};
        const float keep[2] = {odd ? value[1][0] : value[0][0], odd ? value[1][1] : value[0][1]};
        uint32_t got[2], own[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          got[i] = exchange(__float_as_uint(give[i]), 1);
          own[i] = __float_as_uint(core::canonical(keep[i]));
          got[i] = __float_as_uint(core::canonical(__uint_as_float(got[i])));
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          word[i] = odd ? got[i] : own[i];
          word[2 + i] = odd ? own[i] : got[i];
        }
        column += 8 * (j + (odd ? 1 : 0)) + 4 * (quad / 2);
      }
      if (inside[half])
        *reinterpret_cast<uint4*>(static_cast<T*>(task.y) + (token + 8 * half) * task.outputs + column) =
            make_uint4(word[0], word[1], word[2], word[3]);
    }
  }
}

template <class T, int Cluster>
__device__ void multiply_tiles(const linear::ProductTask& task, const Tiles& tiles, int64_t slabs, std::byte* ring,
                               uint64_t* full, uint64_t* empty) {
  const int rank = Cluster > 1 ? int(cluster_rank()) : 0, consumer = int(threadIdx.x) / kWarpgroup - 1;
  const int64_t clusters = gridDim.x / Cluster, count = tiles.token_tiles / Cluster * tiles.output_tiles;
  const bool speaks = threadIdx.x % kWarpgroup == 0;
  // both blocks copy into this one's stage, so both have to know that it is free
  const auto release = [&](int stage) {
    if (!speaks) return;
#pragma unroll
    for (int r = 0; r < Cluster; ++r) barrier_arrive_at(&empty[stage], Cluster > 1 ? r : rank);
  };
  int stage = 0;
  uint32_t phase = 0;
  for (int64_t i = blockIdx.x / Cluster; i < count; i += clusters) {
    const TileIndex tile = tile_of<Cluster>(tiles, i, rank);
    int32_t sum[128];
    int before = -1;
    for (int64_t slab = 0; slab < slabs; ++slab) {
      barrier_wait(&full[stage], phase);
      const uint64_t x = operand_of(ring + stage * kStageBytes + consumer * (kXBytes / kConsumers));
      const uint64_t w = operand_of(ring + stage * kStageBytes + kXBytes);
      settle(sum);
      product_fence();
#pragma unroll
      for (int k = 0; k < kInputs / 32; ++k)
        product_64x256x32(sum, x + 2 * k, w + 2 * k, slab > 0 || k > 0);  // 32 bytes on, in units of 16
      product_commit();
      settle(sum);
      product_wait<1>();  // of the slab before
      if (before >= 0) release(before);
      before = stage;
      if (++stage == kStages) {
        stage = 0;
        phase ^= 1;
      }
    }
    product_wait<0>();
    settle(sum);
    release(before);
    finish_tile<T>(task, tile.token * kTokens + consumer * 64, tile.output * kOutputs, sum);
  }
}

template <class T, int Cluster>
__global__ void __launch_bounds__(kThreads, 1)
    product_hopper(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w,
                   linear::ProductTask task, Tiles tiles) {
  extern __shared__ uint4 raw[];
  // the same offset in every block of a cluster: they are launched alike
  const uint32_t start = shared_address(raw), aligned = (start + kAlignment - 1) / kAlignment * kAlignment;
  std::byte* const ring = reinterpret_cast<std::byte*>(raw) + (aligned - start);
  auto* const full = reinterpret_cast<uint64_t*>(ring + kStages * kStageBytes);
  uint64_t* const empty = full + kStages;
  if (threadIdx.x == 0) {
    prefetch_map(&x);
    prefetch_map(&w);
    for (int s = 0; s < kStages; ++s) {
      barrier_init(&full[s], 1);
      barrier_init(&empty[s], kConsumers * Cluster);
    }
    barrier_init_visible();
  }
  if constexpr (Cluster > 1)
    cluster_barrier();
  else
    __syncthreads();

  const int64_t slabs = task.depth / kInputs;
  if (threadIdx.x < kWarpgroup) {
    fewer_registers<40>();
    if (threadIdx.x == 0) copy_tiles<Cluster>(x, w, tiles, slabs, ring, full, empty);
  } else {
    more_registers<232>();
    multiply_tiles<T, Cluster>(task, tiles, slabs, ring, full, empty);
  }
  // a block stays until the other has nothing more to say to its barriers
  if constexpr (Cluster > 1) {
    __syncwarp();
    cluster_barrier();
  }
}

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

EncodeTiled encoder() {
  static const EncodeTiled function = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found));
    if (found != cudaDriverEntryPointSuccess) throw CudaError("the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<EncodeTiled>(entry);
  }();
  return function;
}

// Boxes of `box` rows x 128 inputs of a matrix of codes; what lies past its last row is read as zeros.
CUtensorMap map_of(const void* codes, int64_t rows, int64_t pitch, int box) {
  CUtensorMap map;
  const cuuint64_t size[] = {cuuint64_t(pitch), cuuint64_t(rows)}, stride[] = {cuuint64_t(pitch)};
  const cuuint32_t boxes[] = {kInputs, cuuint32_t(box)}, step[] = {1, 1};
  const CUresult result = encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, const_cast<void*>(codes), size, stride,
                                    boxes, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                    CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw CudaError("cuTensorMapEncodeTiled failed with error " + std::to_string(int(result)));
  return map;
}

template <class T, int Cluster>
void launch(const linear::ProductTask& task, int multiprocessors, cudaStream_t stream) {
  constexpr auto kernel = product_hopper<T, Cluster>;
  const auto tiles_of = [](int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; };
  Tiles tiles{tiles_of(tiles_of(task.tokens, kTokens), Cluster) * Cluster, tiles_of(task.outputs, kOutputs)};
  const int64_t count = tiles.token_tiles * tiles.output_tiles;
  const CUtensorMap x = map_of(task.x, task.tokens, task.pitch, kTokens);
  const CUtensorMap w = map_of(task.w, task.outputs, task.pitch, kOutputs / 2);

  cudaLaunchConfig_t shape = {};
  shape.gridDim = dim3(unsigned(std::min<int64_t>(count, multiprocessors / Cluster * Cluster)));
  shape.blockDim = dim3(kThreads);
  shape.dynamicSmemBytes = kShared;
  shape.stream = stream;
  cudaLaunchAttribute cluster;
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {Cluster, 1, 1};
  shape.attrs = &cluster;
  shape.numAttrs = 1;
  check(cudaLaunchKernelEx(&shape, kernel, x, w, task, tiles));
}

}  // namespace

bool is_hopper(int device) {
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  return major == 9 && minor == 0;
}

void prepare_product_hopper() {
  const auto prepare = [](auto... kernels) {
    (check(cudaFuncSetAttribute(kernels, cudaFuncAttributeMaxDynamicSharedMemorySize, int(kShared))), ...);
  };
  prepare(product_hopper<core::bf16, 1>, product_hopper<core::bf16, 2>, product_hopper<core::f16, 1>,
          product_hopper<core::f16, 2>, product_hopper<float, 1>, product_hopper<float, 2>);
}

void run_product_hopper(const linear::ProductTask& task, int multiprocessors, bool alone, cudaStream_t stream) {
  const auto run = [&]<class T>(T) {
    if (alone || task.tokens <= kTokens)
      launch<T, 1>(task, multiprocessors, stream);
    else
      launch<T, 2>(task, multiprocessors, stream);
  };
  switch (task.type) {
    case Type::bfloat16:
      return run(core::bf16{});
    case Type::float16:
      return run(core::f16{});
    case Type::float32:
      return run(float{});
  }
}

}  // namespace plumbline::gpu
