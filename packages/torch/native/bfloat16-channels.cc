// build: -O3 -fno-trapping-math
//
// Convolutions of each channel by itself. A vector of 32 bfloat16 is two of float32: every second number in the upper half of its lane already, and those between after a shift.
#include "bfloat16-kernel.h"
#include "bfloat16-lanes.h"

#include <algorithm>

#ifdef CONQUER_HAS_BFLOAT16

namespace conquer {
namespace bfloat16 {
namespace {

// Pixels of the outputs that a tap's weights are read once for.
constexpr int kPixels = 4;

// From lanes 0, 1, … of two vectors those that are even, or odd; and back.
WITH_BFLOAT16 inline __m512i every_second(int first) {
  return _mm512_add_epi32(multiples_of(2), _mm512_set1_epi32(first));
}

WITH_BFLOAT16 inline __m512i alternating() {
  alignas(64) uint16_t lanes[32];
  for (int i = 0; i < 32; ++i) lanes[i] = static_cast<uint16_t>(i / 2 + (i % 2 == 0 ? 0 : 16));
  return _mm512_load_si512(lanes);
}

WITH_BFLOAT16 inline __mmask32 first_halves(int64_t count) { return count >= 32 ? ~0u : (1u << count) - 1; }

struct Taps {
  int64_t top, bottom, left, right;
};

// kCount outputs beside each other, of taps that all of them see; the first one's window begins at the number `origin` of the map, which may lie before it.
template <int kCount>
WITH_BFLOAT16 inline __attribute__((always_inline)) void pixels(const ChannelMap& of, int64_t origin, const Taps& taps, const float* packed,
                                                               const Finish& finish, int64_t at, uint16_t* y) {
  const int64_t panels = whole_panels(of.channels);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u)), even = every_second(0), odd = every_second(1), order = alternating();
  const __m512 least = _mm512_set1_ps(finish.limits.least), most = _mm512_set1_ps(finish.limits.most);
  for (int64_t channel = 0; channel < of.channels; channel += kColumns) {
    const __mmask32 some = first_halves(of.channels - channel);
    __m512 sums[kCount][2];
    __m512 first = _mm512_setzero_ps(), second = _mm512_setzero_ps();
    if (finish.bias != nullptr) {
      const __m512 a = _mm512_maskz_loadu_ps(static_cast<__mmask16>(some), finish.bias + channel);
      const __m512 b = _mm512_maskz_loadu_ps(static_cast<__mmask16>(some >> 16), finish.bias + channel + 16);
      first = _mm512_permutex2var_ps(a, even, b);
      second = _mm512_permutex2var_ps(a, odd, b);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) sums[i][0] = first, sums[i][1] = second;
    for (int64_t ky = taps.top; ky < taps.bottom; ++ky) {
      const int64_t row = origin + ky * of.width * of.channels + channel;
      const float* const weights = packed + ky * of.kernel * panels + channel;
      for (int64_t kx = taps.left; kx < taps.right; ++kx) {
        const __m512 low = _mm512_loadu_ps(weights + kx * panels), high = _mm512_loadu_ps(weights + kx * panels + 16);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) {
          const __m512i numbers = _mm512_maskz_loadu_epi16(some, of.x + row + (kx + i * of.step) * of.channels);
          sums[i][0] = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(numbers, 16)), low, sums[i][0]);
          sums[i][1] = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(numbers, upper)), high, sums[i][1]);
        }
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) {
      const int64_t own = (at + i) * of.channels + channel;
      if (finish.residual != nullptr) {
        const __m512i numbers = _mm512_maskz_loadu_epi16(some, finish.residual + own);
        sums[i][0] = _mm512_add_ps(_mm512_castsi512_ps(_mm512_slli_epi32(numbers, 16)), sums[i][0]);
        sums[i][1] = _mm512_add_ps(_mm512_castsi512_ps(_mm512_and_si512(numbers, upper)), sums[i][1]);
      }
      // Of a NaN the second operand.
      const __m512 evens = _mm512_min_ps(most, _mm512_max_ps(least, sums[i][0])), odds = _mm512_min_ps(most, _mm512_max_ps(least, sums[i][1]));
      const __m512i both = _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odds, evens));
      _mm512_mask_storeu_epi16(y + own, some, both);
    }
  }
}

}  // namespace

void pack_channels(const float* weight, int64_t channels, int64_t taps, float* to) {
  const int64_t panels = whole_panels(channels);
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t place = 0; place < panels; ++place) {
      const int64_t lane = place % kColumns, channel = place - lane + (lane < 16 ? 2 * lane : 2 * (lane - 16) + 1);
      to[tap * panels + place] = channel < channels ? weight[channel * taps + tap] : 0;
    }
  }
}

WITH_BFLOAT16 void each_channel(const ChannelMap& of, int64_t row, int64_t columns, const float* packed, const Finish& finish, uint16_t* y) {
  const int64_t first_y = row * of.step - of.top;
  const int64_t top = std::max<int64_t>(0, -first_y), bottom = std::min(of.kernel, of.height - first_y);
  for (int64_t column = 0; column < columns;) {
    const int64_t first_x = column * of.step - of.left, last_x = first_x + (kPixels - 1) * of.step;
    const Taps taps{top, bottom, std::max<int64_t>(0, -first_x), std::min(of.kernel, of.width - first_x)};
    const int64_t origin = (first_y * of.width + first_x) * of.channels;
    if (first_x >= 0 && last_x + of.kernel <= of.width && column + kPixels <= columns) {
      pixels<kPixels>(of, origin, taps, packed, finish, column, y);
      column += kPixels;
    } else {
      pixels<1>(of, origin, taps, packed, finish, column, y);
      ++column;
    }
  }
}

}  // namespace bfloat16
}  // namespace conquer

#else

namespace conquer {
namespace bfloat16 {

void pack_channels(const float*, int64_t, int64_t, float*) {}
void each_channel(const ChannelMap&, int64_t, int64_t, const float*, const Finish&, uint16_t*) {}

}  // namespace bfloat16
}  // namespace conquer

#endif
