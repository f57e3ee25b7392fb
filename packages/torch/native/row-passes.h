// What the passes of our own over rows of numbers, each with its gradient, have in common.
#pragma once

#include "parallel.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace conquer {

// Below so many numbers a thread takes longer to start than to do its part.
constexpr int64_t kPiece = 1 << 17;

// body(begin, end) over pieces of the rows.
template <typename F>
void over_rows(int64_t rows, int64_t columns, const F& body) {
  in_parallel(rows, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, columns)), body);
}

template <typename F>
void by_type(at::ScalarType type, const F& body) {
  if (type == at::kFloat) {
    body(float());
  } else {
    body(double());
  }
}

inline void require_rows(const at::Tensor& x, const char* what) {
  const bool fits = (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble) && x.layout() == at::kStrided;
  if (!fits || x.dim() < 1 || !x.device().is_cpu() || !x.is_contiguous() || x.is_neg()) {
    throw std::runtime_error(std::string(what) + " must be (…, D), float32 or float64, contiguous and on the CPU");
  }
}

}  // namespace conquer
