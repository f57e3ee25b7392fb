// GELU of many numbers: plain numbers, no libtorch.
#pragma once

#include <cstdint>

namespace conquer {

// y = x Φ(x), Φ the normal distribution's function, to some 3e-7 of |x|; NaN stays NaN.
void gelu(const float* x, int64_t count, float* y);

}  // namespace conquer
