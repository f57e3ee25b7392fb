// build: -O3 -fno-trapping-math
//
// No header of libtorch is included, whose inline functions must not be compiled for some processors alone.
#include "depthwise-kernel.h"
#include "for-each-processor.h"

#include <algorithm>
#include <cstring>

#define INLINE inline __attribute__((always_inline))

namespace conquer {
namespace depthwise {
namespace {

typedef float Lanes __attribute__((vector_size(kChannels * sizeof(float))));

INLINE void load(const float* from, Lanes& to) { std::memcpy(&to, from, sizeof to); }

INLINE int64_t ceiling(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : a / b; }

// Which outputs a tap of the kernel has a pixel for, of `outputs`.
struct Range {
  int64_t begin, end;
};

INLINE Range range_of(int64_t offset, int64_t stride, int64_t side, int64_t outputs) {
  const int64_t begin = std::max<int64_t>(0, ceiling(-offset, stride));
  const int64_t end = std::min(outputs, side - offset > 0 ? (side - offset - 1) / stride + 1 : 0);
  return {begin, std::max(begin, end)};
}

// Of kTaps neighbours in a row of the kernel, `first` the first of them, for kVectors vectors of channels of one image. Loops over registers are
// unrolled, else they lie in memory.
template <int kTaps, int kVectors>
INLINE void taps_of(const float* maps, const float* gradient, const Shape& shape, int64_t ky, int64_t first, float* sums) {
  const int64_t channels = shape.channels, down = ky * shape.dilation_height - shape.padding_height;
  const Range rows = range_of(down, shape.stride_height, shape.height, shape.out_height);
  int64_t offsets[kTaps];
  Range ranges[kTaps];
  // Where all of the taps see a pixel.
  int64_t begin = 0, end = shape.out_width;
  for (int t = 0; t < kTaps; ++t) {
    offsets[t] = (first + t) * shape.dilation_width - shape.padding_width;
    ranges[t] = range_of(offsets[t], shape.stride_width, shape.width, shape.out_width);
    begin = std::max(begin, ranges[t].begin);
    end = std::min(end, ranges[t].end);
  }
  if (begin >= end) begin = end = shape.out_width;
  Lanes total[kTaps][kVectors];
#pragma GCC unroll 8
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) load(sums + t * channels + v * kChannels, total[t][v]);
  }
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* const line = maps + (row * shape.stride_height + down) * shape.width * channels;
    const float* const wanted = gradient + row * shape.out_width * channels;
    for (int64_t column = begin; column < end; ++column) {
      Lanes g[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) load(wanted + column * channels + v * kChannels, g[v]);
      const float* const x = line + (column * shape.stride_width + offsets[0]) * channels;
#pragma GCC unroll 8
      for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          Lanes a;
          load(x + t * shape.dilation_width * channels + v * kChannels, a);
          total[t][v] += a * g[v];
        }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTaps; ++t) {
      // Left and right of these.
      const int64_t beside[2][2] = {{ranges[t].begin, std::min(begin, ranges[t].end)}, {std::max(end, ranges[t].begin), ranges[t].end}};
      for (const auto& [first_column, after] : beside) {
        for (int64_t column = first_column; column < after; ++column) {
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) {
            Lanes a, g;
            load(line + (column * shape.stride_width + offsets[t]) * channels + v * kChannels, a);
            load(wanted + column * channels + v * kChannels, g);
            total[t][v] += a * g;
          }
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) std::memcpy(sums + t * channels + v * kChannels, &total[t][v], sizeof total[t][v]);
  }
}

template <int kTaps>
INLINE void rows_of(const float* maps, const float* gradient, const Shape& shape, float* sums) {
  // As many vectors as leave room for all in 16 registers.
  constexpr int kVectors = kTaps > 5 ? 1 : 2;
  for (int64_t channel = 0; channel < shape.channels;) {
    const bool both = kVectors == 2 && shape.channels - channel >= 2 * kChannels;
    for (int64_t ky = 0; ky < shape.kernel_height; ++ky) {
      for (int64_t kx = 0; kx < shape.kernel_width; kx += kTaps) {
        float* const to = sums + (ky * shape.kernel_width + kx) * shape.channels + channel;
        if (both) taps_of<kTaps, kVectors>(maps + channel, gradient + channel, shape, ky, kx, to);
        else taps_of<kTaps, 1>(maps + channel, gradient + channel, shape, ky, kx, to);
      }
    }
    channel += both ? 2 * kChannels : kChannels;
  }
}

}  // namespace

FOR_EACH_PROCESSOR
void gradient_of_weights(const float* maps, const float* gradient, const Shape& shape, int64_t begin, int64_t end, float* sums) {
  for (int64_t image = begin; image < end; ++image) {
    const float* const x = maps + image * shape.height * shape.width * shape.channels;
    const float* const g = gradient + image * shape.out_height * shape.out_width * shape.channels;
    if (shape.kernel_width == 3) rows_of<3>(x, g, shape, sums);
    else if (shape.kernel_width == 5) rows_of<5>(x, g, shape, sums);
    else if (shape.kernel_width == 7) rows_of<7>(x, g, shape, sums);
    else rows_of<1>(x, g, shape, sums);
  }
}

}  // namespace depthwise
}  // namespace conquer
