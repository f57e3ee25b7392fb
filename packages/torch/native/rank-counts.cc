// build: -O2
// Counts how many rows of a gallery are nearer to each query than each of its targets, see rank-counts.h. Products of integers settle nearly all pairs by a bound (see
// quantized-products.h), distances by differences in double what they leave over, and sums that do not depend on their order what even these leave equal.
#include "rank-counts.h"
#include "parallel.h"
#include "quantized-rows.h"
#include "single-squared-distance.h"

#include <ATen/ops/empty.h>

#include <tuple>
#include <utility>
#include <vector>

namespace conquer {
namespace {

using namespace quantized;

// Rows and columns that a thread takes at a time.
constexpr int64_t kStrip = 512;
constexpr int64_t kPanels = 2048;
// Pairs that wait before their distances are taken: so few that the rows of a panel are still in the cache.
constexpr size_t kWaiting = 4096;

Targets to_targets(napi_env env, napi_value value, int64_t size) {
  const std::vector<at::Tensor> all = to_tensor_list(env, value, "targets");
  if (all.size() != 8) throw std::runtime_error("targets are eight tensors");
  const at::Tensor& starts = require(all[0], "starts", at::kInt, 1);
  const at::Tensor& places = require(all[1], "places", at::kInt, 1);
  // These say where the others are read and written.
  for (const size_t written : {5, 7}) {
    for (const size_t read : {0, 1, 5}) {
      if (written != read && all[written].is_alias_of(all[read])) throw std::runtime_error("kept and counts must have memory of their own");
    }
  }
  const int64_t queries = starts.size(0) - 1, count = places.size(0);
  const int32_t* const first = starts.data_ptr<int32_t>();
  if (queries < 0 || first[0] != 0 || first[queries] != count || !std::is_sorted(first, first + queries + 1)) throw std::runtime_error("starts must ascend from 0 to the number of places");
  const int32_t* const place = places.data_ptr<int32_t>();
  if (!std::all_of(place, place + count, [&](int32_t at) { return at >= 0 && at < size; })) throw std::runtime_error("a target's place is not in the gallery");
  const auto fits = [&](size_t i, const char* what, at::ScalarType type, int64_t wanted) -> const at::Tensor& {
    const at::Tensor& tensor = require(all[i], what, type, 1);
    if (tensor.size(0) != wanted) throw std::runtime_error(std::string(what) + " do not fit the targets");
    return tensor;
  };
  const Targets targets = {queries,
                           first,
                           place,
                           fits(2, "squares", at::kDouble, count).data_ptr<double>(),
                           fits(3, "lows", at::kFloat, count).data_ptr<float>(),
                           fits(4, "highs", at::kFloat, count).data_ptr<float>(),
                           fits(5, "kept", at::kInt, queries).data_ptr<int32_t>(),
                           fits(6, "limits", at::kFloat, queries).data_ptr<float>(),
                           fits(7, "counts", at::kInt, count + queries).data_ptr<int32_t>()};
  for (int64_t query = 0; query < queries; ++query) {
    if (targets.kept[query] < 0 || targets.kept[query] > first[query + 1] - first[query]) throw std::runtime_error("kept must be 0 to a query's targets");
  }
  return targets;
}

struct Vectors {
  const float* queries;
  const float* gallery;
  int64_t query_count, size, dimensions;
};

Vectors to_vectors(napi_env env, napi_value queries, napi_value gallery) {
  const at::Tensor& q = require(to_tensor(env, queries), "queries", at::kFloat, 2);
  const at::Tensor& g = require(to_tensor(env, gallery), "gallery", at::kFloat, 2);
  if (q.size(1) != g.size(1)) throw std::runtime_error("queries and gallery must have as many columns");
  return {q.data_ptr<float>(), g.data_ptr<float>(), q.size(0), g.size(0), g.size(1)};
}

double exact_square(const Vectors& vectors, int64_t query, int64_t place) {
  return squared_distance(vectors.queries + query * vectors.dimensions, vectors.gallery + place * vectors.dimensions, vectors.dimensions);
}

// NaN, which is for the caller to refuse, would be in no order at all, and sorting go astray.
double ordered_square(const Vectors& vectors, int64_t query, int64_t place) {
  const double square = exact_square(vectors, query, place);
  return square >= 0 ? square : std::numeric_limits<double>::infinity();
}

// The bits of a tile's columns from the one at 0 on of which there are `left`.
uint32_t bits_of(int64_t left) { return left >= kColumns ? ~uint32_t{0} : (uint32_t{1} << left) - 1; }

// sortTargets(queries, gallery, starts, places) → squares (P) float64; the places of each query are put in the order of their squared distances, equal ones of the places.
napi_value sort_targets(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<4> arguments(env, info);
    const Vectors vectors = to_vectors(env, arguments[0], arguments[1]);
    const at::Tensor& starts = require(to_tensor(env, arguments[2]), "starts", at::kInt, 1);
    const at::Tensor& places = require(to_tensor(env, arguments[3]), "places", at::kInt, 1);
    const int32_t* const first = starts.data_ptr<int32_t>();
    int32_t* const place = places.data_ptr<int32_t>();
    const int64_t count = places.size(0);
    if (places.is_alias_of(starts)) throw std::runtime_error("places must have memory of their own");
    if (starts.size(0) != vectors.query_count + 1 || first[0] != 0 || first[vectors.query_count] != count || !std::is_sorted(first, first + starts.size(0))) {
      throw std::runtime_error("starts must be one more than the queries and ascend from 0 to the number of places");
    }
    if (!std::all_of(place, place + count, [&](int32_t at) { return at >= 0 && at < vectors.size; })) throw std::runtime_error("a target's place is not in the gallery");
    const at::Tensor squares = at::empty({count}, at::kDouble);
    double* const to = squares.data_ptr<double>();
    // Of rows among themselves each distance is one of two queries': the one that comes first takes it.
    const bool same = vectors.queries == vectors.gallery;
    in_parallel(vectors.query_count, 64, [&](int64_t begin, int64_t end) {
      for (int64_t query = begin; query < end; ++query) {
        for (int64_t at = first[query]; at < first[query + 1]; ++at) {
          if (!same || place[at] >= query) to[at] = ordered_square(vectors, query, place[at]);
        }
      }
    });
    in_parallel(same ? vectors.query_count : 0, 256, [&](int64_t begin, int64_t end) {
      for (int64_t query = begin; query < end; ++query) {
        for (int64_t at = first[query]; at < first[query + 1]; ++at) {
          const int32_t other = place[at];
          if (other >= query) continue;
          const int32_t* const last = place + first[other + 1];
          const int32_t* const found = std::lower_bound<const int32_t*>(place + first[other], last, static_cast<int32_t>(query));
          to[at] = found != last && *found == query ? to[found - place] : ordered_square(vectors, query, other);
        }
      }
    });
    in_parallel(vectors.query_count, 256, [&](int64_t begin, int64_t end) {
      std::vector<std::pair<double, int32_t>> own;
      for (int64_t query = begin; query < end; ++query) {
        own.clear();
        for (int64_t at = first[query]; at < first[query + 1]; ++at) own.emplace_back(to[at], place[at]);
        std::sort(own.begin(), own.end());
        for (size_t i = 0; i < own.size(); ++i) std::tie(to[first[query] + i], place[first[query] + i]) = own[i];
      }
    });
    return from_tensor(env, squares);
  });
}

