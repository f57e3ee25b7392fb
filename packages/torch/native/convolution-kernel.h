// Convolutions of maps whose channels lie together (channels_last), for inference: plain numbers, no libtorch.
#pragma once

#include <cstdint>

namespace conquer {
namespace convolution {

// Channels come in multiples of this.
constexpr int64_t kChannels = 8;
// Output channels whose weights lie together, but for the last kChannels.
constexpr int64_t kPanel = 16;
// Outputs that are computed together.
constexpr int64_t kRows = 6;

struct Shape {
  int64_t height, width, channels;  // of what comes
  int64_t out_height, out_width, out_channels;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width;
  int64_t padding_height, padding_width;

  int64_t taps() const { return kernel_height * kernel_width; }
};

// What becomes of each sum: the channel's bias and `residual` (null: none), which has the output's shape, are added, and
// the sum is clamped. NaN stays NaN.
struct Finish {
  const float* bias;
  const float* residual;
  float min, max;
};

// Whether the processor has no wider vectors than the kernels use: else a BLAS library's large products are faster.
bool uses_widest_vectors();

// Weights (outputs, depth) in the order in which dense() reads them, as many.
void pack(const float* weight, int64_t outputs, int64_t depth, float* to);

// Of what a window holds: so many pieces of so many numbers, from each to the next so far.
struct Lines {
  int64_t count, depth, apart;
};

// Output channels [begin, end), begin a multiple of kPanel, of `count` windows, which are products with packed weights. `windows` says where
// each begins, and goes on to a multiple of kRows with any of them.
void dense(const float* const* windows, int64_t count, const Lines& lines, const float* packed, int64_t outputs, int64_t begin, int64_t end,
           const Finish& finish, float* y);

// Rows [begin, end) of an image within zeros, `width` pixels wide, of which the image begins behind the shape's padding.
void pad(const float* x, const Shape& shape, int64_t width, int64_t begin, int64_t end, float* to);

// Each channel by itself, of the output's rows [begin, end): `weight` is (kernel, kernel, channels). Kernels are 3 or 5, strides 1 or 2.
void depthwise(const float* x, const Shape& shape, const float* weight, int64_t begin, int64_t end, const Finish& finish, float* y);

}  // namespace convolution
}  // namespace conquer
