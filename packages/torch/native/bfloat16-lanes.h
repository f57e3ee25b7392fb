// Sixteen numbers at a time, for the kernels of bfloat16. Included by files without headers of libtorch alone, for what is inline here is compiled for newer
// processors.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define CONQUER_HAS_BFLOAT16

#include <cstdint>
#include <immintrin.h>

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"  // both of GCC 12's own header

#define WITH_BFLOAT16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace conquer {
namespace bfloat16 {

WITH_BFLOAT16 inline __m512 widen(__m256i half) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)); }

WITH_BFLOAT16 inline __m256i narrow(__m512 numbers) { return (__m256i)_mm512_cvtneps_pbh(numbers); }

WITH_BFLOAT16 inline __m256i load(const uint16_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

WITH_BFLOAT16 inline void store(uint16_t* to, __m256i half) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half); }

WITH_BFLOAT16 inline __mmask16 first_lanes(int64_t count) { return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1); }

WITH_BFLOAT16 inline __m512i multiples_of(int64_t number) {
  return _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(static_cast<int>(number)));
}

// The number of each lane of both rows' pairs, of the first or the second sixteen.
WITH_BFLOAT16 inline __m512i lanes_of_pairs(bool second) {
  alignas(64) uint16_t lanes[32];
  for (int i = 0; i < 16; ++i) {
    lanes[2 * i] = static_cast<uint16_t>((second ? 16 : 0) + i);
    lanes[2 * i + 1] = static_cast<uint16_t>(lanes[2 * i] + 32);
  }
  return _mm512_load_si512(lanes);
}


}  // namespace bfloat16
}  // namespace conquer

#endif
