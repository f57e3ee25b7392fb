// build: -O3 -fno-trapping-math
//
// Comparisons that choose are computed in vectors, once none of them may trap. No header of libtorch is included, whose inline
// functions must not be compiled that way.
#include "clamp-kernel.h"
#include "for-each-processor.h"

namespace conquer {

FOR_EACH_PROCESSOR
void clamp(float* x, int64_t count, float min, float max) {
  for (int64_t i = 0; i < count; ++i) {
    const float above = x[i] < min ? min : x[i];
    x[i] = above > max ? max : above;
  }
}

}  // namespace conquer
