// build: -ffp-contract=off
// The k smallest of each row of a matrix of distances that arrives in blocks and is never there as a whole.
#include "environment.h"
#include "neighbour-candidates.h"
#include "parallel.h"
#include "row-products.h"
#include "squared-distance.h"

#include <ATen/Functions.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <limits>

namespace conquer {
namespace {

constexpr int kLanes = 8;

// Which of 8 distances do not exceed their thresholds, as bits. NaN never does.
unsigned within(const float* distances, const float* thresholds) {
#if defined(__SSE2__)
  const __m128 low = _mm_cmple_ps(_mm_loadu_ps(distances), _mm_loadu_ps(thresholds));
  const __m128 high = _mm_cmple_ps(_mm_loadu_ps(distances + 4), _mm_loadu_ps(thresholds + 4));
  return static_cast<unsigned>(_mm_movemask_ps(low) | _mm_movemask_ps(high) << 4);
#else
  unsigned bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) bits |= static_cast<unsigned>(distances[lane] <= thresholds[lane]) << lane;
  return bits;
#endif
}

template <typename F>
void each_bit(unsigned bits, const F& body) {
  for (; bits != 0; bits &= bits - 1) body(__builtin_ctz(bits));
}

// Each row of the block to one row of candidates.
void offer_rows(const float* block, int64_t rows, int64_t columns, const Candidates& to, int64_t first_row, int64_t first_index) {
  in_parallel(rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* distances = block + i * columns;
      const int64_t row = first_row + i;
      float thresholds[kLanes];
      const auto read_threshold = [&] { std::fill(thresholds, thresholds + kLanes, to.thresholds[row]); };
      read_threshold();
      int64_t j = 0;
      for (; j + kLanes <= columns; j += kLanes) {
        const unsigned bits = within(distances + j, thresholds);
        if (bits == 0) continue;
        each_bit(bits, [&](int lane) { to.add(row, distances[j + lane], first_index + j + lane); });
        read_threshold();
      }
      for (; j < columns; ++j) {
        if (distances[j] <= to.thresholds[row]) to.add(row, distances[j], first_index + j);
      }
    }
  });
}

// Each column of the block to one row of candidates: what the transposed block's rows would be.
void offer_columns(const float* block, int64_t rows, int64_t columns, const Candidates& to, int64_t first_row, int64_t first_index) {
  in_parallel(columns, 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < rows; ++i) {
      const float* distances = block + i * columns;
      int64_t j = begin;
      for (; j + kLanes <= end; j += kLanes) {
        each_bit(within(distances + j, to.thresholds + first_row + j),
                 [&](int lane) { to.add(first_row + j + lane, distances[j + lane], first_index + i); });
      }
      for (; j < end; ++j) {
        if (distances[j] <= to.thresholds[first_row + j]) to.add(first_row + j, distances[j], first_index + i);
      }
    }
  });
}

// offerDistances(block, keys, counts, thresholds, keep, firstRow, firstIndex, transposed): the rows (transposed: the
// columns) of the block are of the candidates firstRow, …; its columns (rows) have the indices firstIndex, ….
napi_value offer_distances(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<8> arguments(env, info);
    const at::Tensor& block = require(to_tensor(env, arguments[0]), "block", at::kFloat, 2);
    const Candidates to = to_candidates(env, arguments[1], arguments[2], arguments[3], to_int64(env, arguments[4], "keep"));
    const int64_t first_row = to_int64(env, arguments[5], "firstRow");
    const int64_t first_index = to_int64(env, arguments[6], "firstIndex");
    const bool transposed = to_bool(env, arguments[7], "transposed");
    const int64_t rows = block.size(0), columns = block.size(1);
    if (first_row < 0 || first_row + (transposed ? columns : rows) > to_tensor(env, arguments[1]).size(0)) {
      throw std::runtime_error("the block reaches beyond the candidates' rows");
    }
    if (first_index < 0 || first_index + (transposed ? rows : columns) > std::numeric_limits<int32_t>::max()) {
      throw std::runtime_error("indices must stay below 2^31");
    }
    (transposed ? offer_columns : offer_rows)(block.data_ptr<float>(), rows, columns, to, first_row, first_index);
    return undefined(env);
  });
}

