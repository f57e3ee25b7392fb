// build: -O3 -fno-math-errno -fno-trapping-math
//
// Comparisons that choose are computed in vectors, once none of them may trap. No header of libtorch is included, whose inline
// functions must not be compiled that way.
#include "gelu-kernel.h"
#include "error-function.h"
#include "for-each-processor.h"

namespace conquer {
namespace {

template <int kCount>
inline __attribute__((always_inline)) float polynomial(const float (&coefficients)[kCount], float t) {
  float sum = coefficients[0];
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) sum = sum * t + coefficients[i];
  return sum;
}

inline __attribute__((always_inline)) float error_function_of(float z) {
  using namespace error_function;
  const float t = z * z;
  const float value = z * polynomial(kNumerator, t) / polynomial(kDenominator, t);
  const float below = z > kOne ? 1.0f : value;
  return z < -kOne ? -1.0f : below;
}

}  // namespace

FOR_EACH_PROCESSOR
void gelu(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = 0.5f * x[i] * (1.0f + error_function_of(x[i] * 0.70710678118654752f));
}

}  // namespace conquer
