// build: -O3 -fno-math-errno -fno-trapping-math
//
// Comparisons that choose are computed in vectors, once none of them may trap. No header of libtorch is included, whose inline
// functions must not be compiled that way.
#include "gelu-kernel.h"
#include "for-each-processor.h"

namespace conquer {
namespace {

// erf(z) / z as a quotient of polynomials in z², fitted to it from 0 to 4 (largest error 1.5e-9 before rounding).
inline __attribute__((always_inline)) float error_function(float z) {
  const float t = z * z;
  float p = -1.366698018732701e-08f;
  p = p * t + 4.78057620099506e-06f;
  p = p * t + 3.826937972461112e-04f;
  p = p * t + 3.839540102875813e-03f;
  p = p * t + 5.4332650492069194e-02f;
  p = p * t + 1.8471051097425206e-01f;
  p = p * t + 1.12837918210706f;
  float q = 6.400962366051156e-05f;
  q = q * t + 1.309583409141072e-03f;
  q = q * t + 1.5453543158029711e-02f;
  q = q * t + 1.138264041967141e-01f;
  q = q * t + 4.9702897373602084e-01f;
  q = q * t + 1.0f;
  const float value = z * p / q;
  // From here on it is 1 in float32.
  constexpr float kOne = 3.92f;
  const float below = z > kOne ? 1.0f : value;
  return z < -kOne ? -1.0f : below;
}

}  // namespace

FOR_EACH_PROCESSOR
void gelu(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = 0.5f * x[i] * (1.0f + error_function(x[i] * 0.70710678118654752f));
}

}  // namespace conquer
