// Distances of listed pairs of rows. No libtorch here: see the build's flags for this kernel.
#pragma once

#include <cstdint>

namespace conquer {

// Rows x[from[i]] and y[to[i]], each of `columns` numbers.
template <typename T>
struct RowPairs {
  const T* x;
  const T* y;
  const int32_t* from;
  const int32_t* to;
  int64_t columns;
  double shift;  // added to each difference
};

// distances[i] = sqrt(Σ (x - y + shift)² + least_square) for begin ≤ i < end.
void row_distances(const RowPairs<float>& pairs, int64_t begin, int64_t end, double least_square, float* distances);
void row_distances(const RowPairs<double>& pairs, int64_t begin, int64_t end, double least_square, double* distances);

// The same without what is added, by sums of float64. Rows of y lie anywhere in memory: those of the next pair are asked for before one is compared.
void exact_row_distances(const RowPairs<float>& pairs, int64_t count, float* distances);

// Adds what each distance's gradient g gives its two rows; either of gx and gy may be null. A distance of 0 gives none.
void row_distances_backward(const RowPairs<float>& pairs, int64_t count, const float* g, const float* distances, float* gx, float* gy);
void row_distances_backward(const RowPairs<double>& pairs, int64_t count, const double* g, const double* distances, double* gx, double* gy);

}  // namespace conquer
