// build: -O3 -fno-trapping-math
#include "bfloat16-kernel.h"
#include "error-function.h"

#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"  // of GCC 12's own header

#define WITH_BFLOAT16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace conquer {
namespace bfloat16 {
namespace {

// A tile of sums: as many channels of a, and of b (two vectors).
constexpr int64_t kTileRows = 8;
constexpr int64_t kTileColumns = 32;

WITH_BFLOAT16 inline __m512 widen(__m256i half) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)); }

WITH_BFLOAT16 inline __m256i narrow(__m512 numbers) { return (__m256i)_mm512_cvtneps_pbh(numbers); }

WITH_BFLOAT16 inline __m256i load(const uint16_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

WITH_BFLOAT16 inline void store(uint16_t* to, __m256i half) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half); }

WITH_BFLOAT16 inline __mmask16 first_lanes(int64_t count) { return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1); }

WITH_BFLOAT16 inline __m512i multiples_of(int64_t number) {
  return _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(static_cast<int>(number)));
}

// Every taps-th number, `apart` being the multiples of taps; of other lanes 0.
WITH_BFLOAT16 inline __m512 gather(const float* from, int64_t taps, __m512i apart, __mmask16 some) {
  return taps == 1 ? _mm512_maskz_loadu_ps(some, from) : _mm512_mask_i32gather_ps(_mm512_setzero_ps(), some, apart, from, 4);
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


// a in panels of kTileRows channels: (panel, pair, channel).
WITH_BFLOAT16 void pack_a(const uint16_t* const* rows, int64_t pairs, Range range, uint32_t* to) {
  const __m512i low = lanes_of_pairs(false), high = lanes_of_pairs(true);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const uint16_t *const one = rows[2 * pair] + range.begin, *const other = rows[2 * pair + 1] + range.begin;
    for (int64_t channel = 0; channel < range.size(); channel += kChannels) {
      const __m512i x = _mm512_loadu_si512(one + channel), y = _mm512_loadu_si512(other + channel);
      const __m512i first = _mm512_permutex2var_epi16(x, low, y), second = _mm512_permutex2var_epi16(x, high, y);
      uint32_t* const panel = to + channel * pairs + pair * kTileRows;
      const int64_t next = kTileRows * pairs;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel), _mm512_castsi512_si256(first));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + next), _mm512_extracti64x4_epi64(first, 1));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + 2 * next), _mm512_castsi512_si256(second));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + 3 * next), _mm512_extracti64x4_epi64(second, 1));
    }
  }
}

// b in panels of kTileColumns channels: (panel, pair, channel).
WITH_BFLOAT16 void pack_b(const uint16_t* const* rows, int64_t pairs, Range range, uint32_t* to) {
  const __m512i low = lanes_of_pairs(false), high = lanes_of_pairs(true);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const uint16_t *const one = rows[2 * pair] + range.begin, *const other = rows[2 * pair + 1] + range.begin;
    for (int64_t channel = 0; channel < range.size(); channel += kTileColumns) {
      const __m512i x = _mm512_loadu_si512(one + channel), y = _mm512_loadu_si512(other + channel);
      uint32_t* const panel = to + channel * pairs + pair * kTileColumns;
      _mm512_storeu_si512(panel, _mm512_permutex2var_epi16(x, low, y));
      _mm512_storeu_si512(panel + 16, _mm512_permutex2var_epi16(x, high, y));
    }
  }
}

WITH_BFLOAT16 void tile(const uint32_t* a, const uint32_t* b, int64_t pairs, bool first, float* sums, int64_t apart) {
  __m512 of[kTileRows][2];
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
    of[i][0] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * apart);
    of[i][1] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * apart + 16);
  }
  for (int64_t pair = 0; pair < pairs; ++pair, a += kTileRows, b += kTileColumns) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(b), high = (__m512bh)_mm512_loadu_si512(b + 16);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
      const __m512bh factor = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[i]));
      of[i][0] = _mm512_dpbf16_ps(of[i][0], factor, low);
      of[i][1] = _mm512_dpbf16_ps(of[i][1], factor, high);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
    _mm512_storeu_ps(sums + i * apart, of[i][0]);
    _mm512_storeu_ps(sums + i * apart + 16, of[i][1]);
  }
}

