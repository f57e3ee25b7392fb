// build: -O3 -fno-trapping-math -falign-loops=64
//
// Products of bfloat16 with sums in float32: pairs of numbers are multiplied at a time, so that one side is packed in pairs.
#include "bfloat16-kernel.h"
#include "bfloat16-lanes.h"

#include <algorithm>
#include <vector>

#ifdef CONQUER_HAS_BFLOAT16

namespace conquer {
namespace bfloat16 {
namespace {

// A tile of sums: as many channels of a, and of b (two vectors).
constexpr int64_t kTileRows = 8;
constexpr int64_t kTileColumns = kColumns;

// a in panels of kTileRows channels: (panel, pair, channel).
WITH_BFLOAT16 void pack_a(const uint16_t* const* rows, int64_t pairs, Range range, uint32_t* to) {
  const __m512i low = lanes_of_pairs(false), high = lanes_of_pairs(true);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const uint16_t *const one = rows[2 * pair] + range.begin, *const other = rows[2 * pair + 1] + range.begin;
    for (int64_t channel = 0; channel < range.size(); channel += kChannels) {
      const __m512i x = _mm512_loadu_si512(one + channel), y = _mm512_loadu_si512(other + channel);
      const __m512i first = _mm512_permutex2var_epi16(x, low, y), second = _mm512_permutex2var_epi16(x, high, y);
      uint32_t* const panel = to + channel * pairs + pair * kTileRows;
      const int64_t next = kTileRows * pairs;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel), _mm512_castsi512_si256(first));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + next), _mm512_extracti64x4_epi64(first, 1));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + 2 * next), _mm512_castsi512_si256(second));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + 3 * next), _mm512_extracti64x4_epi64(second, 1));
    }
  }
}

// b in panels of kTileColumns channels: (panel, pair, channel).
WITH_BFLOAT16 void pack_b(const uint16_t* const* rows, int64_t pairs, Range range, uint32_t* to) {
  const __m512i low = lanes_of_pairs(false), high = lanes_of_pairs(true);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const uint16_t *const one = rows[2 * pair] + range.begin, *const other = rows[2 * pair + 1] + range.begin;
    for (int64_t channel = 0; channel < range.size(); channel += kTileColumns) {
      const __m512i x = _mm512_loadu_si512(one + channel), y = _mm512_loadu_si512(other + channel);
      uint32_t* const panel = to + channel * pairs + pair * kTileColumns;
      _mm512_storeu_si512(panel, _mm512_permutex2var_epi16(x, low, y));
      _mm512_storeu_si512(panel + 16, _mm512_permutex2var_epi16(x, high, y));
    }
  }
}

WITH_BFLOAT16 void tile(const uint32_t* a, const uint32_t* b, int64_t pairs, bool first, float* sums, int64_t apart) {
  __m512 of[kTileRows][2];
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
    of[i][0] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * apart);
    of[i][1] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * apart + 16);
  }
  for (int64_t pair = 0; pair < pairs; ++pair, a += kTileRows, b += kTileColumns) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(b), high = (__m512bh)_mm512_loadu_si512(b + 16);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
      const __m512bh factor = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[i]));
      of[i][0] = _mm512_dpbf16_ps(of[i][0], factor, low);
      of[i][1] = _mm512_dpbf16_ps(of[i][1], factor, high);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
    _mm512_storeu_ps(sums + i * apart, of[i][0]);
    _mm512_storeu_ps(sums + i * apart + 16, of[i][1]);
  }
}

// The taps of each tile of rows, but for those that all of its rows see zeros for; taps whose pieces follow each other in memory are one run. Of one tap nothing is asked.
class Taps {
 public:
  struct Run {
    int64_t tap, count;
  };

  explicit Taps(const Pieces& of) {
    for (int64_t row = 0; row < of.count && of.taps > 1; row += kRows) {
      bool goes_on = false;
      for (int64_t tap = 0; tap < of.taps; ++tap) {
        const uint16_t* const* const rows = of.rows + tap * of.apart + row;
        const auto each = [&](const auto& is) { return is(0) && is(1) && is(2) && is(3) && is(4) && is(5) && is(6) && is(7); };
        static_assert(kRows == 8, "all of them are asked");
        if (of.zeros != nullptr && each([&](int64_t i) { return rows[i] == of.zeros; })) {
          goes_on = false;
        } else if (goes_on && each([&](int64_t i) { return rows[i] == rows[i - of.apart] + of.depth; })) {
          ++runs_.back().count;
        } else {
          runs_.push_back({tap, 1});
          goes_on = true;
        }
      }
      ends_.push_back(runs_.size());
    }
  }
  const Run* begin(int64_t row) const { return runs_.data() + (row == 0 ? 0 : ends_[static_cast<size_t>(row / kRows - 1)]); }
  const Run* end(int64_t row) const { return runs_.data() + ends_[static_cast<size_t>(row / kRows)]; }

