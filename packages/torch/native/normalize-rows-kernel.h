// Rows scaled to length 1, and the gradient of that: plain numbers, no libtorch.
#pragma once

#include <cstdint>

namespace conquer {

// y = x / max(|x|, eps) of each row; `lengths` gets max(|x|, eps), negative where that is eps.
void normalize_rows(const float* x, int64_t rows, int64_t columns, double eps, float* y, float* lengths);
void normalize_rows(const double* x, int64_t rows, int64_t columns, double eps, double* y, double* lengths);

// From the gradient of y to that of x: (g - y (g·y)) / |x|, or g / eps where the row was shorter.
void normalize_rows_backward(const float* g, const float* y, const float* lengths, int64_t rows, int64_t columns, float* out);
void normalize_rows_backward(const double* g, const double* y, const double* lengths, int64_t rows, int64_t columns, double* out);

}  // namespace conquer
