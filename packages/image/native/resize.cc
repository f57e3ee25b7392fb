#include "resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

// The same function compiled for newer processors too, chosen when the addon is loaded.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CONQUER_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CONQUER_CLONES
#endif

namespace conquer {
namespace {

constexpr int kBits = 22;
constexpr int32_t kHalf = 1 << (kBits - 1);

typedef uint8_t Bytes4 __attribute__((vector_size(4)));
typedef uint8_t Bytes8 __attribute__((vector_size(8)));
typedef int32_t Ints4 __attribute__((vector_size(16)));
typedef int32_t Ints8 __attribute__((vector_size(32)));

template <int Stride>
inline __attribute__((always_inline)) void resize_row(const uint8_t* row, const Filter& filter, uint8_t* out) {
  const int32_t* weights = filter.weights.data();
  for (const Filter::Window& window : filter.windows) {
    const uint8_t* pixel = row + static_cast<size_t>(window.first) * Stride;
    const int32_t* weight = weights + window.weight;
    Ints4 sum = {kHalf, kHalf, kHalf, kHalf};
    for (int i = 0; i < window.count; i++, pixel += Stride) {
      Bytes4 bytes;
      std::memcpy(&bytes, pixel, 4);
      sum += __builtin_convertvector(bytes, Ints4) * weight[i];
    }
    sum >>= kBits;
    const Bytes4 bytes = __builtin_convertvector(sum, Bytes4);
    std::memcpy(out, &bytes, 4);  // the fourth byte is overwritten by the next pixel
    out += 3;
  }
}

}  // namespace

void triangle_filter(double from, double to, int inputs, int outputs, bool mirror, Filter& filter) {
  const double scale = (to - from) / outputs;
  const double support = std::max(scale, 1.0);
  filter.windows.clear();
  filter.weights.clear();
  std::vector<double> values;
  for (int index = 0; index < outputs; index++) {
    const int output = mirror ? outputs - 1 - index : index;
    const double center = from + (output + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int last = std::min(inputs, static_cast<int>(center + support + 0.5));
    values.clear();
    double sum = 0;
    for (int input = first; input < last; input++) {
      values.push_back(std::max(0.0, 1 - std::abs((input - center + 0.5) / support)));
      sum += values.back();
    }
    size_t begin = 0;
    size_t end = values.size();
    while (end - begin > 1 && values[end - 1] == 0) end--;
    while (end - begin > 1 && values[begin] == 0) begin++;
    filter.windows.push_back({first + static_cast<int32_t>(begin), static_cast<int32_t>(end - begin),
                              static_cast<int32_t>(filter.weights.size())});
    for (size_t i = begin; i < end; i++) {
      filter.weights.push_back(static_cast<int32_t>(0.5 + values[i] / sum * (1 << kBits)));
    }
  }
}

CONQUER_CLONES void resize_row_rgb(const uint8_t* row, const Filter& filter, uint8_t* out) {
  resize_row<3>(row, filter, out);
}

CONQUER_CLONES void resize_row_rgbx(const uint8_t* row, const Filter& filter, uint8_t* out) {
  resize_row<4>(row, filter, out);
}

CONQUER_CLONES void resize_columns(const uint8_t* rows, size_t bytes, const Filter& filter, uint8_t* out) {
  for (const Filter::Window& window : filter.windows) {
    const uint8_t* top = rows + static_cast<size_t>(window.first) * bytes;
    const int32_t* weight = filter.weights.data() + window.weight;
    const int count = window.count;
    size_t x = 0;
    for (; x + 32 <= bytes; x += 32) {
      const Ints8 half = {kHalf, kHalf, kHalf, kHalf, kHalf, kHalf, kHalf, kHalf};
      Ints8 sums[4] = {half, half, half, half};
      const uint8_t* from = top + x;
      for (int i = 0; i < count; i++, from += bytes) {
        for (int part = 0; part < 4; part++) {
          Bytes8 values;
          std::memcpy(&values, from + 8 * part, 8);
          sums[part] += __builtin_convertvector(values, Ints8) * weight[i];
        }
      }
      for (int part = 0; part < 4; part++) {
        const Bytes8 values = __builtin_convertvector(sums[part] >> kBits, Bytes8);
        std::memcpy(out + x + 8 * part, &values, 8);
      }
    }
    for (; x < bytes; x++) {
      int32_t sum = kHalf;
      for (int i = 0; i < count; i++) sum += top[x + i * bytes] * weight[i];
      out[x] = static_cast<uint8_t>(sum >> kBits);
    }
    out += bytes;
  }
}

void transpose_rgb(const uint8_t* pixels, int width, int height, uint8_t* out) {
  for (int x = 0; x < width; x++) {
    for (int y = 0; y < height; y++, out += 3) {
      std::memcpy(out, pixels + (static_cast<size_t>(y) * width + x) * 3, 3);
    }
  }
}

}  // namespace conquer
