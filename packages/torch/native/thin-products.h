// Products of rows with a few columns that the cache holds: what a matrix product costs, and less than BLAS takes for it, as
// rows are neither copied nor the products written beyond the cache. In any order and fused or not: their error bound holds for
// all. No libtorch here: the kernel has flags of its own.
#pragma once

#include <cstdint>
#include <vector>

namespace conquer {
namespace thin {

// Rows whose products are taken together.
constexpr int64_t kRows = 48;

// Columns (count, dimensions), eight beside each other: the first numbers of all of these, then the second. Beyond the last one
// are some that are infinitely far from everything.
struct Packed {
  Packed(const float* columns, int64_t count, int64_t dimensions);

  int64_t dimensions, width;
  std::vector<float> numbers, squares;
  float longest;  // norm, or a little more
};

struct Smallest {
  float value, second;
  int64_t index;
};

// to (kRows, width) = |y|² - 2 x·y
void scores(const float* const* rows, const Packed& columns, float* to);

// The smallest of so many numbers, a multiple of eight, where it stands, and the second smallest; any of equal ones.
Smallest two_smallest(const float* numbers, int64_t count);

}  // namespace thin
}  // namespace conquer