// offerProducts(queries, rows, squares, keys, counts, thresholds, keep, firstIndex): squares - 2 x·y of all queries, which are the
// candidates' rows, and of all rows, which have the indices firstIndex, ….
napi_value offer_products(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<8> arguments(env, info);
    const at::Tensor& queries = require(to_tensor(env, arguments[0]), "queries", at::kFloat, 2);
    const at::Tensor& rows = require(to_tensor(env, arguments[1]), "rows", at::kFloat, 2);
    const at::Tensor& squares = require(to_tensor(env, arguments[2]), "squares", at::kFloat, 1);
    const Candidates to = to_candidates(env, arguments[3], arguments[4], arguments[5], to_int64(env, arguments[6], "keep"));
    const int64_t first_index = to_int64(env, arguments[7], "firstIndex");
    const int64_t count = queries.size(0), all = rows.size(0), dimensions = rows.size(1);
    if (queries.size(1) != dimensions || squares.size(0) != all) throw std::runtime_error("queries, rows and squares do not fit each other");
    if (count != to_tensor(env, arguments[3]).size(0)) throw std::runtime_error("the candidates must have as many rows as there are queries");
    if (first_index < 0 || first_index + all > std::numeric_limits<int32_t>::max()) throw std::runtime_error("indices must stay below 2^31");
    static const Scan scan = best_scan();
    constexpr int64_t kPiece = 1024;
    const float* const q = queries.data_ptr<float>();
    const float* const r = rows.data_ptr<float>();
    const float* const s = squares.data_ptr<float>();
    std::mutex offering;
    in_parallel(all, kPiece, [&](int64_t begin, int64_t end) {
      std::vector<float> distances(static_cast<size_t>(count * (end - begin)));
      scan(q, count, r + begin * dimensions, s + begin, end - begin, dimensions, distances.data());
      const std::lock_guard<std::mutex> lock(offering);
      for (int64_t i = 0; i < count; ++i) {
        const float* const own = distances.data() + i * (end - begin);
        for (int64_t j = 0; j < end - begin; ++j) {
          if (own[j] <= to.thresholds[i]) to.add(i, own[j], first_index + begin + j);
        }
      }
    });
    return undefined(env);
  });
}

// The first `keep` keys in order: by counting into as many buckets as there are keys, each of which then needs next to
// no sorting, and the later ones none.
void sort_keys(int64_t* keys, int64_t count, int64_t keep, std::vector<int64_t>& scratch, std::vector<int32_t>& starts) {
  if (count < 64) return std::sort(keys, keys + count);
  const auto [least, most] = std::minmax_element(keys, keys + count);
  const float low = distance_of(*least), range = distance_of(*most) - low;
  if (!(range > 0) || !std::isfinite(range)) return std::sort(keys, keys + count);
  const float scale = static_cast<float>(count - 1) / range;
  const auto bucket = [&](int64_t key) {
    const float place = (distance_of(key) - low) * scale;
    return place > 0 ? std::min<int64_t>(count - 1, static_cast<int64_t>(place)) : 0;
  };
  starts.assign(count + 1, 0);
  for (int64_t i = 0; i < count; ++i) ++starts[bucket(keys[i]) + 1];
  for (int64_t b = 0; b < count; ++b) starts[b + 1] += starts[b];
  scratch.resize(count);
  // Afterwards starts[b] is where bucket b ends.
  for (int64_t i = 0; i < count; ++i) scratch[starts[bucket(keys[i])]++] = keys[i];
  for (int64_t b = 0, begin = 0; begin < keep; begin = starts[b++]) {
    if (starts[b] - begin > 1) std::sort(scratch.begin() + begin, scratch.begin() + starts[b]);
  }
  std::copy_n(scratch.begin(), keep, keys);
}

struct Settled {
  double square;
  int32_t index;
  bool operator<(const Settled& other) const { return square < other.square || (square == other.square && index < other.index); }
};

// What the rows to settle have in common, and where their neighbours go.
struct Settling {
  Candidates from;
  const float* queries;  // (rows, dimensions)
  const float* query_norms;
  const float* gallery;  // (size, dimensions)
  const float* gallery_norms;
  double largest_norm;  // of the gallery
  int64_t dimensions, size;
  double relative, absolute, scale;
  int64_t k, ordered;
  const int32_t* cuts;
  int64_t cut_count;
  bool exact;
  int32_t* indices;  // (rows, k)
  float* distances;  // (rows, k)
  uint8_t* unsettled;

  // By how much an offered squared distance may be wrong.
  double error(double norms_together) const { return relative * norms_together * norms_together + absolute; }
};

// Settles one row after the other, on one thread.
class RowSettler {
 public:
  explicit RowSettler(const Settling& all) : all_(all) {}

