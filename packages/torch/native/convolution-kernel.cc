// build: -O3 -fno-trapping-math
//
// Comparisons that choose are computed in vectors, once none of them may trap. No header of libtorch is included, whose inline
// functions must not be compiled that way.
#include "convolution-kernel.h"

#include <algorithm>
#include <cstring>

#define INLINE inline __attribute__((always_inline))

namespace conquer {
namespace convolution {
namespace {

// A register of the processor, no more: of vectors of twice that GCC 12 makes numbers in memory. They are never passed
// by value, which would depend on the processor, and loops over them are unrolled, else they lie in memory too.
template <int kWidth>
struct Register {
  typedef float Lanes __attribute__((vector_size(kWidth * sizeof(float))));
};

template <int kWidth>
using Lanes = typename Register<kWidth>::Lanes;

template <typename T>
INLINE void load(const float* from, T& to) {
  std::memcpy(&to, from, sizeof to);
}

// Sums of neighbouring channels, all of which are there: bias, residual, limits.
template <int kWidth>
INLINE void put(Lanes<kWidth>& sum, int64_t place, int64_t channel, const Finish& finish, float* y) {
  Lanes<kWidth> other;
  load(finish.bias + channel, other);
  sum += other;
  if (finish.residual != nullptr) {
    load(finish.residual + place, other);
    sum += other;
  }
  const Lanes<kWidth> min = Lanes<kWidth>{} + finish.min, max = Lanes<kWidth>{} + finish.max;
  sum = sum < min ? min : sum;
  sum = sum > max ? max : sum;
  std::memcpy(y + place, &sum, sizeof sum);
}

// kRows windows times kVectors vectors of a panel, which begins with `channel`.
template <int kWidth, int kRows, int kVectors>
INLINE void tile(const float* const* windows, int64_t count, const Lines& lines, const float* weights, int64_t panel, int64_t outputs,
                 int64_t channel, const Finish& finish, int64_t row, float* y) {
  const float* x[kRows];
  for (int i = 0; i < kRows; ++i) x[i] = windows[i];
  Lanes<kWidth> sums[kRows][kVectors] = {};
  for (int64_t line = 0; line < lines.count; ++line) {
    for (int64_t d = 0; d < lines.depth; ++d, weights += panel) {
      Lanes<kWidth> w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) load(weights + v * kWidth, w[v]);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const float factor = x[i][d];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[i][v] += factor * w[v];
      }
    }
    for (int i = 0; i < kRows; ++i) x[i] += lines.apart;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      if (i < count) put<kWidth>(sums[i][v], (row + i) * outputs + channel + v * kWidth, channel + v * kWidth, finish, y);
    }
  }
}

template <int kWidth>
INLINE void all_tiles(const float* const* windows, int64_t count, const Lines& lines, const float* packed, int64_t outputs, int64_t begin,
                      int64_t end, const Finish& finish, float* y) {
  for (int64_t channel = begin; channel < end;) {
    const int64_t panel = std::min(kPanel, outputs - channel);
    const float* const weights = packed + channel * lines.count * lines.depth;
    for (int64_t row = 0; row < count; row += kRows) {
      if (panel == kPanel) {
        for (int64_t at = 0; at < kPanel; at += 2 * kWidth)
          tile<kWidth, kRows, 2>(windows + row, count - row, lines, weights + at, panel, outputs, channel + at, finish, row, y);
      } else {
        tile<kWidth, kRows, kChannels / kWidth>(windows + row, count - row, lines, weights, panel, outputs, channel, finish, row, y);
      }
    }
    channel += panel;
  }
}

// One vector of channels of kOutputs neighbouring outputs, all of whose windows lie inside from left to right.
template <int kWidth, int kKernel, int kStride, int kOutputs>
INLINE void windows(const float* x, int64_t line, int64_t channels, int64_t first, int64_t end, const float* weight, Lanes<kWidth>* sums) {
  for (int64_t ky = first; ky < end; ++ky) {
    const float* const from = x + ky * line;
    const float* const w = weight + ky * kKernel * channels;
#pragma GCC unroll 8
    for (int kx = 0; kx < kKernel; ++kx) {
      Lanes<kWidth> factor;
      load(w + kx * channels, factor);
#pragma GCC unroll 8
      for (int p = 0; p < kOutputs; ++p) {
        Lanes<kWidth> value;
        load(from + (p * kStride + kx) * channels, value);
        sums[p] += factor * value;
      }
    }
  }
}

