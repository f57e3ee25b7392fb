// build: -O3 -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
//
// Sums in any order, so that they are computed in vectors; NaN and infinity are what they are. No header of libtorch is
// included, whose inline functions must not be compiled that way.
#include "normalize-rows-kernel.h"
#include "for-each-processor.h"

#include <cmath>

namespace conquer {
namespace {

template <typename T>
inline __attribute__((always_inline)) void forward(const T* __restrict x, int64_t rows, int64_t columns, T eps, T* __restrict y, T* __restrict lengths) {
  for (int64_t row = 0; row < rows; ++row, x += columns, y += columns) {
    T square = 0;
    for (int64_t i = 0; i < columns; ++i) square += x[i] * x[i];
    const T length = std::sqrt(square);
    const bool is_short = length < eps;  // a length that is NaN stays so
    const T divisor = is_short ? eps : length;
    lengths[row] = is_short ? -eps : length;
    for (int64_t i = 0; i < columns; ++i) y[i] = x[i] / divisor;
  }
}

template <typename T>
inline __attribute__((always_inline)) void backward(const T* __restrict g, const T* __restrict y, const T* __restrict lengths, int64_t rows, int64_t columns, T* __restrict out) {
  for (int64_t row = 0; row < rows; ++row, g += columns, y += columns, out += columns) {
    const T length = lengths[row];
    if (length < 0) {
      for (int64_t i = 0; i < columns; ++i) out[i] = g[i] / -length;
      continue;
    }
    T along = 0;
    for (int64_t i = 0; i < columns; ++i) along += g[i] * y[i];
    for (int64_t i = 0; i < columns; ++i) out[i] = (g[i] - y[i] * along) / length;
  }
}

}  // namespace

FOR_EACH_PROCESSOR
void normalize_rows(const float* x, int64_t rows, int64_t columns, double eps, float* y, float* lengths) {
  forward<float>(x, rows, columns, static_cast<float>(eps), y, lengths);
}

FOR_EACH_PROCESSOR
void normalize_rows(const double* x, int64_t rows, int64_t columns, double eps, double* y, double* lengths) {
  forward<double>(x, rows, columns, eps, y, lengths);
}

FOR_EACH_PROCESSOR
void normalize_rows_backward(const float* g, const float* y, const float* lengths, int64_t rows, int64_t columns, float* out) {
  backward<float>(g, y, lengths, rows, columns, out);
}

FOR_EACH_PROCESSOR
void normalize_rows_backward(const double* g, const double* y, const double* lengths, int64_t rows, int64_t columns, double* out) {
  backward<double>(g, y, lengths, rows, columns, out);
}

}  // namespace conquer