// kRows rows times a panel of kTileColumns columns.
WITH_BFLOAT16 inline __attribute__((always_inline)) void sums_of_rows(const uint16_t* const* rows, int64_t pairs, const uint32_t* panel, __m512 (&of)[kRows][2]) {
  const uint32_t* from[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    from[i] = reinterpret_cast<const uint32_t*>(rows[i]);
    of[i][0] = of[i][1] = _mm512_setzero_ps();
  }
  for (int64_t pair = 0; pair < pairs; ++pair, panel += kTileColumns) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(panel), high = (__m512bh)_mm512_loadu_si512(panel + 16);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m512bh factor = (__m512bh)_mm512_set1_epi32(static_cast<int>(from[i][pair]));
      of[i][0] = _mm512_dpbf16_ps(of[i][0], factor, low);
      of[i][1] = _mm512_dpbf16_ps(of[i][1], factor, high);
    }
  }
}

WITH_BFLOAT16 void tile_of_rows(const uint16_t* const* rows, int64_t count, int64_t pairs, const uint32_t* panel, int64_t column, const Finish& finish,
                                int64_t apart, uint16_t* y) {
  __m512 of[kRows][2];
  sums_of_rows(rows, pairs, panel, of);
  const __m512 zero = _mm512_setzero_ps();
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    if (i >= count) continue;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = i * apart + column + half * 16;
      __m512 sum = of[i][half];
      if (finish.bias != nullptr) sum = _mm512_add_ps(sum, _mm512_loadu_ps(finish.bias + column + half * 16));
      if (finish.residual != nullptr) sum = _mm512_add_ps(sum, widen(load(finish.residual + at)));
      if (finish.relu) sum = _mm512_max_ps(zero, sum);
      store(y + at, narrow(sum));
    }
  }
}

WITH_BFLOAT16 void tile_of_floats(const uint16_t* const* rows, int64_t count, int64_t pairs, const uint32_t* panel, int64_t apart, float* y) {
  __m512 of[kRows][2];
  sums_of_rows(rows, pairs, panel, of);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    if (i >= count) continue;
    _mm512_storeu_ps(y + i * apart, of[i][0]);
    _mm512_storeu_ps(y + i * apart + 16, of[i][1]);
  }
}

template <int kCount>
WITH_BFLOAT16 inline __m512 polynomial(const float (&coefficients)[kCount], __m512 t) {
  __m512 sum = _mm512_set1_ps(coefficients[0]);
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(coefficients[i]));
  return sum;
}

// Φ(x)
WITH_BFLOAT16 inline __m512 normal_distribution(__m512 x) {
  using namespace error_function;
  const __m512 one = _mm512_set1_ps(1), limit = _mm512_set1_ps(kOne);
  const __m512 z = _mm512_mul_ps(x, _mm512_set1_ps(0.70710678118654752f));
  const __m512 t = _mm512_mul_ps(z, z);
  __m512 value = _mm512_div_ps(_mm512_mul_ps(z, polynomial(kNumerator, t)), polynomial(kDenominator, t));
  value = _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(z, limit, _CMP_GT_OQ), one);
  value = _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(z, _mm512_sub_ps(_mm512_setzero_ps(), limit), _CMP_LT_OQ), _mm512_set1_ps(-1));
  return _mm512_mul_ps(_mm512_set1_ps(0.5f), _mm512_add_ps(one, value));
}

// e^t of t ≤ 0, to some 1e-6: a power of 2, and a polynomial of what is left of the exponent.
WITH_BFLOAT16 inline __m512 exponential(__m512 t) {
  // 2^x from -1/2 to 1/2.
  constexpr float kPower[] = {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f};
  const __m512 near = _mm512_max_ps(_mm512_set1_ps(-200), t);  // of a NaN the second operand
  const __m512 exponent = _mm512_mul_ps(near, _mm512_set1_ps(1.44269504088896341f));
  const __m512 whole = _mm512_roundscale_ps(exponent, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_scalef_ps(polynomial(kPower, _mm512_sub_ps(exponent, whole)), whole);
}

}  // namespace

bool is_fast() {
  __builtin_cpu_init();
  static const bool fast = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512dq") && !__builtin_cpu_supports("amx-bf16");
  return fast;
}

WITH_BFLOAT16 void fold_weights(const float* weight, const float* scale, int64_t begin, int64_t end, int64_t inputs, int64_t taps, uint16_t* to) {
  const __m512i apart = multiples_of(taps);
  for (int64_t output = begin; output < end; ++output) {
    const __m512 by = _mm512_set1_ps(scale == nullptr ? 1 : scale[output]);
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float* const from = weight + output * inputs * taps + tap;
      uint16_t* const row = to + (output * taps + tap) * inputs;
      for (int64_t input = 0; input < inputs; input += 16) {
        const __mmask16 some = first_lanes(inputs - input);
        _mm256_mask_storeu_epi16(row + input, some, narrow(_mm512_mul_ps(gather(from + input * taps, taps, apart, some), by)));
      }
    }
  }
}

