// Gradients of convolutions of each channel by itself, where oneDNN's take 5 to 30 times as long as their arithmetic: of the weights of kernels larger
// than 3x3, and of the maps in bfloat16 where windows lie apart.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <utility>
#include <vector>

namespace conquer {
namespace depthwise {

// Of the convolution; a number for each side.
struct Window {
  std::vector<int64_t> stride, padding, dilation;
};

// Whether it is for convolutions of so many channels.
bool suits(int64_t channels);

// Of maps (N, C, H, W), of their type, and weight (C, 1, kH, kW), each where it is wanted, else undefined. maps, weight and gradient (N, C, H', W') are
// of float32 or bfloat16, all of one type.
std::pair<at::Tensor, at::Tensor> gradients(const at::Tensor& gradient, const at::Tensor& maps, const at::Tensor& weight, const Window& window,
                                            std::array<bool, 2> wanted);

}  // namespace depthwise
}  // namespace conquer