template <int kWidth, int kKernel, int kStride>
INLINE void depthwise_rows(const float* x, const Shape& shape, const float* weight, int64_t begin, int64_t end, const Finish& finish, float* y) {
  constexpr int kOutputs = 4;
  const int64_t channels = shape.channels, line = shape.width * channels;
  // The outputs whose windows lie inside from left to right.
  const int64_t inside = (shape.padding_width + kStride - 1) / kStride;
  const int64_t outside = (shape.width - kKernel + shape.padding_width) / kStride + 1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t top = row * kStride - shape.padding_height;
    const int64_t first = std::max<int64_t>(0, -top), last = std::min<int64_t>(kKernel, shape.height - top);
    for (int64_t channel = 0; channel < channels; channel += kWidth) {
      const float* const w = weight + channel;
      const int64_t places = row * shape.out_width * channels + channel;
      for (int64_t column = 0; column < shape.out_width;) {
        const int64_t left = column * kStride - shape.padding_width;
        const float* const from = x + top * line + left * channels + channel;
        if (column >= inside && column + kOutputs <= outside) {
          Lanes<kWidth> sums[kOutputs] = {};
          windows<kWidth, kKernel, kStride, kOutputs>(from, line, channels, first, last, w, sums);
#pragma GCC unroll 8
          for (int p = 0; p < kOutputs; ++p) put<kWidth>(sums[p], places + (column + p) * channels, channel, finish, y);
          column += kOutputs;
          continue;
        }
        const int64_t from_tap = std::max<int64_t>(0, -left), to_tap = std::min<int64_t>(kKernel, shape.width - left);
        Lanes<kWidth> sum = {};
        for (int64_t ky = first; ky < last; ++ky) {
          for (int64_t kx = from_tap; kx < to_tap; ++kx) {
            Lanes<kWidth> factor, value;
            load(w + (ky * kKernel + kx) * channels, factor);
            load(from + ky * line + kx * channels, value);
            sum += factor * value;
          }
        }
        put<kWidth>(sum, places + column * channels, channel, finish, y);
        ++column;
      }
    }
  }
}

template <int kWidth>
INLINE void depthwise_of(const float* x, const Shape& shape, const float* weight, int64_t begin, int64_t end, const Finish& finish, float* y) {
  const int64_t kernel = shape.kernel_height, stride = shape.stride_height;
  if (kernel == 3 && stride == 1) return depthwise_rows<kWidth, 3, 1>(x, shape, weight, begin, end, finish, y);
  if (kernel == 3) return depthwise_rows<kWidth, 3, 2>(x, shape, weight, begin, end, finish, y);
  if (stride == 1) return depthwise_rows<kWidth, 5, 1>(x, shape, weight, begin, end, finish, y);
  return depthwise_rows<kWidth, 5, 2>(x, shape, weight, begin, end, finish, y);
}

using Dense = void (*)(const float* const*, int64_t, const Lines&, const float*, int64_t, int64_t, int64_t, const Finish&, float*);
using Depthwise = void (*)(const float*, const Shape&, const float*, int64_t, int64_t, const Finish&, float*);

void plain_dense(const float* const* windows, int64_t count, const Lines& lines, const float* packed, int64_t outputs, int64_t begin, int64_t end,
                 const Finish& finish, float* y) {
  all_tiles<4>(windows, count, lines, packed, outputs, begin, end, finish, y);
}
void plain_depthwise(const float* x, const Shape& shape, const float* weight, int64_t begin, int64_t end, const Finish& finish, float* y) {
  depthwise_of<4>(x, shape, weight, begin, end, finish, y);
}
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) void dense_avx2(const float* const* windows, int64_t count, const Lines& lines, const float* packed,
                                                   int64_t outputs, int64_t begin, int64_t end, const Finish& finish, float* y) {
  all_tiles<8>(windows, count, lines, packed, outputs, begin, end, finish, y);
}
__attribute__((target("avx2,fma"))) void depthwise_avx2(const float* x, const Shape& shape, const float* weight, int64_t begin, int64_t end,
                                                       const Finish& finish, float* y) {
  depthwise_of<8>(x, shape, weight, begin, end, finish, y);
}
const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
const Dense best_dense = has_avx2 ? dense_avx2 : plain_dense;
const Depthwise best_depthwise = has_avx2 ? depthwise_avx2 : plain_depthwise;
// AMD's family 19h (Zen 4) computes with 16 numbers in the time of two times 8.
const bool is_widest = has_avx2 && (!__builtin_cpu_supports("avx512f") || __builtin_cpu_is("amdfam19h"));
#else
const Dense best_dense = plain_dense;
const Depthwise best_depthwise = plain_depthwise;
const bool is_widest = false;
#endif

}  // namespace

bool uses_widest_vectors() { return is_widest; }

void pack(const float* weight, int64_t outputs, int64_t depth, float* to) {
  for (int64_t channel = 0; channel < outputs; channel += kPanel) {
    const int64_t panel = std::min(kPanel, outputs - channel);
    for (int64_t d = 0; d < depth; ++d) {
      for (int64_t i = 0; i < panel; ++i) *to++ = weight[(channel + i) * depth + d];
    }
  }
}

void dense(const float* const* windows, int64_t count, const Lines& lines, const float* packed, int64_t outputs, int64_t begin, int64_t end,
           const Finish& finish, float* y) {
  best_dense(windows, count, lines, packed, outputs, begin, end, finish, y);
}

void pad(const float* x, const Shape& shape, int64_t width, int64_t begin, int64_t end, float* to) {
  const int64_t channels = shape.channels, before = shape.padding_width * channels;
  const int64_t inside = std::clamp<int64_t>(width - shape.padding_width, 0, shape.width) * channels;
  for (int64_t row = begin; row < end; ++row, to += width * channels) {
    const int64_t from = row - shape.padding_height;
    float* const next = to + width * channels;
    if (from < 0 || from >= shape.height) {
      std::fill(to, next, 0.0f);
    } else {
      float* const place = std::fill_n(to, std::min(before, width * channels), 0.0f);
      const float* const line = x + from * shape.width * channels;
      std::fill(std::copy(line, line + inside, place), next, 0.0f);
    }
  }
}

void depthwise(const float* x, const Shape& shape, const float* weight, int64_t begin, int64_t end, const Finish& finish, float* y) {
  best_depthwise(x, shape, weight, begin, end, finish, y);
}

}  // namespace convolution
}  // namespace conquer