WITH_BFLOAT16 void add_and_relu(uint16_t* y, const uint16_t* residual, int64_t count) {
  const __m512 zero = _mm512_setzero_ps();
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m512 sum = widen(load(y + i));
    if (residual != nullptr) sum = _mm512_add_ps(sum, widen(load(residual + i)));
    store(y + i, narrow(_mm512_max_ps(zero, sum)));  // of a NaN the second operand
  }
  if (i == count) return;
  const __mmask16 rest = first_lanes(count - i);
  __m512 sum = widen(_mm256_maskz_loadu_epi16(rest, y + i));
  if (residual != nullptr) sum = _mm512_add_ps(sum, widen(_mm256_maskz_loadu_epi16(rest, residual + i)));
  _mm256_mask_storeu_epi16(y + i, rest, narrow(_mm512_max_ps(zero, sum)));
}

WITH_BFLOAT16 void gelu(const uint16_t* x, int64_t count, uint16_t* y) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 some = first_lanes(count - i);
    const __m512 numbers = widen(_mm256_maskz_loadu_epi16(some, x + i));
    _mm256_mask_storeu_epi16(y + i, some, narrow(_mm512_mul_ps(numbers, normal_distribution(numbers))));
  }
}

WITH_BFLOAT16 void gradient_of_gelu(const uint16_t* gradient, const uint16_t* x, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 some = first_lanes(count - i);
    const __m512 numbers = widen(_mm256_maskz_loadu_epi16(some, x + i));
    // x times the density, which is 0 long before its square overflows.
    const __m512 near = _mm512_min_ps(_mm512_set1_ps(20), _mm512_max_ps(_mm512_set1_ps(-20), numbers));
    const __m512 density = _mm512_mul_ps(exponential(_mm512_mul_ps(_mm512_mul_ps(near, near), _mm512_set1_ps(-0.5f))), _mm512_set1_ps(0.39894228040143268f));
    const __m512 slope = _mm512_fmadd_ps(near, density, normal_distribution(numbers));
    _mm256_mask_storeu_epi16(to + i, some, narrow(_mm512_mul_ps(slope, widen(_mm256_maskz_loadu_epi16(some, gradient + i)))));
  }
}

WITH_BFLOAT16 void gradient_of_relu(const uint16_t* gradient, const uint16_t* y, int64_t rows, int64_t channels, uint16_t* to, float* sums) {
  const __m512i not_sign = _mm512_set1_epi16(0x7fff);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t channel = 0; channel < channels; channel += kChannels) {
      const int64_t at = row * channels + channel;
      __m512i numbers = _mm512_loadu_si512(gradient + at);
      // What a ReLU gives is above 0, 0 or NaN.
      if (y != nullptr) numbers = _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(_mm512_loadu_si512(y + at), not_sign), numbers);
      if (to != nullptr) _mm512_storeu_si512(to + at, numbers);
      if (sums == nullptr) continue;
      const __m512 low = widen(_mm512_castsi512_si256(numbers)), high = widen(_mm512_extracti64x4_epi64(numbers, 1));
      _mm512_storeu_ps(sums + channel, _mm512_add_ps(_mm512_loadu_ps(sums + channel), low));
      _mm512_storeu_ps(sums + channel + 16, _mm512_add_ps(_mm512_loadu_ps(sums + channel + 16), high));
    }
  }
}

// Not vectors, which would be filled with zeros first.
ProductOfRows::ProductOfRows(Range a, Range b)
    : a_(a), b_(b), packed_a_(new uint32_t[kMostRows / 2 * a.size()]), packed_b_(new uint32_t[kMostRows / 2 * b.size()]) {}

ProductOfRows::~ProductOfRows() {
  delete[] packed_a_;
  delete[] packed_b_;
}

void ProductOfRows::add(const uint16_t* const* a, const uint16_t* const* b, int64_t rows, bool first, float* sums, int64_t apart) {
  const int64_t pairs = rows / 2;
  pack_a(a, pairs, a_, packed_a_);
  pack_b(b, pairs, b_, packed_b_);
  for (int64_t column = 0; column < b_.size(); column += kTileColumns) {
    for (int64_t row = 0; row < a_.size(); row += kTileRows) {
      tile(packed_a_ + row * pairs, packed_b_ + column * pairs, pairs, first, sums + row * apart + column, apart);
    }
  }
}

