// build: -O3
#include "thin-products.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace conquer {
namespace thin {
namespace {

using Floats = float __attribute__((vector_size(32)));
using Words = int32_t __attribute__((vector_size(32)));
constexpr int64_t kLanes = 8;
// Rows that share the registers: with two vectors of columns 12 sums.
constexpr int64_t kTile = 6;

inline __attribute__((always_inline)) void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }

// Of kTile rows and `vectors` times eight columns from `column` on.
template <int vectors>
inline __attribute__((always_inline)) void tile(const float* const* rows, const Packed& columns, int64_t column, float* to) {
  const int64_t dimensions = columns.dimensions;
  const float* const packed = columns.numbers.data() + column * dimensions;
  Floats sums[kTile][vectors] = {};
  for (int64_t d = 0; d < dimensions; ++d) {
    Floats y[vectors];
    for (int v = 0; v < vectors; ++v) load(packed + (v * dimensions + d) * kLanes, y[v]);
    for (int i = 0; i < kTile; ++i) {
      const float x = rows[i][d];
      for (int v = 0; v < vectors; ++v) sums[i][v] += x * y[v];
    }
  }
  for (int i = 0; i < kTile; ++i) {
    for (int v = 0; v < vectors; ++v) {
      Floats score;
      load(columns.squares.data() + column + v * kLanes, score);
      score -= 2 * sums[i][v];
      std::memcpy(to + i * columns.width + column + v * kLanes, &score, sizeof score);
    }
  }
}

inline __attribute__((always_inline)) void all_scores(const float* const* rows, const Packed& columns, float* to) {
  int64_t column = 0;
  for (; column + 2 * kLanes <= columns.width; column += 2 * kLanes) {
    for (int64_t row = 0; row < kRows; row += kTile) tile<2>(rows + row, columns, column, to + row * columns.width);
  }
  if (column == columns.width) return;
  for (int64_t row = 0; row < kRows; row += kTile) tile<1>(rows + row, columns, column, to + row * columns.width);
}

inline __attribute__((always_inline)) Smallest smallest_of(const float* numbers, int64_t count) {
  const Floats none = Floats{} + std::numeric_limits<float>::infinity();
  Floats value = none, second = none;
  Words place = {}, at = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int64_t j = 0; j < count; j += kLanes, at += static_cast<int32_t>(kLanes)) {
    Floats x;
    load(numbers + j, x);
    const Words nearer = x < value;
    const Floats rest = nearer ? value : x;
    second = rest < second ? rest : second;
    value = nearer ? x : value;
    place = nearer ? at : place;
  }
  Smallest found{value[0], second[0], place[0]};
  for (int lane = 1; lane < kLanes; ++lane) {
    const float x = value[lane], rest = x < found.value ? found.value : x;
    if (x < found.value) {
      found.value = x;
      found.index = place[lane];
    }
    found.second = std::min(found.second, std::min(rest, second[lane]));
  }
  return found;
}

using Scores = void (*)(const float* const*, const Packed&, float*);
using Select = Smallest (*)(const float*, int64_t);
void plain_scores(const float* const* rows, const Packed& columns, float* to) { all_scores(rows, columns, to); }
Smallest plain_smallest(const float* numbers, int64_t count) { return smallest_of(numbers, count); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) void scores_avx2(const float* const* rows, const Packed& columns, float* to) { all_scores(rows, columns, to); }
__attribute__((target("avx2,fma"))) Smallest smallest_avx2(const float* numbers, int64_t count) { return smallest_of(numbers, count); }
const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
const Scores best_scores = has_avx2 ? scores_avx2 : plain_scores;
const Select best_smallest = has_avx2 ? smallest_avx2 : plain_smallest;
#else
const Scores best_scores = plain_scores;
const Select best_smallest = plain_smallest;
#endif

}  // namespace

Packed::Packed(const float* columns, int64_t count, int64_t size)
    : dimensions(size),
      width((count + kLanes - 1) / kLanes * kLanes),
      numbers(static_cast<size_t>(width * size)),
      squares(static_cast<size_t>(width), std::numeric_limits<float>::infinity()) {
  double most = 0;
  for (int64_t j = 0; j < count; ++j) {
    double square = 0;
    float* const to = numbers.data() + j / kLanes * kLanes * dimensions + j % kLanes;
    for (int64_t d = 0; d < dimensions; ++d) {
      const float x = columns[j * dimensions + d];
      to[d * kLanes] = x;
      square += static_cast<double>(x) * x;
    }
    squares[static_cast<size_t>(j)] = static_cast<float>(square);
    most = square > most ? square : most;
  }
  longest = static_cast<float>(std::sqrt(most)) * (1 + 0x1p-22f);
}

void scores(const float* const* rows, const Packed& columns, float* to) { best_scores(rows, columns, to); }

Smallest two_smallest(const float* numbers, int64_t count) { return best_smallest(numbers, count); }

}  // namespace thin
}  // namespace conquer