// limitTargets(dimensions, packed, facts, samplePacked, sampleFacts, sampleCount, rank, size, targets) → number: where more of the sample than `rank` may be nearer to a query than its last
// target, the sample's row of that rank is its limit from now on, and the targets beyond are not counted for; else the last target is its limit. Returned is how many pairs of the queries
// with the sample the products leave undecided.
napi_value limit_targets(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<9> arguments(env, info);
    const int64_t dimensions = to_int64(env, arguments[0], "dimensions"), rank = to_int64(env, arguments[6], "rank");
    const Targets targets = to_targets(env, arguments[8], to_int64(env, arguments[7], "size"));
    const Rows rows = to_rows(env, arguments[1], arguments[2], targets.queries, dimensions);
    const Rows sample = to_rows(env, arguments[3], arguments[4], to_int64(env, arguments[5], "sampleCount"), dimensions);
    if (rows.bytes != sample.bytes) throw std::runtime_error("rows and sample do not fit each other");
    if (rank < 0 || sample.count < 1) throw std::runtime_error("rank must be 0 or more, and the sample not empty");
    const Side& s = sample.side;
    const float largest_norm = *std::max_element(s.norms, s.norms + sample.count), largest_error = *std::max_element(s.errors, s.errors + sample.count);
    const std::vector<float> nothing(kColumns, -std::numeric_limits<float>::infinity());
    int32_t* const kept_of = const_cast<int32_t*>(targets.kept);
    float* const limits = const_cast<float*>(targets.limits);
    std::atomic<int64_t> undecided{0};
    in_parallel(rows.count, 8 * kRows, [&](int64_t begin, int64_t end) {
      const int64_t places = places_of(sample.count);
      std::vector<float> all(static_cast<size_t>(kRows * places));
      Tile found;
      for (int64_t row = begin; row < end; row += kRows) {
        float last[kRows];
        int64_t come[kRows] = {};
        for (int64_t i = 0; i < kRows; ++i) {
          const bool any = row + i < end && targets.starts[row + i] < targets.starts[row + i + 1];
          last[i] = any ? targets.highs[targets.starts[row + i + 1] - 1] : nothing[0];
        }
        for (int64_t column = 0; column < places; column += kColumns) {
          tile(rows.bytes, rows.side, row, last, s, column, nothing.data(), rows.words, found);
          for (int64_t i = 0; i < kRows; ++i) {
            come[i] += __builtin_popcount(found.of_rows[i] & bits_of(sample.count - column));
            std::copy_n(found.low + i * kColumns, kColumns, all.data() + i * places + column);
          }
        }
        for (int64_t i = 0; i < std::min(kRows, end - row); ++i) {
          const int64_t own = row + i, first = targets.starts[own], count = targets.starts[own + 1] - first;
          float* const lows = all.data() + i * places;
          // NaN, which no row that was packed has, would be in no order.
          for (int64_t j = 0; come[i] > rank && j < sample.count; ++j) lows[j] = lows[j] == lows[j] ? lows[j] : std::numeric_limits<float>::infinity();
          limits[own] = last[i];
          kept_of[own] = static_cast<int32_t>(count);
          if (come[i] > rank) {
            std::nth_element(lows, lows + rank, lows + sample.count);
            // As far as it may be at most.
            limits[own] = lows[rank] + 4 * (rows.side.errors[own] * (largest_norm + largest_error) + rows.side.norms[own] * largest_error);
            kept_of[own] = static_cast<int32_t>(std::upper_bound(targets.highs + first, targets.highs + first + count, limits[own]) - (targets.highs + first));
          }
          // A row's own error with the sample's largest: more than each pair's.
          const float width = 4 * (rows.side.errors[own] * (largest_norm + largest_error) + rows.side.norms[own] * largest_error);
          int64_t open = 0;
          for (int64_t j = 0; come[i] > 0 && j < sample.count; ++j) {
            if (!(lows[j] <= limits[own])) continue;
            const int64_t bucket = Targets::less(targets.highs + first, kept_of[own], lows[j]);
            open += bucket < kept_of[own] && !(lows[j] + width < targets.lows[first + bucket]);
          }
          undecided += open;
        }
      }
    });
    return from_double(env, static_cast<double>(undecided.load()));
  });
}

