// build: -O3 -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
//
// Sums in any order, so that they are computed in vectors; NaN and infinity are what they are. No header of libtorch is
// included, whose inline functions must not be compiled that way.
#include "row-distances-kernel.h"
#include "for-each-processor.h"

#include <cmath>

namespace conquer {
namespace {

// Numbers of float32 in a line of the cache.
constexpr int64_t kLine = 16;

template <typename T>
inline __attribute__((always_inline)) void forward(const RowPairs<T>& pairs, int64_t begin, int64_t end, T least_square, T* __restrict distances) {
  const int64_t columns = pairs.columns;
  const T shift = static_cast<T>(pairs.shift);
  for (int64_t pair = begin; pair < end; ++pair) {
    const T* const x = pairs.x + pairs.from[pair] * columns;
    const T* const y = pairs.y + pairs.to[pair] * columns;
    T square = 0;
    for (int64_t i = 0; i < columns; ++i) {
      const T difference = x[i] - y[i] + shift;
      square += difference * difference;
    }
    distances[pair] = std::sqrt(square + least_square);
  }
}

template <typename T>
inline __attribute__((always_inline)) void backward(const RowPairs<T>& pairs, int64_t count, const T* g, const T* distances, T* gx, T* gy) {
  const int64_t columns = pairs.columns;
  const T shift = static_cast<T>(pairs.shift);
  for (int64_t pair = 0; pair < count; ++pair) {
    // Most pairs have no loss: nothing is read for them.
    if (distances[pair] == 0 || g[pair] == 0) continue;
    const T factor = g[pair] / distances[pair];
    const int64_t from = pairs.from[pair] * columns, to = pairs.to[pair] * columns;
    const T* const x = pairs.x + from;
    const T* const y = pairs.y + to;
    if (gx != nullptr) {
      T* const out = gx + from;
      for (int64_t i = 0; i < columns; ++i) out[i] += factor * (x[i] - y[i] + shift);
    }
    if (gy != nullptr) {
      T* const out = gy + to;
      for (int64_t i = 0; i < columns; ++i) out[i] -= factor * (x[i] - y[i] + shift);
    }
  }
}

}  // namespace

FOR_EACH_PROCESSOR
void row_distances(const RowPairs<float>& pairs, int64_t begin, int64_t end, double least_square, float* distances) {
  forward<float>(pairs, begin, end, static_cast<float>(least_square), distances);
}

FOR_EACH_PROCESSOR
void row_distances(const RowPairs<double>& pairs, int64_t begin, int64_t end, double least_square, double* distances) {
  forward<double>(pairs, begin, end, least_square, distances);
}

FOR_EACH_PROCESSOR
void exact_row_distances(const RowPairs<float>& pairs, int64_t count, float* distances) {
  const int64_t columns = pairs.columns;
  for (int64_t pair = 0; pair < count; ++pair) {
    const float* const x = pairs.x + pairs.from[pair] * columns;
    const float* const y = pairs.y + pairs.to[pair] * columns;
    if (pair + 1 < count) {
      const float* const next = pairs.y + pairs.to[pair + 1] * columns;
      for (int64_t i = 0; i < columns; i += kLine) __builtin_prefetch(next + i);
    }
    double square = 0;
    for (int64_t i = 0; i < columns; ++i) {
      const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      square += difference * difference;
    }
    distances[pair] = static_cast<float>(std::sqrt(square));
  }
}

FOR_EACH_PROCESSOR
void row_distances_backward(const RowPairs<float>& pairs, int64_t count, const float* g, const float* distances, float* gx, float* gy) {
  backward<float>(pairs, count, g, distances, gx, gy);
}

FOR_EACH_PROCESSOR
void row_distances_backward(const RowPairs<double>& pairs, int64_t count, const double* g, const double* distances, double* gx, double* gy) {
  backward<double>(pairs, count, g, distances, gx, gy);
}

}  // namespace conquer