WITH_BFLOAT16 void pack_columns(const Matrix& weight, int64_t depth, int64_t begin, int64_t end, uint32_t* to) {
  const __m512i apart = multiples_of(kTileColumns);
  for (int64_t column = begin; column < end; ++column) {
    const uint16_t* const from = weight.numbers + column * weight.apart;
    uint32_t* const panel = to + column / kTileColumns * kTileColumns * (depth / 2) + column % kTileColumns;
    for (int64_t pair = 0; pair < depth / 2; pair += 16) {
      const __m512i numbers = column < weight.rows ? _mm512_loadu_si512(from + 2 * pair) : _mm512_setzero_si512();
      _mm512_i32scatter_epi32(panel + pair * kTileColumns, apart, numbers, 4);
    }
  }
}

WITH_BFLOAT16 void pack_rows(const Matrix& weight, int64_t depth, int64_t begin, int64_t end, uint32_t* to) {
  const __m512i low = lanes_of_pairs(false), high = lanes_of_pairs(true);
  for (int64_t column = begin; column < end; column += kTileColumns) {
    uint32_t* const panel = to + column * (depth / 2);
    for (int64_t pair = 0; pair < depth / 2; ++pair) {
      const uint16_t* const one = weight.numbers + 2 * pair * weight.apart + column;
      const __m512i x = 2 * pair < weight.rows ? _mm512_loadu_si512(one) : _mm512_setzero_si512();
      const __m512i y = 2 * pair + 1 < weight.rows ? _mm512_loadu_si512(one + weight.apart) : _mm512_setzero_si512();
      _mm512_storeu_si512(panel + pair * kTileColumns, _mm512_permutex2var_epi16(x, low, y));
      _mm512_storeu_si512(panel + pair * kTileColumns + 16, _mm512_permutex2var_epi16(x, high, y));
    }
  }
}

void product(const uint16_t* const* rows, int64_t count, int64_t depth, const uint32_t* packed, int64_t begin, int64_t end, const Finish& finish,
             int64_t apart, uint16_t* y) {
  for (int64_t column = begin; column < end; column += kTileColumns) {
    for (int64_t row = 0; row < count; row += kRows) {
      const Finish own{finish.bias, finish.residual == nullptr ? nullptr : finish.residual + row * apart, finish.relu};
      tile_of_rows(rows + row, count - row, depth / 2, packed + column * (depth / 2), column, own, apart, y + row * apart);
    }
  }
}

void product(const uint16_t* const* rows, int64_t count, int64_t depth, const uint32_t* packed, int64_t columns, float* y) {
  for (int64_t column = 0; column < columns; column += kTileColumns) {
    for (int64_t row = 0; row < count; row += kRows) {
      tile_of_floats(rows + row, count - row, depth / 2, packed + column * (depth / 2), columns, y + row * columns + column);
    }
  }
}

WITH_BFLOAT16 void softmax(const float* scores, int64_t count, int64_t some, int64_t apart, float scale, uint16_t* to, float* logarithms) {
  const __m512 by = _mm512_set1_ps(scale);
  for (int64_t row = 0; row < count; ++row, scores += apart, to += apart) {
    __m512 most = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (int64_t i = 0; i < some; i += 16) {
      const __mmask16 lanes = first_lanes(some - i);
      most = _mm512_mask_max_ps(most, lanes, most, _mm512_maskz_loadu_ps(lanes, scores + i));
    }
    const float largest = _mm512_reduce_max_ps(most);
    __m512 sums = _mm512_setzero_ps();
    for (int64_t i = 0; i < some; i += 16) {
      const __mmask16 lanes = first_lanes(some - i);
      const __m512 below = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, scores + i), _mm512_set1_ps(largest));
      sums = _mm512_mask_add_ps(sums, lanes, sums, exponential(_mm512_mul_ps(below, by)));
    }
    const float sum = _mm512_reduce_add_ps(sums);
    logarithms[row] = largest * scale + std::log(sum);
    const __m512 share = _mm512_set1_ps(1 / sum);
    for (int64_t i = 0; i < apart; i += 16) {
      const __mmask16 lanes = i < some ? first_lanes(some - i) : static_cast<__mmask16>(0);
      const __m512 below = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, scores + i), _mm512_set1_ps(largest));
      store(to + i, narrow(_mm512_maskz_mul_ps(lanes, exponential(_mm512_mul_ps(below, by)), share)));
    }
  }
}

