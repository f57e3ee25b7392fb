#include "resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

// AVX2 does the same integer arithmetic many numbers at a time; whether the processor has it is seen at run time.
#if defined(__x86_64__) && !defined(CONQUER_NO_AVX2)
#include <immintrin.h>
#define CONQUER_AVX2 __attribute__((target("avx2")))
#endif

namespace conquer {
namespace {

constexpr int kBits = 22;
constexpr int32_t kHalf = 1 << (kBits - 1);

// A cubic kernel's weights may be negative: a sum may leave the 8 bits, but not the 32.
uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

template <int Stride>
void resize_row(const uint8_t* row, const Filter& filter, uint8_t* out) {
  const int taps = filter.taps;
  const int32_t* weight = filter.weights.data();
  for (const int32_t first : filter.firsts) {
    const uint8_t* pixel = row + static_cast<size_t>(first) * Stride;
    int32_t red = kHalf;
    int32_t green = kHalf;
    int32_t blue = kHalf;
    for (int tap = 0; tap < taps; tap++, pixel += Stride) {
      red += pixel[0] * weight[tap];
      green += pixel[1] * weight[tap];
      blue += pixel[2] * weight[tap];
    }
    out[0] = rounded(red);
    out[1] = rounded(green);
    out[2] = rounded(blue);
    out += 3;
    weight += taps;
  }
}

// One row of the output out of `count` rows, from column `x` on.
void blend_rows(const uint8_t* rows, size_t bytes, const int32_t* weights, int count, size_t x, uint8_t* out) {
  for (; x < bytes; x++) {
    int32_t sum = kHalf;
    for (int row = 0; row < count; row++) sum += rows[x + row * bytes] * weights[row];
    out[x] = rounded(sum);
  }
}

#ifdef CONQUER_AVX2

// Four bytes as four integers.
CONQUER_AVX2 inline __m128i load4(const uint8_t* bytes) {
  int32_t word;
  std::memcpy(&word, bytes, 4);
  return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(word));
}

// Each pixel is four integers, the fourth of no meaning. Known numbers of taps (0: any) spare the loop.
template <int Stride, int Taps>
CONQUER_AVX2 void resize_row_avx2(const uint8_t* row, const Filter& filter, uint8_t* out) {
  const int taps = Taps > 0 ? Taps : filter.taps;
  const int32_t* weight = filter.weights.data();
  const __m128i half = _mm_set1_epi32(kHalf);
  for (const int32_t first : filter.firsts) {
    const uint8_t* pixel = row + static_cast<size_t>(first) * Stride;
    __m128i sum = half;
    for (int tap = 0; tap < taps; tap++, pixel += Stride) {
      sum = _mm_add_epi32(sum, _mm_mullo_epi32(load4(pixel), _mm_set1_epi32(weight[tap])));
    }
    const __m128i words = _mm_packus_epi32(_mm_srai_epi32(sum, kBits), _mm_setzero_si128());
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    std::memcpy(out, &bytes, 4);  // the fourth byte is overwritten by the next pixel
    out += 3;
    weight += taps;
  }
}

template <int Stride>
CONQUER_AVX2 void resize_row_avx2(const uint8_t* row, const Filter& filter, uint8_t* out) {
  switch (filter.taps) {
    case 1: return resize_row_avx2<Stride, 1>(row, filter, out);
    case 2: return resize_row_avx2<Stride, 2>(row, filter, out);
    case 3: return resize_row_avx2<Stride, 3>(row, filter, out);
    case 4: return resize_row_avx2<Stride, 4>(row, filter, out);
    default: return resize_row_avx2<Stride, 0>(row, filter, out);
  }
}

CONQUER_AVX2 void blend_rows_avx2(const uint8_t* rows, size_t bytes, const int32_t* weights, int count, uint8_t* out) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  size_t x = 0;
  for (; x + 32 <= bytes; x += 32) {
    __m256i sums[4];
    for (__m256i& sum : sums) sum = _mm256_set1_epi32(kHalf);
    const uint8_t* from = rows + x;
    for (int row = 0; row < count; row++, from += bytes) {
      const __m256i weight = _mm256_set1_epi32(weights[row]);
      for (int part = 0; part < 4; part++) {
        const __m128i values = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + 8 * part));
        sums[part] = _mm256_add_epi32(sums[part], _mm256_mullo_epi32(_mm256_cvtepu8_epi32(values), weight));
      }
    }
    for (__m256i& sum : sums) sum = _mm256_srai_epi32(sum, kBits);
    const __m256i low = _mm256_packus_epi32(sums[0], sums[1]);
    const __m256i high = _mm256_packus_epi32(sums[2], sums[3]);
    const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), packed);
  }
  blend_rows(rows, bytes, weights, count, x, out);
}

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}

