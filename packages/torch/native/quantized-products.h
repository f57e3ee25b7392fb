// Lower bounds of squared distances by products of rows of 8-bit (or, without instructions for those, 16-bit) integers.
//
// A row x of norm n becomes q, whole numbers times a scale s: x = s q + e, and |e| ≤ a is measured, not estimated. With y = r p + f of norm m and |f| ≤ b
//   |x·y - s r q·p| ≤ |e·y| + |s q·f| ≤ a m + (n + a) b,
// so that |x|² + |y|² - 2 s r q·p is wrong by twice that at most, and by less than 2^-18 (|x|² + |y|²) for what float32 rounds on the way
// (see product-filter.ts, `filterError`: 2^-20 (n + m)² there, and (n + m)² ≤ 2 n² + 2 m²). Sums of products stay below 2^31: of bytes for up to kMostDimensions, and
// 16-bit rows are scaled by their norm, |q| ≤ 32766.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace conquer {
namespace quantized {

// Rows that are packed together: the first 32-bit words (4 bytes, or 2 16-bit integers) of all of them, then the second.
constexpr int64_t kTogether = 16;
constexpr int64_t kRows = 8;
constexpr int64_t kColumns = 32;
constexpr int64_t kMostDimensions = 65536;
// Of |x|² + |y|², what float32 rounds; and what numbers below the smallest normal one come to.
constexpr float kRounding = 0x1p-17f;
constexpr float kSmallest = 0x1p-90f;

inline int64_t words_of(int64_t dimensions, int64_t bytes) { return (dimensions * bytes + 3) / 4; }
// Whole tiles, of rows and of columns.
inline int64_t places_of(int64_t count) { return (count + kColumns - 1) / kColumns * kColumns; }

// One side; what lies beyond its rows, up to a whole tile, has an infinite square and is never near.
struct Side {
  const uint8_t* packed;
  const float* scales;
  const float* squares;  // |x|²
  const float* norms;
  const float* errors;  // a
  const float* sums;    // Σ q: exact, as long as kMostDimensions holds
};

struct Tile {
  float low[kRows * kColumns];   // than which no squared distance is less
  uint32_t of_rows[kRows];       // which of them do not exceed the row's limit
  uint32_t of_columns[kRows];    // which do not exceed the column's
};

// By how much a product's squared distance may be wrong, but for rounding: twice a m + n b + a b.
inline float error_of(const Side& x, int64_t i, const Side& y, int64_t j) {
  return 2 * (x.errors[i] * (y.norms[j] + y.errors[j]) + x.norms[i] * y.errors[j]);
}

// Than which the squared distance is not more, where `low` is what the tile says.
inline float high_of(float low, const Side& x, int64_t i, const Side& y, int64_t j) {
  return low + 2 * (error_of(x, i, y, j) + 2 * kRounding * (x.squares[i] + y.squares[j]) + 2 * kSmallest);
}

#if defined(__x86_64__) && defined(__GNUC__)

inline bool has_bytes() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"); }
inline bool has_words() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

// sums += unsigned bytes × signed bytes, by fours. GCC 12 makes copies of the sums around its own function for it.
__attribute__((target("avx512f,avx512bw,avx512vnni"), always_inline)) inline void add_products(__m512i& sums, __m512i unsigned_bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(unsigned_bytes), "v"(signed_bytes));
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) inline void tile_bytes(const Side& rows, int64_t row, const float* row_limits, const Side& columns, int64_t column,
                                                                             const float* column_limits, int64_t words, Tile& to) {
  const uint8_t* a = rows.packed + row / kTogether * kTogether * 4 * words + row % kTogether * 4;
  const uint8_t* b = columns.packed + column * 4 * words;
  const int64_t half = 64 * words;
  // The instruction multiplies unsigned bytes with signed ones: 128 is added to the columns' and taken off again by the rows' sums.
  const __m512i flip = _mm512_set1_epi8(-128);
  __m512i sums[kRows][2];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm512_set1_epi32(static_cast<int32_t>(-128 * rows.sums[row + i]));
  for (int64_t p = 0; p < words; ++p, a += 64, b += 64) {
    const __m512i first = _mm512_xor_si512(_mm512_loadu_si512(b), flip);
    const __m512i second = _mm512_xor_si512(_mm512_loadu_si512(b + half), flip);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      int32_t word;
      std::memcpy(&word, a + 4 * i, sizeof word);
      const __m512i x = _mm512_set1_epi32(word);
      add_products(sums[i][0], first, x);
      add_products(sums[i][1], second, x);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) to.of_rows[i] = to.of_columns[i] = 0;
#pragma GCC unroll 2
  for (int half_at = 0; half_at < 2; ++half_at) {
    const int64_t at = column + 16 * half_at;
    const __m512 scales = _mm512_loadu_ps(columns.scales + at), errors = _mm512_loadu_ps(columns.errors + at);
    const __m512 norms = _mm512_add_ps(_mm512_loadu_ps(columns.norms + at), errors);
    const __m512 squares = _mm512_mul_ps(_mm512_loadu_ps(columns.squares + at), _mm512_set1_ps(1 - kRounding));
    const __m512 most = _mm512_loadu_ps(column_limits + 16 * half_at);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const float* const square = rows.squares + row + i;
      const __m512 product = _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(0xffff, sums[i][half_at]), _mm512_mul_ps(scales, _mm512_set1_ps(2 * rows.scales[row + i])));
      __m512 low = _mm512_add_ps(squares, _mm512_set1_ps(*square * (1 - kRounding) - kSmallest));
      low = _mm512_fnmadd_ps(_mm512_set1_ps(2 * rows.errors[row + i]), norms, low);
      low = _mm512_fnmadd_ps(_mm512_set1_ps(2 * rows.norms[row + i]), errors, low);
      low = _mm512_sub_ps(low, product);
      _mm512_storeu_ps(to.low + i * kColumns + 16 * half_at, low);
      to.of_rows[i] |= static_cast<uint32_t>(_mm512_cmp_ps_mask(low, _mm512_set1_ps(row_limits[i]), _CMP_LE_OQ)) << (16 * half_at);
      to.of_columns[i] |= static_cast<uint32_t>(_mm512_cmp_ps_mask(low, most, _CMP_LE_OQ)) << (16 * half_at);
    }
  }
}