 private:
  std::vector<Run> runs_;
  std::vector<size_t> ends_;
};

// Added to `of`: kRows rows of a tap times its part of a panel of kTileColumns columns.
WITH_BFLOAT16 inline __attribute__((always_inline)) void add_rows(const uint16_t* const* rows, int64_t pairs, const uint32_t* panel, __m512 (&of)[kRows][2]) {
  const uint32_t* from[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) from[i] = reinterpret_cast<const uint32_t*>(rows[i]);
  for (int64_t pair = 0; pair < pairs; ++pair, panel += kTileColumns) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(panel), high = (__m512bh)_mm512_loadu_si512(panel + 16);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m512bh factor = (__m512bh)_mm512_set1_epi32(static_cast<int>(from[i][pair]));
      of[i][0] = _mm512_dpbf16_ps(of[i][0], factor, low);
      of[i][1] = _mm512_dpbf16_ps(of[i][1], factor, high);
    }
  }
}

WITH_BFLOAT16 inline __attribute__((always_inline)) void sums_of_rows(const Pieces& pieces, const Taps& taps, int64_t row, const uint32_t* panel, __m512 (&of)[kRows][2]) {
  const int64_t pairs = pieces.depth / 2;
  if (pieces.taps == 1) return add_rows(pieces.rows + row, pairs, panel, of);
  for (const Taps::Run *run = taps.begin(row), *end = taps.end(row); run < end; ++run) {
    add_rows(pieces.rows + run->tap * pieces.apart + row, run->count * pairs, panel + run->tap * pairs * kTileColumns, of);
  }
}

// kAll: all rows and columns of the tile are there.
template <bool kAll>
WITH_BFLOAT16 inline __attribute__((always_inline)) void tile_of_rows(const Pieces& pieces, const Taps& taps, int64_t row, const uint32_t* panel, int64_t column, const Finish& finish,
                                const Outputs& to) {
  const int64_t left = to.columns - column;
  const __mmask16 some[2] = {first_lanes(left), left > 16 ? first_lanes(left - 16) : static_cast<__mmask16>(0)};
  __m512 of[kRows][2];
  for (int half = 0; half < 2; ++half) {
    const __m512 bias = finish.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(some[half], finish.bias + column + 16 * half);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) of[i][half] = bias;
  }
  sums_of_rows(pieces, taps, row, panel, of);
  const __m512 least = _mm512_set1_ps(finish.limits.least), most = _mm512_set1_ps(finish.limits.most);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    if (!kAll && row + i >= pieces.count) continue;
    const int64_t place = (to.places == nullptr ? row + i : to.places[row + i]) * to.apart + column;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = place + half * 16;
      __m512 sum = of[i][half];
      if (finish.residual != nullptr) sum = _mm512_add_ps(sum, widen(kAll ? load(finish.residual + at) : _mm256_maskz_loadu_epi16(some[half], finish.residual + at)));
      // Of a NaN the second operand.
      const __m256i rounded = narrow(_mm512_min_ps(most, _mm512_max_ps(least, sum)));
      kAll ? store(to.numbers + at, rounded) : _mm256_mask_storeu_epi16(to.numbers + at, some[half], rounded);
    }
  }
}

WITH_BFLOAT16 void tile_of_floats(const Pieces& pieces, const Taps& taps, int64_t row, const uint32_t* panel, int64_t columns, float* y) {
  __m512 of[kRows][2];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) of[i][0] = of[i][1] = _mm512_setzero_ps();
  sums_of_rows(pieces, taps, row, panel, of);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    if (row + i >= pieces.count) continue;
    _mm512_storeu_ps(y + i * columns, of[i][0]);
    _mm512_storeu_ps(y + i * columns + 16, of[i][1]);
  }
}

}  // namespace

// Not vectors, which would be filled with zeros first.
ProductOfRows::ProductOfRows(Range a, Range b)
    : a_(a), b_(b), packed_a_(new uint32_t[kMostRows / 2 * a.size()]), packed_b_(new uint32_t[kMostRows / 2 * b.size()]) {}

ProductOfRows::~ProductOfRows() {
  delete[] packed_a_;
  delete[] packed_b_;
}