#endif

}  // namespace

namespace {

double weight_of(Kernel kernel, double distance) {
  const double x = std::abs(distance);
  if (kernel == Kernel::triangle) return std::max(0.0, 1 - x);
  // Keys' cubic with a = -0.5.
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

}  // namespace

double support_of(Kernel kernel) { return kernel == Kernel::triangle ? 1 : 2; }

void make_filter(Kernel kernel, double from, double to, int inputs, int outputs, bool mirror, Filter& filter) {
  const double scale = (to - from) / outputs;
  const double stretch = std::max(scale, 1.0);
  const double support = support_of(kernel) * stretch;
  // The windows [first, last) first, as the widest decides how many weights each has.
  std::vector<int32_t> lasts(outputs);
  filter.firsts.resize(outputs);
  filter.taps = 1;
  const auto weight = [kernel, stretch](double center, int input) {
    return weight_of(kernel, (input - center + 0.5) / stretch);
  };
  const auto center_of = [&](int index) { return from + ((mirror ? outputs - 1 - index : index) + 0.5) * scale; };
  for (int index = 0; index < outputs; index++) {
    const double center = center_of(index);
    int first = std::max(0, static_cast<int>(center - support + 0.5));
    int last = std::min(inputs, static_cast<int>(center + support + 0.5));
    while (last - first > 1 && weight(center, last - 1) == 0) last--;
    while (last - first > 1 && weight(center, first) == 0) first++;
    filter.firsts[index] = first;
    lasts[index] = last;
    filter.taps = std::max(filter.taps, last - first);
  }
  filter.weights.assign(static_cast<size_t>(outputs) * filter.taps, 0);
  for (int index = 0; index < outputs; index++) {
    const double center = center_of(index);
    double sum = 0;
    for (int input = filter.firsts[index]; input < lasts[index]; input++) sum += weight(center, input);
    // Windows do not reach behind the last input sample.
    const int start = std::min(filter.firsts[index], inputs - filter.taps);
    int32_t* weights = filter.weights.data() + static_cast<size_t>(index) * filter.taps;
    for (int input = filter.firsts[index]; input < lasts[index]; input++) {
      const double share = weight(center, input) / sum * (1 << kBits);
      weights[input - start] = static_cast<int32_t>(share < 0 ? share - 0.5 : share + 0.5);
    }
    filter.firsts[index] = start;
  }
}

void resize_row_rgb(const uint8_t* row, const Filter& filter, uint8_t* out) {
#ifdef CONQUER_AVX2
  if (has_avx2()) return resize_row_avx2<3>(row, filter, out);
#endif
  resize_row<3>(row, filter, out);
}

void resize_row_rgbx(const uint8_t* row, const Filter& filter, uint8_t* out) {
#ifdef CONQUER_AVX2
  if (has_avx2()) return resize_row_avx2<4>(row, filter, out);
#endif
  resize_row<4>(row, filter, out);
}

void resize_columns(const uint8_t* rows, size_t bytes, const Filter& filter, uint8_t* out) {
  const int32_t* weights = filter.weights.data();
  for (const int32_t first : filter.firsts) {
    int skipped = 0;
    while (skipped < filter.taps - 1 && weights[skipped] == 0) skipped++;
    int count = filter.taps - skipped;
    while (count > 1 && weights[skipped + count - 1] == 0) count--;
    const uint8_t* top = rows + static_cast<size_t>(first + skipped) * bytes;
#ifdef CONQUER_AVX2
    if (has_avx2()) {
      blend_rows_avx2(top, bytes, weights + skipped, count, out);
    } else
#endif
    {
      blend_rows(top, bytes, weights + skipped, count, 0, out);
    }
    out += bytes;
    weights += filter.taps;
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