WITH_BFLOAT16 void gradient_of_softmax(const float* scores, const float* products, int64_t count, int64_t some, int64_t apart, float scale,
                                       const float* logarithms, const float* means, uint16_t* weights, uint16_t* gradients) {
  const __m512 by = _mm512_set1_ps(scale);
  for (int64_t row = 0; row < count; ++row) {
    const __m512 logarithm = _mm512_set1_ps(logarithms[row]), mean = _mm512_set1_ps(means[row]);
    for (int64_t i = 0; i < apart; i += 16) {
      const int64_t at = row * apart + i;
      const __mmask16 lanes = i < some ? first_lanes(some - i) : static_cast<__mmask16>(0);
      const __m512 score = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, scores + at), by);
      const __m512 weight = _mm512_maskz_mov_ps(lanes, exponential(_mm512_sub_ps(score, logarithm)));
      store(weights + at, narrow(weight));
      const __m512 apart_from_mean = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, products + at), mean);
      store(gradients + at, narrow(_mm512_maskz_mul_ps(lanes, _mm512_mul_ps(weight, by), apart_from_mean)));
    }
  }
}

WITH_BFLOAT16 float dot(const uint16_t* a, const uint16_t* b, int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 some = first_lanes(count - i);
    sum = _mm512_fmadd_ps(widen(_mm256_maskz_loadu_epi16(some, a + i)), widen(_mm256_maskz_loadu_epi16(some, b + i)), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

WITH_BFLOAT16 void round_all(const float* from, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 some = first_lanes(count - i);
    _mm256_mask_storeu_epi16(to + i, some, narrow(_mm512_maskz_loadu_ps(some, from + i)));
  }
}

WITH_BFLOAT16 void unfold_gradient(const float* gradient, const float* weight, const float* scale, int64_t begin, int64_t end, int64_t inputs,
                                   int64_t taps, float* to, float* of_scale) {
  const __m512i apart = multiples_of(taps);
  for (int64_t output = begin; output < end; ++output) {
    const __m512 by = _mm512_set1_ps(scale == nullptr ? 1 : scale[output]);
    __m512 dot = _mm512_setzero_ps();
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float* const from = gradient + (output * taps + tap) * inputs;
      const int64_t place = output * inputs * taps + tap;
      for (int64_t input = 0; input < inputs; input += 16) {
        const __mmask16 some = first_lanes(inputs - input);
        const __m512 numbers = _mm512_maskz_loadu_ps(some, from + input);
        if (scale != nullptr) dot = _mm512_fmadd_ps(numbers, gather(weight + place + input * taps, taps, apart, some), dot);
        float* const result = to + place + input * taps;
        const __m512 scaled = _mm512_mul_ps(numbers, by);
        taps == 1 ? _mm512_mask_storeu_ps(result, some, scaled) : _mm512_mask_i32scatter_ps(result, some, apart, scaled, 4);
      }
    }
    if (scale != nullptr) of_scale[output] = _mm512_reduce_add_ps(dot);
  }
}

}  // namespace bfloat16
}  // namespace conquer

#else

namespace conquer {
namespace bfloat16 {

bool is_fast() { return false; }
void fold_weights(const float*, const float*, int64_t, int64_t, int64_t, int64_t, uint16_t*) {}
void add_and_relu(uint16_t*, const uint16_t*, int64_t) {}
void gelu(const uint16_t*, int64_t, uint16_t*) {}
void gradient_of_gelu(const uint16_t*, const uint16_t*, int64_t, uint16_t*) {}
void gradient_of_relu(const uint16_t*, const uint16_t*, int64_t, int64_t, uint16_t*, float*) {}
ProductOfRows::ProductOfRows(Range a, Range b) : a_(a), b_(b), packed_a_(nullptr), packed_b_(nullptr) {}
ProductOfRows::~ProductOfRows() {}
void ProductOfRows::add(const uint16_t* const*, const uint16_t* const*, int64_t, bool, float*, int64_t) {}
void unfold_gradient(const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, float*, float*) {}
void pack_columns(const Matrix&, int64_t, int64_t, int64_t, uint32_t*) {}
void pack_rows(const Matrix&, int64_t, int64_t, int64_t, uint32_t*) {}
void product(const uint16_t* const*, int64_t, int64_t, const uint32_t*, int64_t, float*) {}
void softmax(const float*, int64_t, int64_t, int64_t, float, uint16_t*, float*) {}
void gradient_of_softmax(const float*, const float*, int64_t, int64_t, int64_t, float, const float*, const float*, uint16_t*, uint16_t*) {}
float dot(const uint16_t*, const uint16_t*, int64_t) { return 0; }
void round_all(const float*, int64_t, uint16_t*) {}
void product(const uint16_t* const*, int64_t, int64_t, const uint32_t*, int64_t, int64_t, const Finish&, int64_t, uint16_t*) {}

}  // namespace bfloat16
}  // namespace conquer

#endif
