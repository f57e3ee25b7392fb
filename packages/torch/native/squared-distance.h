// Squared distances from differences, in double: what decides which of two rows is nearer.
//
// A plain sum depends on the order of its terms, so that equal distances with their terms in other places, as between
// rows of signs, come out unequal in the last digit, and chance would order them. Here each term is cut in two, at
// multiples so coarse that sums of them are exact in any order: what is left of the second cut is 2^-80 of the largest
// term. So equal sums of exact terms are equal, on every processor, whatever it adds first. (product-filter.ts: the same
// in operators is `sumOfSquares`.)
#pragma once

#include <cstdint>
#include <cstring>

namespace conquer {
namespace distances {

using Doubles = double __attribute__((vector_size(32)));
using Floats = float __attribute__((vector_size(16)));
constexpr int64_t kLanes = 4;

inline __attribute__((always_inline)) void differences(const float* a, const float* b, Doubles& to) {
  Floats x, y;
  std::memcpy(&x, a, sizeof x);
  std::memcpy(&y, b, sizeof y);
  to = __builtin_convertvector(x, Doubles) - __builtin_convertvector(y, Doubles);
}

struct Cut {
  double coarse, fine;

  // For `count` terms of at most `largest`: (term + coarse) - coarse is a multiple of coarse / 2^53 or of twice that, and
  // all of them together are less than coarse.
  Cut(double largest, int64_t count) {
    double terms = 4;
    while (terms < 2 * static_cast<double>(count)) terms *= 2;
    coarse = largest * terms;
    fine = coarse * 0x1p-52 * terms;
  }
};

inline __attribute__((always_inline)) double squared_distance(const float* a, const float* b, int64_t dimensions) {
  Doubles most = {};
  int64_t d = 0;
  for (; d + kLanes <= dimensions; d += kLanes) {
    Doubles gap;
    differences(a + d, b + d, gap);
    const Doubles square = gap * gap;
    most = square > most ? square : most;
  }
  double largest = 0;
  for (int lane = 0; lane < kLanes; ++lane) largest = most[lane] > largest ? most[lane] : largest;
  for (int64_t i = d; i < dimensions; ++i) {
    const double gap = static_cast<double>(a[i]) - b[i];
    largest = gap * gap > largest ? gap * gap : largest;
  }
  if (!(largest > 0)) return largest;
  const Cut cut(largest, dimensions);
  Doubles coarse = {}, fine = {};
  d = 0;
  for (; d + kLanes <= dimensions; d += kLanes) {
    Doubles gap;
    differences(a + d, b + d, gap);
    const Doubles square = gap * gap;
    const Doubles part = (square + cut.coarse) - cut.coarse;
    coarse += part;
    fine += ((square - part) + cut.fine) - cut.fine;
  }
  double coarse_sum = (coarse[0] + coarse[1]) + (coarse[2] + coarse[3]);
  double fine_sum = (fine[0] + fine[1]) + (fine[2] + fine[3]);
  for (; d < dimensions; ++d) {
    const double gap = static_cast<double>(a[d]) - b[d], square = gap * gap;
    const double part = (square + cut.coarse) - cut.coarse;
    coarse_sum += part;
    fine_sum += ((square - part) + cut.fine) - cut.fine;
  }
  return coarse_sum + fine_sum;
}

// A plain sum: at less than half the time, wrong by (dimensions + 8) 2^-53 of itself at most, as no term is negative.
inline __attribute__((always_inline)) double plain_squared_distance(const float* a, const float* b, int64_t dimensions) {
  Doubles sums[4] = {};
  int64_t d = 0;
  for (; d + 4 * kLanes <= dimensions; d += 4 * kLanes) {
    for (int part = 0; part < 4; ++part) {
      Doubles gap;
      differences(a + d + part * kLanes, b + d + part * kLanes, gap);
      sums[part] += gap * gap;
    }
  }
  const Doubles together = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double sum = (together[0] + together[1]) + (together[2] + together[3]);
  for (; d < dimensions; ++d) {
    const double gap = static_cast<double>(a[d]) - b[d];
    sum += gap * gap;
  }
  return sum;
}

#if defined(__x86_64__) && defined(__GNUC__)
// Without fused multiply-adds: the result is the same.
__attribute__((target("avx2"))) inline double with_avx2(const float* a, const float* b, int64_t dimensions) {
  return squared_distance(a, b, dimensions);
}
__attribute__((target("avx2"))) inline double plain_with_avx2(const float* a, const float* b, int64_t dimensions) {
  return plain_squared_distance(a, b, dimensions);
}
inline const bool has_avx2 = __builtin_cpu_supports("avx2");
#endif

}  // namespace distances

// Σ (a - b)²
inline double squared_distance(const float* a, const float* b, int64_t dimensions) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (distances::has_avx2) return distances::with_avx2(a, b, dimensions);
#endif
  return distances::squared_distance(a, b, dimensions);
}

// Σ (a - b)², wrong by (dimensions + 8) 2^-53 of itself at most
inline double plain_squared_distance(const float* a, const float* b, int64_t dimensions) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (distances::has_avx2) return distances::plain_with_avx2(a, b, dimensions);
#endif
  return distances::plain_squared_distance(a, b, dimensions);
}

}  // namespace conquer