// Counts for the pairs of a strip with some columns, on one thread.
class Counter {
 public:
  Counter(const Vectors& vectors, const Rows& rows, const Rows& columns, const Targets& targets, bool same)
      : vectors_(vectors), rows_(rows), columns_(columns), targets_(targets), same_(same) {}

  // `row_limits` and `column_limits` are those of all rows and columns, from the first on.
  void count(int64_t first_row, int64_t last_row, int64_t first_column, int64_t last_column, const float* row_limits, const float* column_limits) {
    Tile found;
    // Beyond the rows and columns nothing is near, unless a caller says so.
    for (int64_t column = first_column; column < last_column; column += kColumns) {
      for (int64_t row = first_row; row < last_row; row += kRows) {
        // Of rows among themselves each pair is looked at once.
        if (same_ && column + kColumns <= row + 1) break;
        tile(rows_.bytes, rows_.side, row, row_limits + row, columns_.side, column, same_ ? column_limits + column : column_limits, rows_.words, found);
        const uint32_t there = bits_of(last_column - column), queries = same_ ? there : 0;
        for (int64_t i = 0; i < std::min(kRows, last_row - row); ++i) {
          if ((found.of_rows[i] | found.of_columns[i]) == 0) continue;
          const int64_t own = row + i, before = same_ ? own + 1 - column : 0;
          const uint32_t behind = before <= 0 ? there : before >= 32 ? 0 : there & ~uint32_t{0} << before;
          const float* const low = found.low + i * kColumns;
          for (uint32_t bits = found.of_rows[i] & behind; bits != 0; bits &= bits - 1) {
            const int64_t lane = __builtin_ctz(bits);
            consider(own, column + lane, low[lane], high_of(low[lane], rows_.side, own, columns_.side, column + lane));
          }
          for (uint32_t bits = found.of_columns[i] & queries & behind; bits != 0; bits &= bits - 1) {
            const int64_t lane = __builtin_ctz(bits);
            consider(column + lane, own, low[lane], high_of(low[lane], rows_.side, own, columns_.side, column + lane));
          }
        }
      }
      if (waiting_.size() >= kWaiting) settle();
    }
    settle();
  }

