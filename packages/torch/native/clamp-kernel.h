// Numbers clamped to a range, in place. No libtorch here: see the build's flags for this kernel.
#pragma once

#include <cstdint>

namespace conquer {

// NaN stays NaN, as in PyTorch's clamp.
void clamp(float* x, int64_t count, float min, float max);

}  // namespace conquer
