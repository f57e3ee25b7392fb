#include "warp.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace conquer {
namespace {

// Coordinates far outside would not fit an integer, and read the same; what overflowed to NaN is the lower end.
float bounded(float at, float least, float most) { return at > least ? std::min(at, most) : least; }

// The channels are interleaved. The mean of the four pixels around a point, by how near they are, rounded to 8 bits.
void blend(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, float right, float down, uint8_t* out) {
  for (int channel = 0; channel < 3; channel++) {
    const float above = a[channel] + (static_cast<float>(b[channel]) - a[channel]) * right;
    const float below = c[channel] + (static_cast<float>(d[channel]) - c[channel]) * right;
    out[channel] = static_cast<uint8_t>(above + (below - above) * down + 0.5f);
  }
}

#if defined(__SSE2__)

// Three channels and the byte after them, as four numbers.
__m128 load4(const uint8_t* bytes) {
  int32_t word;
  std::memcpy(&word, bytes, 4);
  const __m128i zero = _mm_setzero_si128();
  return _mm_cvtepi32_ps(_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(word), zero), zero));
}

// As above, for pixels that lie in two rows side by side, of which the last byte is not the buffer's.
void blend_inside(const uint8_t* above, const uint8_t* below, float right, float down, uint8_t* out) {
  const __m128 r = _mm_set1_ps(right);
  const __m128 a = load4(above);
  const __m128 c = load4(below);
  const __m128 up = _mm_add_ps(a, _mm_mul_ps(_mm_sub_ps(load4(above + 3), a), r));
  const __m128 low = _mm_add_ps(c, _mm_mul_ps(_mm_sub_ps(load4(below + 3), c), r));
  const __m128 mean = _mm_add_ps(up, _mm_mul_ps(_mm_sub_ps(low, up), _mm_set1_ps(down)));
  const __m128i whole = _mm_cvttps_epi32(_mm_add_ps(mean, _mm_set1_ps(0.5f)));
  const __m128i words = _mm_packs_epi32(whole, whole);
  const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  std::memcpy(out, &bytes, 3);
}

#else

void blend_inside(const uint8_t* above, const uint8_t* below, float right, float down, uint8_t* out) {
  blend(above, above + 3, below, below + 3, right, down, out);
}

#endif

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
  const float first = 0.5f * step - 1;
  const float along_x = matrix[0] * step * half;
  const float along_y = matrix[3] * step * half;
  for (int row = 0; row < out_side; row++) {
    const float v = static_cast<float>(row) * step + first;
    const float from_x = (matrix[0] * first + matrix[1] * v + matrix[2] + 1) * half - 0.5f;
    const float from_y = (matrix[3] * first + matrix[4] * v + matrix[5] + 1) * half - 0.5f;
    for (int column = 0; column < out_side; column++, out += 3) {
      float x = from_x + static_cast<float>(column) * along_x;
      float y = from_y + static_cast<float>(column) * along_y;
      if (x >= 0 && x < most && y >= 0 && y < most) {
        const int left = static_cast<int>(x);
        const int top = static_cast<int>(y);
        const uint8_t* at = pixels + static_cast<size_t>(top) * row_bytes + static_cast<size_t>(left) * 3;
        const float right = x - static_cast<float>(left);
        const float down = y - static_cast<float>(top);
        // One byte too many is read, which the image's last pixel does not have.
        if (top + 2 < side || left + 2 < side) {
          blend_inside(at, at + row_bytes, right, down, out);
        } else {
          blend(at, at + 3, at + row_bytes, at + row_bytes + 3, right, down, out);
        }
        continue;
      }
      if (fill == kFillBorder) {
        x = bounded(x, 0, most);
        y = bounded(y, 0, most);
      } else {
        x = bounded(x, -2, most + 2);
        y = bounded(y, -2, most + 2);
      }
      const int left = static_cast<int>(std::floor(x));
      const int top = static_cast<int>(std::floor(y));
      const int next = fill == kFillBorder ? std::min(left + 1, side - 1) : left + 1;
      const int below = fill == kFillBorder ? std::min(top + 1, side - 1) : top + 1;
      blend(pixel(left, top), pixel(next, top), pixel(left, below), pixel(next, below), x - static_cast<float>(left),
            y - static_cast<float>(top), out);
    }
  }
}

}  // namespace conquer
