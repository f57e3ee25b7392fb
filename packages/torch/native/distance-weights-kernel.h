// Sampling weights of negatives by distance, row by row. No libtorch here: see the build's flags for this kernel.
#pragma once

#include <cstdint>

namespace conquer {

struct DistanceWeights {
  double exponent_of_distance;  // of d² in the density: (n - 2) / 2
  double exponent_of_rest;      // of 1 - d²/4: (n - 3) / 2
  double least_square;          // smaller d² count as this
  double floor;                 // added to each weight
  double far_weight;            // of a pair beyond its row's `far`
};

// Rows of which a weight is asked, and those that it is asked for: each one's product with itself, and its label.
template <typename T>
struct WeighedRows {
  const T* squares;
  const int32_t* labels;
  int64_t size;
};

// products: (rows, columns) inner products; far: (rows,) distances; weights: (rows, columns), without meaning where a row or
// a column is not finite.
void distance_weights(const float* products, const WeighedRows<float>& rows, const WeighedRows<float>& columns, const double* far, const DistanceWeights& by, float* weights);
void distance_weights(const double* products, const WeighedRows<double>& rows, const WeighedRows<double>& columns, const double* far, const DistanceWeights& by, double* weights);

}  // namespace conquer