  // False where a candidate's index is not in the gallery.
  bool settle(int64_t row) {
    row_ = row;
    keys_ = all_.from.keys + row * all_.from.capacity;
    count_ = all_.from.counts[row];
    if (count_ < all_.from.keep) {  // the threshold it began with was too low
      all_.unsettled[row] = 1;
      std::fill_n(all_.indices + row * all_.k, all_.k, 0);
      std::fill_n(all_.distances + row * all_.k, all_.k, 0.0f);
      return true;
    }
    sort_keys(keys_, count_, all_.from.keep, scratch_, starts_);
    count_ = all_.from.keep;
    const double norm = all_.query_norms[row];
    double largest = 0;
    for (int64_t i = 0; i < count_; ++i) {
      const int32_t index = index_of(keys_[i]);
      if (index >= all_.size) return false;
      largest = std::max<double>(largest, all_.gallery_norms[index]);
    }
    wrong_ = all_.error(norm + largest);
    // No more than this are the k. What lies within has a norm of no more than the query's and that distance, nor than any.
    const double farthest = offered(all_.k - 1) + wrong_;
    const double most = std::min(norm + std::sqrt(farthest), all_.largest_norm);
    all_.unsettled[row] = !(offered(count_ - 1) - all_.error(norm + most) > farthest);
    settle_cuts(settle_ordered());
    return true;
  }

 private:
  double offered(int64_t i) const { return static_cast<double>(distance_of(keys_[i])); }

  // Whether the error may have put the two in the wrong order; a comes before b.
  bool close(int64_t a, int64_t b) const { return offered(b) - offered(a) <= 2 * wrong_; }

  void put(int64_t place, int64_t candidate) {
    all_.indices[row_ * all_.k + place] = index_of(keys_[candidate]);
    all_.distances[row_ * all_.k + place] = static_cast<float>(std::sqrt(offered(candidate)) / all_.scale);
  }

  // The candidates from `first` to `after`, by their distances computed anew.
  void put_in_order(int64_t first, int64_t after) {
    if (after - first == 1 && !all_.exact) return put(first, first);
    near_.clear();
    const float* const query = all_.queries + row_ * all_.dimensions;
    for (int64_t i = first; i < after; ++i) {
      const int32_t index = index_of(keys_[i]);
      const double square = squared_distance(query, all_.gallery + index * all_.dimensions, all_.dimensions);
      // NaN, which is for the caller to refuse, would be in no order at all, and sorting go astray.
      near_.push_back({square >= 0 ? square : std::numeric_limits<double>::infinity(), index});
    }
    std::sort(near_.begin(), near_.end());
    for (int64_t i = first; i < std::min(after, all_.k); ++i) {
      all_.indices[row_ * all_.k + i] = near_[i - first].index;
      all_.distances[row_ * all_.k + i] = static_cast<float>(std::sqrt(near_[i - first].square));
    }
  }

  // Those that come in order. Gives how many of the candidates are settled.
  int64_t settle_ordered() {
    int64_t first = 0;
    while (first < std::min(all_.ordered, all_.k)) {
      int64_t after = first + 1;
      while (after < count_ && close(after - 1, after)) ++after;
      put_in_order(first, after);
      first = after;
    }
    return first;
  }

  // Those behind: right is only which of them are before each cut.
  void settle_cuts(int64_t first) {
    const auto cut_at = [&](int64_t i) { return i < all_.cut_count ? std::min<int64_t>(all_.cuts[i], all_.k) : all_.k; };
    for (int64_t next = 0; first < all_.k;) {
      while (next < all_.cut_count && cut_at(next) <= first) ++next;
      // Those that may be on either side of the cut; the next cut's may be some of them.
      int64_t cut = cut_at(next), from_here = cut - 1;
      while (from_here > first && close(from_here - 1, cut - 1)) --from_here;
      int64_t after = cut;
      bool sure = true;  // nothing behind a cut may belong before it
      for (bool more = true; more;) {
        while (after < count_ && close(cut - 1, after)) ++after;
        sure = sure && after == cut;
        more = next < all_.cut_count && cut < all_.k && after > cut && close(after - 1, cut_at(next + 1) - 1);
        if (more) cut = cut_at(++next), after = std::max(after, cut);
      }
      for (int64_t i = first; i < (sure ? after : from_here); ++i) put(i, i);
      if (!sure) put_in_order(from_here, after);
      first = after;
    }
  }

  const Settling& all_;
  std::vector<Settled> near_;
  std::vector<int64_t> scratch_;
  std::vector<int32_t> starts_;
  int64_t row_ = 0;
  int64_t* keys_ = nullptr;
  int64_t count_ = 0;
  double wrong_ = 0;  // of any of the row's candidates
};

