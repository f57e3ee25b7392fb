// Gradients of the weights of convolutions of each channel by itself, of maps whose channels lie together (channels_last): plain numbers, no
// libtorch.
#pragma once

#include <cstdint>

namespace conquer {
namespace depthwise {

// Channels come in multiples of this.
constexpr int64_t kChannels = 8;

struct Shape {
  int64_t height, width, channels;  // of the maps
  int64_t out_height, out_width;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width;
  int64_t padding_height, padding_width;
  int64_t dilation_height, dilation_width;

  int64_t taps() const { return kernel_height * kernel_width; }
};

// Adds to `sums` (taps, C) what images begin..end of maps (N, H, W, C) and gradient (N, H', W', C) give.
void gradient_of_weights(const float* maps, const float* gradient, const Shape& shape, int64_t begin, int64_t end, float* sums);

}  // namespace depthwise
}  // namespace conquer
