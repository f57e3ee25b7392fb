#include "warp.h"

#include <algorithm>
#include <cmath>

namespace conquer {
namespace {

// Coordinates far outside would not fit an integer, and read the same fill.
float bounded(float at, float side) { return std::min(std::max(at, -2.0f), side + 1); }

// The channels are interleaved. The mean of the four pixels around a point, by how near they are, rounded to 8 bits.
void blend(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, float right, float down, uint8_t* out) {
  for (int channel = 0; channel < 3; channel++) {
    const float above = a[channel] + (static_cast<float>(b[channel]) - a[channel]) * right;
    const float below = c[channel] + (static_cast<float>(d[channel]) - c[channel]) * right;
    out[channel] = static_cast<uint8_t>(above + (below - above) * down + 0.5f);
  }
}

}  // namespace

void warp_rgb(const uint8_t* pixels, int side, const float* matrix, int fill, int out_side, uint8_t* out) {
  const uint8_t grey = static_cast<uint8_t>(std::max(fill, 0));
  const uint8_t filling[3] = {grey, grey, grey};
  const float most = static_cast<float>(side - 1);
  const float half = static_cast<float>(side) / 2;
  const float step = 2.0f / static_cast<float>(out_side);
  const size_t row_bytes = static_cast<size_t>(side) * 3;
  const auto pixel = [&](int x, int y) {
    const bool inside = x >= 0 && x < side && y >= 0 && y < side;
    return inside ? pixels + static_cast<size_t>(y) * row_bytes + static_cast<size_t>(x) * 3 : filling;
  };
  for (int row = 0; row < out_side; row++) {
    const float v = (static_cast<float>(row) + 0.5f) * step - 1;
    const float from_x = matrix[1] * v + matrix[2];
    const float from_y = matrix[4] * v + matrix[5];
    for (int column = 0; column < out_side; column++, out += 3) {
      const float u = (static_cast<float>(column) + 0.5f) * step - 1;
      float x = (matrix[0] * u + from_x + 1) * half - 0.5f;
      float y = (matrix[3] * u + from_y + 1) * half - 0.5f;
      if (fill == kFillBorder) {
        x = std::min(std::max(x, 0.0f), most);
        y = std::min(std::max(y, 0.0f), most);
      } else {
        x = bounded(x, static_cast<float>(side));
        y = bounded(y, static_cast<float>(side));
      }
      const int left = static_cast<int>(std::floor(x));
      const int top = static_cast<int>(std::floor(y));
      const float right = x - static_cast<float>(left);
      const float down = y - static_cast<float>(top);
      if (left >= 0 && left + 1 < side && top >= 0 && top + 1 < side) {
        const uint8_t* at = pixels + static_cast<size_t>(top) * row_bytes + static_cast<size_t>(left) * 3;
        blend(at, at + 3, at + row_bytes, at + row_bytes + 3, right, down, out);
      } else if (fill == kFillBorder) {
        const int next = std::min(left + 1, side - 1);
        const int below = std::min(top + 1, side - 1);
        blend(pixel(left, top), pixel(next, top), pixel(left, below), pixel(next, below), right, down, out);
      } else {
        blend(pixel(left, top), pixel(left + 1, top), pixel(left, top + 1), pixel(left + 1, top + 1), right, down, out);
      }
    }
  }
}

}  // namespace conquer
