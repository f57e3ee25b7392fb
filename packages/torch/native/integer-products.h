// Squared distances by products of 16-bit integers: nearly twice as fast as products of float32, and a bound says by how much they
// may be wrong.
//
// A row x of norm n becomes q = round(x · kUnit / n), so that x = x̂ + e with x̂ = q n / kUnit. Each of the D numbers of q is off by half
// a step, and by 0.004 of one for the rounding of the product: |e| ≤ ρ n with ρ = 0.505 √D / kUnit. With y = ŷ + f of norm m likewise
//   |x·y - x̂·ŷ| ≤ |e·ŷ| + |x̂·f| + |e·f| ≤ n m (2 ρ (1 + ρ) + ρ²),
// and as n m ≤ (n + m)² / 4, |x|² + |y|² - 2 x̂·ŷ is wrong by (ρ + 3/2 ρ²) (n + m)² at most, and by less
// than 2^-20 (n + m)² for what float32 rounds on the way (product-filter.ts: `filterError` has the number). No sum of products leaves 32 bits: |q||r| is less than 2^31.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace conquer {
namespace integers {

constexpr float kUnit = 32766;
// Rows of a tile, and its columns. A side's rows are packed so many together: the first pairs of numbers of all of them, then the
// second, as one 32-bit word each.
constexpr int64_t kRows = 4;
constexpr int64_t kColumns = 16;

inline int64_t pairs_of(int64_t dimensions) { return (dimensions + 1) / 2; }

// What is known of rows of one side besides their packed numbers.
struct Rows {
  const float* squares;
  const float* norms;
  const int32_t* packed;
};

#if defined(__x86_64__) && defined(__GNUC__)

inline bool there() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

// Eight numbers, of which `some` pairs count, into the words of a row.
__attribute__((target("avx2,fma"))) inline void pack_eight(const float* numbers, __m256 scale, int64_t some, int64_t together, int32_t* to) {
  const __m256i whole = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(numbers), scale));
  alignas(32) int32_t words[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), _mm256_packs_epi32(whole, whole));
  const int32_t four[4] = {words[0], words[1], words[4], words[5]};
  for (int64_t i = 0; i < some; ++i) to[i * together] = four[i];
}

// One row into its place among `together` of them; the words between its own are the others'.
__attribute__((target("avx2,fma"))) inline void pack(const float* row, int64_t dimensions, float norm, int64_t together, int32_t* to) {
  const __m256 scale = _mm256_set1_ps(norm > 0 ? kUnit / norm : 0);
  int64_t d = 0;
  for (; d + 8 <= dimensions; d += 8) pack_eight(row + d, scale, 4, together, to + d / 2 * together);
  if (d == dimensions) return;
  float rest[8] = {};
  std::memcpy(rest, row + d, static_cast<size_t>(dimensions - d) * sizeof(float));
  pack_eight(rest, scale, pairs_of(dimensions) - d / 2, together, to + d / 2 * together);
}

// A tile of squared distances (kRows, kColumns), and which of them do not exceed their row's or their column's threshold, as bits.
__attribute__((target("avx2,fma"))) inline void tile(const Rows& rows, int64_t row, const float* row_thresholds, const Rows& columns, int64_t column,
                                                     const float* column_thresholds, int64_t pairs, float* to, uint32_t* bits) {
  const int32_t* a = rows.packed + row * pairs;
  const int32_t* b = columns.packed + column * pairs;
  __m256i sums[kRows][2];
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm256_setzero_si256();
  for (int64_t p = 0; p < pairs; ++p, a += kRows, b += kColumns) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 8));
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const __m256i x = _mm256_set1_epi32(a[i]);
      sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(x, first));
      sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(x, second));
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
    const __m256 square = _mm256_set1_ps(rows.squares[row + i]), most = _mm256_set1_ps(row_thresholds[i]);
    const __m256 factor = _mm256_set1_ps(rows.norms[row + i] * (2 / (kUnit * kUnit)));
    bits[i] = 0;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = column + 8 * half;
      const __m256 product = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[i][half]), factor), _mm256_loadu_ps(columns.norms + at));
      const __m256 distance = _mm256_sub_ps(_mm256_add_ps(square, _mm256_loadu_ps(columns.squares + at)), product);
      _mm256_storeu_ps(to + i * kColumns + 8 * half, distance);
      const __m256 near = _mm256_or_ps(_mm256_cmp_ps(distance, most, _CMP_LE_OQ), _mm256_cmp_ps(distance, _mm256_loadu_ps(column_thresholds + 8 * half), _CMP_LE_OQ));
      bits[i] |= static_cast<uint32_t>(_mm256_movemask_ps(near)) << (8 * half);
    }
  }
}

#else

inline bool there() { return false; }
inline void pack(const float*, int64_t, float, int64_t, int32_t*) {}
inline void tile(const Rows&, int64_t, const float*, const Rows&, int64_t, const float*, int64_t, float*, uint32_t*) {}

#endif

}  // namespace integers
}  // namespace conquer