 private:
  struct Pair {
    int32_t query, place;
  };

  void consider(int64_t query, int64_t place, float low, float high) {
    const int64_t first = targets_.starts[query], kept = targets_.kept[query];
    const int64_t bucket = Targets::less(targets_.highs + first, kept, low);
    if (bucket < kept && !(high < targets_.lows[first + bucket])) {
      waiting_.push_back({static_cast<int32_t>(query), static_cast<int32_t>(place)});
    } else if (bucket < kept || high <= targets_.limits[query]) {
      targets_.add(query, bucket);
    }
  }

  void settle() {
    for (const Pair& pair : waiting_) {
      const int64_t first = targets_.starts[pair.query], kept = targets_.kept[pair.query];
      const double* const squares = targets_.squares + first;
      const float* const query = vectors_.queries + pair.query * vectors_.dimensions;
      const float* const place = vectors_.gallery + pair.place * vectors_.dimensions;
      const auto settled = [&](double square, double relative) {
        const double wrong = square * relative;
        const int64_t bucket = Targets::less(squares, kept, square - wrong);
        const bool sure = bucket == kept || square + wrong < squares[bucket];
        if (sure && bucket < kept) targets_.add(pair.query, bucket);
        return sure;
      };
      const double terms = static_cast<double>(vectors_.dimensions + 16);
      const float square = single_squared_distance(query, place, vectors_.dimensions);
      if (square > kLeastSingle && square < kMostSingle && settled(square, terms * 0x1p-24)) continue;
      // A target itself is as near as it is.
      const int32_t* const places = targets_.places + first;
      const int64_t itself = std::find(places, places + kept, pair.place) - places;
      if (itself < kept) {
        targets_.add(pair.query, itself);
        continue;
      }
      if (settled(plain_squared_distance(query, place, vectors_.dimensions), terms * 0x1p-53)) continue;
      const int64_t bucket = targets_.bucket_of(pair.query, pair.place, exact_square(vectors_, pair.query, pair.place));
      if (bucket < kept) targets_.add(pair.query, bucket);
    }
    waiting_.clear();
  }

  const Vectors& vectors_;
  const Rows &rows_, &columns_;
  const Targets& targets_;
  const bool same_;
  std::vector<Pair> waiting_;
};

