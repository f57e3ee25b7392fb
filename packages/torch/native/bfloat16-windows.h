// What a convolution's windows see of bfloat16 maps whose channels lie together.
#pragma once

#include "thread-pool.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace conquer {
namespace bfloat16 {

constexpr auto kLast = at::MemoryFormat::ChannelsLast;
// Numbers that one thread has done by the time that another has woken.
constexpr int64_t kAlone = 1 << 15;

inline uint16_t* halves(const at::Tensor& tensor) { return reinterpret_cast<uint16_t*>(tensor.data_ptr<c10::BFloat16>()); }

inline const float* floats(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }

// body(begin, end) of 0..count in pieces that are multiples of `unit`.
template <typename F>
void in_pieces(int64_t count, int64_t pieces, int64_t unit, const F& body) {
  const int64_t size = ((count + pieces - 1) / pieces + unit - 1) / unit * unit;
  on_kept_threads((count + size - 1) / size, [&](int64_t i) { body(i * size, std::min(count, (i + 1) * size)); });
}

inline int64_t pieces_of(int64_t numbers) { return std::max<int64_t>(1, std::min<int64_t>(numbers / kAlone, 4 * at::get_num_threads())); }

// Zeros above and left of the maps, and those below and right.
struct Geometry {
  std::vector<int64_t> stride, padding, after, dilation;
  int64_t groups;
  bool is_even() const { return padding == after; }
};

// Where the row of x lies that a tap of a window sees.
class Windows {
 public:
  Windows(const at::Tensor& x, at::IntArrayRef kernel, const at::Tensor& outputs, const Geometry& by)
      : x_(halves(x)), height_(x.size(2)), width_(x.size(3)), channels_(x.size(1)), out_height_(outputs.size(2)), out_width_(outputs.size(3)),
        kernel_height_(kernel[0]), kernel_width_(kernel[1]), by_(by) {
    for (int64_t ky = 0; ky < kernel_height_; ++ky) {
      for (int64_t kx = 0; kx < kernel_width_; ++kx) offsets_.push_back((ky * by.dilation[0] * width_ + kx * by.dilation[1]) * channels_);
    }
  }

  // seen(i, row of x) of outputs begin + i, i below `count`, of which the tap sees one: others see zeros beside the maps.
  template <typename Seen>
  void rows(int64_t begin, int64_t count, int64_t tap, const Seen& seen) const {
    const int64_t ky = tap / kernel_width_ * by_.dilation[0] - by_.padding[0], kx = tap % kernel_width_ * by_.dilation[1] - by_.padding[1];
    int64_t column = begin % out_width_, row = begin / out_width_ % out_height_, image = begin / out_width_ / out_height_;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t y = row * by_.stride[0] + ky, x = column * by_.stride[1] + kx;
      if (y >= 0 && y < height_ && x >= 0 && x < width_) seen(i, x_ + ((image * height_ + y) * width_ + x) * channels_);
      if (++column < out_width_) continue;
      column = 0;
      if (++row < out_height_) continue;
      row = 0;
      ++image;
    }
  }