// The same of 16-bit integers, of four rows and sixteen columns at a time, as there are half as many registers.
__attribute__((target("avx2,fma"))) inline void tile_words(const Side& rows, int64_t row, const float* row_limits, const Side& columns, int64_t column,
                                                           const float* column_limits, int64_t words, Tile& to) {
  for (int i = 0; i < kRows; ++i) to.of_rows[i] = to.of_columns[i] = 0;
  for (int64_t part = 0; part < 4; ++part) {
    const int64_t first_row = row + part / 2 * 4, first_column = column + part % 2 * 16;
    const uint8_t* a = rows.packed + first_row / kTogether * kTogether * 4 * words + first_row % kTogether * 4;
    const uint8_t* b = columns.packed + first_column * 4 * words;
    __m256i sums[4][2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i][0] = sums[i][1] = _mm256_setzero_si256();
    for (int64_t p = 0; p < words; ++p, a += 64, b += 64) {
      const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
      const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 32));
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        int32_t word;
        std::memcpy(&word, a + 4 * i, sizeof word);
        const __m256i x = _mm256_set1_epi32(word);
        sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(x, first));
        sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(x, second));
      }
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = first_column + 8 * half, shift = at - column;
      const __m256 scales = _mm256_loadu_ps(columns.scales + at), errors = _mm256_loadu_ps(columns.errors + at);
      const __m256 norms = _mm256_add_ps(_mm256_loadu_ps(columns.norms + at), errors);
      const __m256 squares = _mm256_mul_ps(_mm256_loadu_ps(columns.squares + at), _mm256_set1_ps(1 - kRounding));
      const __m256 most = _mm256_loadu_ps(column_limits + shift);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int64_t own = first_row + i;
        const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[i][half]), _mm256_mul_ps(scales, _mm256_set1_ps(2 * rows.scales[own])));
        __m256 low = _mm256_add_ps(squares, _mm256_set1_ps(rows.squares[own] * (1 - kRounding) - kSmallest));
        low = _mm256_fnmadd_ps(_mm256_set1_ps(2 * rows.errors[own]), norms, low);
        low = _mm256_fnmadd_ps(_mm256_set1_ps(2 * rows.norms[own]), errors, low);
        low = _mm256_sub_ps(low, product);
        _mm256_storeu_ps(to.low + (own - row) * kColumns + shift, low);
        to.of_rows[own - row] |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(low, _mm256_set1_ps(row_limits[own - row]), _CMP_LE_OQ))) << shift;
        to.of_columns[own - row] |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(low, most, _CMP_LE_OQ))) << shift;
      }
    }
  }
}

#else

inline bool has_bytes() { return false; }
inline bool has_words() { return false; }
inline void tile_bytes(const Side&, int64_t, const float*, const Side&, int64_t, const float*, int64_t, Tile&) {}
inline void tile_words(const Side&, int64_t, const float*, const Side&, int64_t, const float*, int64_t, Tile&) {}

#endif

inline void tile(int64_t bytes, const Side& rows, int64_t row, const float* row_limits, const Side& columns, int64_t column, const float* column_limits, int64_t words,
                 Tile& to) {
  (bytes == 1 ? tile_bytes : tile_words)(rows, row, row_limits, columns, column, column_limits, words, to);
}

}  // namespace quantized
}  // namespace conquer