// countNearer(queries, gallery, packed, facts, galleryPacked, galleryFacts, same, targets, firstRow, rowCount, firstColumn, columnCount): counts for the queries firstRow, … what the gallery's
// rows firstColumn, … are to them; `same`: the queries are the gallery, and of two rows the later is the gallery's, but each counts for the other. Blocks are of whole
// tiles.
napi_value count_nearer(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<12> arguments(env, info);
    const Vectors vectors = to_vectors(env, arguments[0], arguments[1]);
    const Rows rows = to_rows(env, arguments[2], arguments[3], vectors.query_count, vectors.dimensions);
    const Rows columns = to_rows(env, arguments[4], arguments[5], vectors.size, vectors.dimensions);
    const bool same = to_bool(env, arguments[6], "same");
    const Targets targets = to_targets(env, arguments[7], vectors.size);
    const int64_t first_row = to_int64(env, arguments[8], "firstRow"), row_count = to_int64(env, arguments[9], "rowCount");
    const int64_t first_column = to_int64(env, arguments[10], "firstColumn"), column_count = to_int64(env, arguments[11], "columnCount");
    if (rows.bytes != columns.bytes || targets.queries != rows.count || (same && rows.count != columns.count)) throw std::runtime_error("queries, gallery and targets do not fit each other");
    const auto whole = [](int64_t first, int64_t some, int64_t all) {
      return first >= 0 && some >= 0 && some <= all - first && first % kColumns == 0 && (some % kColumns == 0 || first + some == all);
    };
    if (!whole(first_row, row_count, rows.count) || !whole(first_column, column_count, columns.count)) {
      throw std::runtime_error("a block begins and ends at multiples of 32, or ends with the queries or the gallery");
    }
    // Beyond the queries nothing is near.
    std::vector<float> limits(static_cast<size_t>(places_of(rows.count)), -std::numeric_limits<float>::infinity());
    std::copy_n(targets.limits, rows.count, limits.begin());
    const std::vector<float> nothing(kColumns, -std::numeric_limits<float>::infinity());
    const int64_t strips = (row_count + kStrip - 1) / kStrip, parts = (column_count + kPanels - 1) / kPanels;
    in_parallel(strips * parts, 1, [&](int64_t begin, int64_t end) {
      Counter counter(vectors, rows, columns, targets, same);
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t row = first_row + piece / parts * kStrip, column = first_column + piece % parts * kPanels;
        counter.count(row, std::min(row + kStrip, first_row + row_count), column, std::min(column + kPanels, first_column + column_count), limits.data(),
                      same ? limits.data() : nothing.data());
      }
    });
    return undefined(env);
  });
}

// discountOwn(queries, gallery, targets, starts, places): takes off what the gallery's rows `places`, those of a query from its start on, have counted for it.
napi_value discount_own(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<5> arguments(env, info);
    const Vectors vectors = to_vectors(env, arguments[0], arguments[1]);
    const Targets targets = to_targets(env, arguments[2], vectors.size);
    const at::Tensor& starts = require(to_tensor(env, arguments[3]), "starts", at::kInt, 1);
    const at::Tensor& places = require(to_tensor(env, arguments[4]), "places", at::kInt, 1);
    const int32_t* const first = starts.data_ptr<int32_t>();
    const int32_t* const place = places.data_ptr<int32_t>();
    if (targets.queries != vectors.query_count || starts.size(0) != vectors.query_count + 1 || first[0] != 0 || first[vectors.query_count] != places.size(0) ||
        !std::is_sorted(first, first + starts.size(0))) {
      throw std::runtime_error("starts must be one more than the queries and ascend from 0 to the number of places");
    }
    if (!std::all_of(place, place + places.size(0), [&](int32_t at) { return at >= 0 && at < vectors.size; })) throw std::runtime_error("a place is not in the gallery");
    in_parallel(vectors.query_count, 256, [&](int64_t begin, int64_t end) {
      for (int64_t query = begin; query < end; ++query) {
        for (int64_t at = first[query]; at < first[query + 1]; ++at) targets.add(query, targets.bucket_of(query, place[at], exact_square(vectors, query, place[at])), -1);
      }
    });
    return undefined(env);
  });
}

}  // namespace

void register_rank_counts(napi_env env, napi_value exports) {
  define(env, exports, "sortTargets", sort_targets);
  define(env, exports, "limitTargets", limit_targets);
  define(env, exports, "countNearer", count_nearer);
  define(env, exports, "discountOwn", discount_own);
}

}  // namespace conquer