  // What all taps see of outputs order[i] (null: begin + i), i below `count`: tap t's row of x at to[t * apart + i], which is left alone where it is zeros.
  void rows_of(const int32_t* order, int64_t begin, int64_t count, int64_t apart, const uint16_t** to) const {
    const int64_t right = (kernel_width_ - 1) * by_.dilation[1], bottom = (kernel_height_ - 1) * by_.dilation[0];
    int64_t last = -2, column = 0, line = 0, image = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t output = order == nullptr ? begin + i : order[i];
      ++column;
      if (output != last + 1 || column == out_width_) {
        line = output / out_width_;
        column = output - line * out_width_;
        image = line / out_height_;
      }
      last = output;
      const int64_t y = (line - image * out_height_) * by_.stride[0] - by_.padding[0], x = column * by_.stride[1] - by_.padding[1];
      const int64_t first = ((image * height_ + y) * width_ + x) * channels_;
      const uint16_t** own = to + i;
      if (y >= 0 && x >= 0 && y + bottom < height_ && x + right < width_) {
        for (const int64_t offset : offsets_) {
          *own = x_ + first + offset;
          own += apart;
        }
        continue;
      }
      for (int64_t ky = 0; ky <= bottom; ky += by_.dilation[0]) {
        for (int64_t kx = 0; kx <= right; kx += by_.dilation[1], own += apart) {
          if (y + ky >= 0 && y + ky < height_ && x + kx >= 0 && x + kx < width_) *own = x_ + first + (ky * width_ + kx) * channels_;
        }
      }
    }
  }

  // All outputs of so many images, those together whose windows see zeros in the same places; empty where none does.
  std::vector<int32_t> alike(int64_t images) const {
    const auto kinds = [](int64_t outputs, int64_t side, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
      std::vector<std::pair<int64_t, int64_t>> known;
      std::vector<int64_t> kind(static_cast<size_t>(outputs));
      for (int64_t output = 0; output < outputs; ++output) {
        const int64_t first = output * stride - padding;
        std::pair<int64_t, int64_t> inside{0, 0};
        for (int64_t tap = 0; tap < kernel; ++tap) {
          if (first + tap * dilation < 0) ++inside.first;
          if (first + tap * dilation < side) ++inside.second;
        }
        const auto found = std::find(known.begin(), known.end(), inside);
        kind[static_cast<size_t>(output)] = found - known.begin();
        if (found == known.end()) known.push_back(inside);
      }
      return std::make_pair(kind, static_cast<int64_t>(known.size()));
    };
    const auto [of_rows, row_kinds] = kinds(out_height_, height_, kernel_height_, by_.stride[0], by_.padding[0], by_.dilation[0]);
    const auto [of_columns, column_kinds] = kinds(out_width_, width_, kernel_width_, by_.stride[1], by_.padding[1], by_.dilation[1]);
    const int64_t all = row_kinds * column_kinds;
    const int64_t count = images * out_height_ * out_width_;
    if (all == 1 || count > std::numeric_limits<int32_t>::max()) return {};
    std::vector<int64_t> next(static_cast<size_t>(all + 1), 0);
    const auto each = [&](const auto& body) {
      for (int64_t image = 0; image < images; ++image) {
        for (int64_t row = 0; row < out_height_; ++row) {
          const int64_t first = (image * out_height_ + row) * out_width_, kind = of_rows[static_cast<size_t>(row)] * column_kinds;
          for (int64_t column = 0; column < out_width_; ++column) body(first + column, static_cast<size_t>(kind + of_columns[static_cast<size_t>(column)]));
        }
      }
    };
    each([&](int64_t, size_t kind) { ++next[kind + 1]; });
    for (size_t kind = 0; kind < static_cast<size_t>(all); ++kind) next[kind + 1] += next[kind];
    std::vector<int32_t> order(static_cast<size_t>(count));
    each([&](int64_t output, size_t kind) { order[static_cast<size_t>(next[kind]++)] = static_cast<int32_t>(output); });
    return order;
  }

  // What the windows of outputs [begin, begin + count) see, zeros beside the maps included: (tap, channel) of each, `width` numbers apart.
  void copy(int64_t begin, int64_t count, uint16_t* to, int64_t width) const {
    const size_t pixel = static_cast<size_t>(channels_) * sizeof(uint16_t);
    for (int64_t i = 0; i < count; ++i, to += width) {
      const int64_t output = begin + i, image = output / out_width_ / out_height_;
      const int64_t top = output / out_width_ % out_height_ * by_.stride[0] - by_.padding[0], left = output % out_width_ * by_.stride[1] - by_.padding[1];
      const bool is_whole = by_.dilation[1] == 1 && left >= 0 && left + kernel_width_ <= width_;
      for (int64_t ky = 0; ky < kernel_height_; ++ky) {
        const int64_t y = top + ky * by_.dilation[0];
        uint16_t* const row = to + ky * kernel_width_ * channels_;
        if (y < 0 || y >= height_) {
          std::memset(row, 0, pixel * static_cast<size_t>(kernel_width_));
          continue;
        }
        const uint16_t* const from = x_ + (image * height_ + y) * width_ * channels_;
        if (is_whole) {
          std::memcpy(row, from + left * channels_, pixel * static_cast<size_t>(kernel_width_));
          continue;
        }
        for (int64_t kx = 0; kx < kernel_width_; ++kx) {
          const int64_t x = left + kx * by_.dilation[1];
          x >= 0 && x < width_ ? std::memcpy(row + kx * channels_, from + x * channels_, pixel) : std::memset(row + kx * channels_, 0, pixel);
        }
      }
    }
  }

 private:
  const uint16_t* const x_;
  const int64_t height_, width_, channels_, out_height_, out_width_, kernel_height_, kernel_width_;
  const Geometry& by_;
  std::vector<int64_t> offsets_;  // of the taps, from a window's first pixel
};

// The gradient of weights (outputs, inputs, kH, kW), in float32: (outputs, taps, inputs). x and the gradient are channels_last; outputs are a multiple of kChannels.
at::Tensor gradient_of_weights(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gradient, const Geometry& by);

}  // namespace bfloat16
}  // namespace conquer
