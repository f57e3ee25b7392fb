// Products of a few queries with rows that are looked at once: what a matrix times a vector costs, and less than BLAS takes
// for it, as nothing of it is written. In any order and fused or not: their error bound holds for all.
#pragma once

#include <cstdint>
#include <cstring>

namespace conquer {
namespace products {

// A register of the processor, no more: where it has half of that, GCC 12 takes vectors apart in memory, and a pass takes 1.7 times as long.
template <int64_t kWidth>
struct Register {
  typedef float Lanes __attribute__((vector_size(kWidth * sizeof(float))));
};

template <int64_t kWidth>
inline __attribute__((always_inline)) float product(const float* a, const float* b, int64_t dimensions) {
  using Lanes = typename Register<kWidth>::Lanes;
  Lanes sums[4] = {};
  int64_t d = 0;
  const auto add = [&](Lanes& sum, int64_t at) {
    Lanes x, y;
    std::memcpy(&x, a + at, sizeof x);
    std::memcpy(&y, b + at, sizeof y);
    sum += x * y;
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
  for (; d < dimensions; ++d) sum += a[d] * b[d];
  return sum;
}

// to (queries, rows) = squares - 2 x·y
template <int64_t kWidth>
inline __attribute__((always_inline)) void scan(const float* queries, int64_t count, const float* rows, const float* squares, int64_t some,
                                                int64_t dimensions, float* to) {
  for (int64_t j = 0; j < some; ++j) {
    for (int64_t i = 0; i < count; ++i) {
      to[i * some + j] = squares[j] - 2 * product<kWidth>(queries + i * dimensions, rows + j * dimensions, dimensions);
    }
  }
}

using Scan = void (*)(const float*, int64_t, const float*, const float*, int64_t, int64_t, float*);
inline void plain_scan(const float* queries, int64_t count, const float* rows, const float* squares, int64_t some, int64_t dimensions, float* to) {
  scan<4>(queries, count, rows, squares, some, dimensions, to);
}
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) inline void scan_avx2(const float* queries, int64_t count, const float* rows, const float* squares, int64_t some,
                                               int64_t dimensions, float* to) {
  scan<8>(queries, count, rows, squares, some, dimensions, to);
}
__attribute__((target("avx512f"))) inline void scan_avx512(const float* queries, int64_t count, const float* rows, const float* squares,
                                                    int64_t some, int64_t dimensions, float* to) {
  scan<16>(queries, count, rows, squares, some, dimensions, to);
}
inline Scan best_scan() {
  return __builtin_cpu_supports("avx512f") ? scan_avx512 : __builtin_cpu_supports("avx2") ? scan_avx2 : plain_scan;
}
#else
inline Scan best_scan() { return plain_scan; }
#endif

}  // namespace products

using products::best_scan;
using products::Scan;

}  // namespace conquer
