// build: -O3 -fno-trapping-math
#include "bfloat16-kernel.h"
#include "bfloat16-lanes.h"
#include "error-function.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#ifdef CONQUER_HAS_BFLOAT16

namespace conquer {
namespace bfloat16 {
namespace {

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

// (rows, columns) → (columns, rows), in pieces that stay in the nearest cache. Of a window's taps there are too few for vectors.
template <typename T>
void transpose(const T* from, int64_t rows, int64_t columns, T* to) {
  constexpr int64_t kPiece = 64;
  const bool is_high = rows > columns;
  const int64_t steps = is_high ? rows : columns;
  for (int64_t begin = 0; begin < steps; begin += kPiece) {
    const int64_t end = std::min(steps, begin + kPiece);
    const int64_t row_begin = is_high ? begin : 0, row_end = is_high ? end : rows, column_begin = is_high ? 0 : begin, column_end = is_high ? columns : end;
    for (int64_t row = row_begin; row < row_end; ++row) {
      for (int64_t column = column_begin; column < column_end; ++column) to[column * rows + row] = from[row * columns + column];
    }
  }
}

}  // namespace

bool is_fast() {
  __builtin_cpu_init();
  static const bool fast = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512dq") && !__builtin_cpu_supports("amx-bf16");
  return fast;
}

WITH_BFLOAT16 void fold_weights(const float* weight, const float* scale, int64_t begin, int64_t end, int64_t inputs, int64_t taps, uint16_t* to) {
  const int64_t count = inputs * taps;
  std::vector<uint16_t> rounded(static_cast<size_t>(count));
  for (int64_t output = begin; output < end; ++output) {
    const __m512 by = _mm512_set1_ps(scale == nullptr ? 1 : scale[output]);
    uint16_t* const own = taps == 1 ? to + output * count : rounded.data();
    for (int64_t i = 0; i < count; i += 16) {
      const __mmask16 some = first_lanes(count - i);
      _mm256_mask_storeu_epi16(own + i, some, narrow(_mm512_mul_ps(_mm512_maskz_loadu_ps(some, weight + output * count + i), by)));
    }
    if (taps > 1) transpose(own, inputs, taps, to + output * count);
  }
}

WITH_BFLOAT16 void add_and_limit(uint16_t* y, const uint16_t* residual, int64_t count, Limits limits) {
  const __m512 least = _mm512_set1_ps(limits.least), most = _mm512_set1_ps(limits.most);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m512 sum = widen(load(y + i));
    if (residual != nullptr) sum = _mm512_add_ps(sum, widen(load(residual + i)));
    store(y + i, narrow(_mm512_min_ps(most, _mm512_max_ps(least, sum))));  // of a NaN the second operand
  }
  if (i == count) return;
  const __mmask16 rest = first_lanes(count - i);
  __m512 sum = widen(_mm256_maskz_loadu_epi16(rest, y + i));
  if (residual != nullptr) sum = _mm512_add_ps(sum, widen(_mm256_maskz_loadu_epi16(rest, residual + i)));
  _mm256_mask_storeu_epi16(y + i, rest, narrow(_mm512_min_ps(most, _mm512_max_ps(least, sum))));
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
  const int64_t count = inputs * taps;
  for (int64_t output = begin; output < end; ++output) {
    const float* own = gradient + output * count;
    float* const result = to + output * count;
    if (taps > 1) {
      transpose(own, taps, inputs, result);
      own = result;
    }
    const __m512 by = _mm512_set1_ps(scale == nullptr ? 1 : scale[output]);
    __m512 dot = _mm512_setzero_ps();
    for (int64_t i = 0; i < count; i += 16) {
      const __mmask16 some = first_lanes(count - i);
      const __m512 numbers = _mm512_maskz_loadu_ps(some, own + i);
      dot = _mm512_fmadd_ps(numbers, _mm512_maskz_loadu_ps(some, weight + output * count + i), dot);
      _mm512_mask_storeu_ps(result + i, some, _mm512_mul_ps(numbers, by));
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
void add_and_limit(uint16_t*, const uint16_t*, int64_t, Limits) {}
void gelu(const uint16_t*, int64_t, uint16_t*) {}
void gradient_of_gelu(const uint16_t*, const uint16_t*, int64_t, uint16_t*) {}
void gradient_of_relu(const uint16_t*, const uint16_t*, int64_t, int64_t, uint16_t*, float*) {}
void softmax(const float*, int64_t, int64_t, int64_t, float, uint16_t*, float*) {}
void gradient_of_softmax(const float*, const float*, int64_t, int64_t, int64_t, float, const float*, const float*, uint16_t*, uint16_t*) {}
float dot(const uint16_t*, const uint16_t*, int64_t) { return 0; }
void round_all(const float*, int64_t, uint16_t*) {}
void unfold_gradient(const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, float*, float*) {}

}  // namespace bfloat16
}  // namespace conquer

#endif
