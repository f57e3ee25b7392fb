// Ranks without a ranking: of each query some rows of the gallery are known, its targets, and how many others are nearer than each of them is counted.
#pragma once

#include "environment.h"
#include "squared-distance.h"

#include <algorithm>

namespace conquer {

// The targets of all queries, and the counts.
struct Targets {
  int64_t queries;
  const int32_t* starts;  // (queries + 1): where a query's targets begin
  const int32_t* places;  // in the gallery; of each query ascending by squared distance, and then by place
  const double* squares;  // the squared distances, exact
  const float* lows;      // the same in the space of the products, rounded down
  const float* highs;     // and up
  const int32_t* kept;    // of a query's targets the first so many are counted for
  const float* limits;    // what is farther from a query than this is not looked at, in that space
  // A query's begin at start + query: one for what comes before its first target, one for what comes between that and the second, …; a last one for what comes after those that
  // are kept but surely within the limit.
  int32_t* counts;

  int32_t* counts_of(int64_t query) const { return counts + starts[query] + query; }

  void add(int64_t query, int64_t bucket, int32_t by = 1) const {
    // Another thread may have the same query, as a column.
    __atomic_fetch_add(counts_of(query) + bucket, by, __ATOMIC_RELAXED);
  }

  // How many of `count` ascending numbers are less than this one.
  template <typename Number>
  static int64_t less(const Number* numbers, int64_t count, Number than) {
    if (count > 16) return std::lower_bound(numbers, numbers + count, than) - numbers;
    int64_t some = 0;
    for (int64_t i = 0; i < count; ++i) some += numbers[i] < than;
    return some;
  }

  // Before which target a row of the gallery comes, by its exact squared distance, equal ones by their places; itself it comes before, too.
  int64_t bucket_of(int64_t query, int32_t place, double square) const {
    const int64_t first = starts[query];
    int64_t bucket = less(squares + first, kept[query], square);
    while (bucket < kept[query] && squares[first + bucket] == square && places[first + bucket] < place) ++bucket;
    return bucket;
  }
};

}  // namespace conquer
