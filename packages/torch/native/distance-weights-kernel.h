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

// products: (size, size) inner products of the rows with each other; far: (size,) distances; weights: (size, size),
// without meaning for rows that are not finite.
void distance_weights(const float* products, const int32_t* labels, const double* far, int64_t size, const DistanceWeights& by, float* weights);
void distance_weights(const double* products, const int32_t* labels, const double* far, int64_t size, const DistanceWeights& by, double* weights);

}  // namespace conquer
