// Convolutions of bfloat16 maps, channels_last, with what follows them.
#pragma once

#include "bfloat16-kernel.h"
#include "bfloat16-windows.h"

namespace conquer {
namespace bfloat16 {

// Whether weights of this size, (O, I, kH, kW), can be packed: what windows see is then multiplied in one pass with what follows.
bool is_product(at::IntArrayRef weight, const Geometry& by);

// Folded weights, bfloat16 and channels_last, as by_product() takes them: (O and zeros up to a whole panel, taps · I / 2).
at::Tensor packed(const at::Tensor& folded);

// Maps of this shape, of weights (·, ·, kernel); bias (O) float32 and the residual, channels_last, may be undefined.
at::Tensor by_product(const at::Tensor& x, const at::Tensor& packed_weight, at::IntArrayRef kernel, at::IntArrayRef shape, const at::Tensor& bias,
                      const at::Tensor& residual, Limits limits, const Geometry& by);

// The same by libtorch's operator, of weights that are not packed; the geometry is even.
at::Tensor by_operator(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual, Limits limits, const Geometry& by);

// The gradient of maps of this shape, their channels a multiple of kChannels, of windows that are a product and a pixel apart.
at::Tensor gradient_of_maps(const at::Tensor& gradient, const at::Tensor& folded, at::IntArrayRef shape, const Geometry& by);

}  // namespace bfloat16
}  // namespace conquer
