// Squared distances from differences, in float32: for what need not be more precise.
#pragma once

#include "row-products.h"

namespace conquer {
namespace distances {

template <int64_t kWidth>
inline __attribute__((always_inline)) float single_of(const float* a, const float* b, int64_t dimensions) {
  using Lanes = typename products::Register<kWidth>::Lanes;
  Lanes sums[4] = {};
  int64_t d = 0;
  const auto add = [&](Lanes& sum, int64_t at) {
    Lanes x, y;
    std::memcpy(&x, a + at, sizeof x);
    std::memcpy(&y, b + at, sizeof y);
    const Lanes gap = x - y;
    sum += gap * gap;
  };
  for (; d + 4 * kWidth <= dimensions; d += 4 * kWidth) {
#pragma GCC unroll 4  // else the sums are kept in memory, not in registers
    for (int part = 0; part < 4; ++part) add(sums[part], d + part * kWidth);
  }
  for (; d + kWidth <= dimensions; d += kWidth) add(sums[0], d);
  const Lanes together = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  float sum = 0;
#pragma GCC unroll 16
  for (int lane = 0; lane < kWidth; ++lane) sum += together[lane];
  for (; d < dimensions; ++d) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

using Single = float (*)(const float*, const float*, int64_t);
inline float single_plain(const float* a, const float* b, int64_t dimensions) { return single_of<4>(a, b, dimensions); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) inline float single_avx2(const float* a, const float* b, int64_t dimensions) { return single_of<8>(a, b, dimensions); }
__attribute__((target("avx512f"))) inline float single_avx512(const float* a, const float* b, int64_t dimensions) { return single_of<16>(a, b, dimensions); }
inline Single best_single() {
  return __builtin_cpu_supports("avx512f") ? single_avx512 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? single_avx2 : single_plain;
}
#else
inline Single best_single() { return single_plain; }
#endif

}  // namespace distances

// Between these it is what its bound says: neither has anything overflowed, nor do squares count that are too small for float32.
constexpr float kLeastSingle = 0x1p-60f, kMostSingle = 0x1p100f;

// Σ (a - b)², wrong by (dimensions + 8) 2^-24 of itself at most
inline float single_squared_distance(const float* a, const float* b, int64_t dimensions) {
  static const distances::Single best = distances::best_single();
  return best(a, b, dimensions);
}

}  // namespace conquer
