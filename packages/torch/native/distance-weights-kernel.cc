// build: -O3 -ffast-math -fno-associative-math
//
// With -ffast-math, so that logarithm and exponential are the C library's vector functions, several times
// faster; and -fno-associative-math, as max(1 - d²/4, 1e-12) would else become 1 - min(d²/4, 1 - 1e-12). Nothing
// here may be NaN or infinite. No header of libtorch is included, whose inline functions must not be compiled that way.
#include "distance-weights-kernel.h"
#include "for-each-processor.h"

#include <cmath>
#include <vector>

namespace conquer {
namespace {

// std::max is not inlined into clones for other processors.
template <typename T>
inline __attribute__((always_inline)) T larger(T a, T b) {
  return a > b ? a : b;
}

template <typename T>
inline __attribute__((always_inline)) void weigh(const T* products, const WeighedRows<T>& rows, const WeighedRows<T>& columns, const double* far, const DistanceWeights& by, T* weights) {
  const T low = static_cast<T>(by.least_square), floor = static_cast<T>(by.floor), far_weight = static_cast<T>(by.far_weight);
  const T of_distance = static_cast<T>(-by.exponent_of_distance), of_rest = static_cast<T>(-by.exponent_of_rest);
  constexpr double kFarthest = 1e18;  // for infinity, which must not occur here
  const T smallest_rest = static_cast<T>(1e-12);  // opposite points, d = 2, would have an infinite weight
  const int64_t size = columns.size;
  std::vector<T> squares(size);
  const T* norm = columns.squares;
  const int32_t* labels = columns.labels;
  for (int64_t row = 0; row < rows.size; ++row) {
    const T* product = products + row * size;
    T* weight = weights + row * size;
    T* square = squares.data();
    const int32_t label = rows.labels[row];
    const T own_norm = rows.squares[row], limit = static_cast<T>(far[row] < kFarthest ? far[row] * far[row] : kFarthest * kFarthest);
    T largest = 0;
    // What is left out counts as 0 in the row's maximum. To weigh it too is cheaper than a branch.
    for (int64_t i = 0; i < size; ++i) {
      const T s = larger((own_norm + norm[i]) - 2 * product[i], low);
      const T log_weight = of_distance * std::log(s) + of_rest * std::log(larger(1 - s / 4, smallest_rest));
      square[i] = s;
      weight[i] = (labels[i] == label) | (s >= limit) ? T(0) : log_weight;
      largest = larger(largest, weight[i]);
    }
    for (int64_t i = 0; i < size; ++i) {
      const T near = std::exp(weight[i] - largest) + floor;
      weight[i] = square[i] > limit ? far_weight : labels[i] == label ? T(0) : near;
    }
  }
}

}  // namespace

FOR_EACH_PROCESSOR void distance_weights(const float* products, const WeighedRows<float>& rows, const WeighedRows<float>& columns, const double* far, const DistanceWeights& by, float* weights) {
  weigh(products, rows, columns, far, by, weights);
}

FOR_EACH_PROCESSOR void distance_weights(const double* products, const WeighedRows<double>& rows, const WeighedRows<double>& columns, const double* far, const DistanceWeights& by, double* weights) {
  weigh(products, rows, columns, far, by, weights);
}

}  // namespace conquer
