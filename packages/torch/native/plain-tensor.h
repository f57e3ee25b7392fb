// What our own kernels for the processor take.
#pragma once

#include <ATen/core/Tensor.h>

namespace conquer {

// Numbers of this type in the processor's memory, as they are: with strides, not in a layout of a library's own, and not to be negated first.
inline bool is_plain(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.layout() == at::kStrided && tensor.scalar_type() == type && tensor.device().is_cpu() && !tensor.is_neg();
}

}  // namespace conquer