// settleNeighbours(keys, counts, thresholds, keep, queries, gallery, queryNorms, galleryNorms, relative, absolute, scale, k, ordered, cuts, exact) →
//   [indices (rows, k) int32, distances (rows, k) float32, unsettled (rows) uint8]
// The k nearest of each row's candidates. An offered squared distance, which is scale² times that of the vectors, may be
// wrong by relative · (query norm + gallery norm)² + absolute; those that this may have put in the wrong order are computed
// anew from the vectors (exact: all of the k are). Only the first `ordered` come in order; of those behind them, which are
// among the first so many is right for each of the ascending `cuts` (int32) and for k. Unsettled is a row for which something that was dropped may belong among
// the k, and a row with fewer than `keep` candidates.
napi_value settle_neighbours(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<15> arguments(env, info);
    const Candidates from = to_candidates(env, arguments[0], arguments[1], arguments[2], to_int64(env, arguments[3], "keep"));
    const at::Tensor& queries = require(to_tensor(env, arguments[4]), "queries", at::kFloat, 2);
    const at::Tensor& gallery = require(to_tensor(env, arguments[5]), "gallery", at::kFloat, 2);
    const at::Tensor& query_norms = require(to_tensor(env, arguments[6]), "queryNorms", at::kFloat, 1);
    const at::Tensor& gallery_norms = require(to_tensor(env, arguments[7]), "galleryNorms", at::kFloat, 1);
    const double relative = to_double(env, arguments[8], "relative");
    const double absolute = to_double(env, arguments[9], "absolute");
    const double scale = to_double(env, arguments[10], "scale");
    const int64_t k = to_int64(env, arguments[11], "k");
    const int64_t ordered = to_int64(env, arguments[12], "ordered");
    const at::Tensor& cuts = require(to_tensor(env, arguments[13]), "cuts", at::kInt, 1);
    const bool exact = to_bool(env, arguments[14], "exact");
    const int64_t rows = to_tensor(env, arguments[0]).size(0);
    const int64_t dimensions = gallery.size(1), size = gallery.size(0);
    if (queries.size(0) != rows || query_norms.size(0) != rows || queries.size(1) != dimensions || gallery_norms.size(0) != size) {
      throw std::runtime_error("queries and queryNorms must have as many rows as the candidates, queries as many columns and galleryNorms as many rows as the gallery");
    }
    if (!(relative >= 0) || !(absolute >= 0) || !(scale > 0)) throw std::runtime_error("relative and absolute must be 0 or more, scale above 0");
    if (k < 1 || k > from.keep) throw std::runtime_error("k must be 1 to keep");
    const int32_t* const first_cut = cuts.data_ptr<int32_t>();
    if (!std::is_sorted(first_cut, first_cut + cuts.size(0)) || (cuts.size(0) > 0 && *first_cut < 1)) {
      throw std::runtime_error("cuts must be 1 or more and ascending");
    }
    const at::Tensor indices = at::empty({rows, k}, at::kInt);
    const at::Tensor distances = at::empty({rows, k}, at::kFloat);
    const at::Tensor unsettled = at::zeros({rows}, at::kByte);
    const float* const norms = gallery_norms.data_ptr<float>();
    const double largest_norm = size > 0 ? *std::max_element(norms, norms + size) : 0;
    const Settling all{from, queries.data_ptr<float>(), query_norms.data_ptr<float>(), gallery.data_ptr<float>(),
                       gallery_norms.data_ptr<float>(), largest_norm, dimensions, size, relative, absolute, scale, k, ordered, first_cut,
                       cuts.size(0), exact, indices.data_ptr<int32_t>(), distances.data_ptr<float>(), unsettled.data_ptr<uint8_t>()};
    std::atomic<bool> wrong_index{false};
    in_parallel(rows, 16, [&](int64_t begin, int64_t end) {
      RowSettler settler(all);
      for (int64_t row = begin; row < end; ++row) {
        if (settler.settle(row)) continue;
        wrong_index = true;
        return;
      }
    });
    if (wrong_index) throw std::runtime_error("a candidate's index is not in the gallery");
    const napi_value result = new_array(env, 3);
    set_element(env, result, 0, from_tensor(env, indices));
    set_element(env, result, 1, from_tensor(env, distances));
    set_element(env, result, 2, from_tensor(env, unsettled));
    return result;
  });
}

}  // namespace

void register_neighbours(napi_env env, napi_value exports) {
  define(env, exports, "offerDistances", offer_distances);
  define(env, exports, "offerProducts", offer_products);
  define(env, exports, "settleNeighbours", settle_neighbours);
}

}  // namespace conquer