void ProductOfRows::add(const uint16_t* const* a, const uint16_t* const* b, int64_t rows, bool first, float* sums, int64_t apart) {
  const int64_t pairs = rows / 2;
  pack_a(a, pairs, a_, packed_a_);
  pack_b(b, pairs, b_, packed_b_);
  for (int64_t column = 0; column < b_.size(); column += kTileColumns) {
    for (int64_t row = 0; row < a_.size(); row += kTileRows) {
      tile(packed_a_ + row * pairs, packed_b_ + column * pairs, pairs, first, sums + row * apart + column, apart);
    }
  }
}

WITH_BFLOAT16 void pack_columns(const Matrix& weight, int64_t depth, int64_t begin, int64_t end, uint32_t* to) {
  const __m512i apart = multiples_of(kTileColumns);
  for (int64_t column = begin; column < end; ++column) {
    const uint16_t* const from = weight.numbers + column * weight.apart;
    uint32_t* const panel = to + column / kTileColumns * kTileColumns * (depth / 2) + column % kTileColumns;
    for (int64_t pair = 0; pair < depth / 2; pair += 16) {
      const __mmask16 some = first_lanes(depth / 2 - pair);
      const __m512i numbers = column < weight.rows ? _mm512_maskz_loadu_epi32(some, from + 2 * pair) : _mm512_setzero_si512();
      _mm512_mask_i32scatter_epi32(panel + pair * kTileColumns, some, apart, numbers, 4);
    }
  }
}

WITH_BFLOAT16 void pack_rows(const Matrix& weight, int64_t depth, int64_t whole, int64_t begin, int64_t end, uint32_t* to) {
  const __m512i low = lanes_of_pairs(false), high = lanes_of_pairs(true);
  for (int64_t column = begin; column < end; column += kTileColumns) {
    uint32_t* const panel = to + column * (whole / 2);
    for (int64_t pair = 0; pair < depth / 2; ++pair) {
      const uint16_t* const one = weight.numbers + 2 * pair * weight.apart + column;
      const __m512i x = 2 * pair < weight.rows ? _mm512_loadu_si512(one) : _mm512_setzero_si512();
      const __m512i y = 2 * pair + 1 < weight.rows ? _mm512_loadu_si512(one + weight.apart) : _mm512_setzero_si512();
      _mm512_storeu_si512(panel + pair * kTileColumns, _mm512_permutex2var_epi16(x, low, y));
      _mm512_storeu_si512(panel + pair * kTileColumns + 16, _mm512_permutex2var_epi16(x, high, y));
    }
  }
}

WITH_BFLOAT16 void product(const Pieces& of, const uint32_t* packed, int64_t begin, int64_t end, const Finish& finish, const Outputs& to) {
  const Taps taps(of);
  const int64_t pairs = of.taps * of.depth / 2;
  for (int64_t column = begin; column < end; column += kTileColumns) {
    for (int64_t row = 0; row < of.count; row += kRows) {
      const uint32_t* const panel = packed + column * pairs;
      if (row + kRows <= of.count && column + kColumns <= to.columns) tile_of_rows<true>(of, taps, row, panel, column, finish, to);
      else tile_of_rows<false>(of, taps, row, panel, column, finish, to);
    }
  }
}

void product(const Pieces& of, const uint32_t* packed, int64_t columns, float* y) {
  const Taps taps(of);
  const int64_t pairs = of.taps * of.depth / 2;
  for (int64_t column = 0; column < columns; column += kTileColumns) {
    for (int64_t row = 0; row < of.count; row += kRows) tile_of_floats(of, taps, row, packed + column * pairs, columns, y + row * columns + column);
  }
}

}  // namespace bfloat16
}  // namespace conquer

#else

namespace conquer {
namespace bfloat16 {

ProductOfRows::ProductOfRows(Range a, Range b) : a_(a), b_(b), packed_a_(nullptr), packed_b_(nullptr) {}
ProductOfRows::~ProductOfRows() {}
void ProductOfRows::add(const uint16_t* const*, const uint16_t* const*, int64_t, bool, float*, int64_t) {}
void pack_columns(const Matrix&, int64_t, int64_t, int64_t, uint32_t*) {}
void pack_rows(const Matrix&, int64_t, int64_t, int64_t, int64_t, uint32_t*) {}
void product(const Pieces&, const uint32_t*, int64_t, int64_t, const Finish&, const Outputs&) {}
void product(const Pieces&, const uint32_t*, int64_t, float*) {}

}  // namespace bfloat16
}  // namespace conquer

#endif
