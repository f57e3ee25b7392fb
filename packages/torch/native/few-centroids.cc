// build: -O3 -ffp-contract=off
// Which of a few centroids is nearest to each row, in one pass over the rows: a row's products with all of them stay in the
// cache, and only what these leave open is measured. And what k-means needs of the rows besides: the sums of its clusters.
#include "environment.h"
#include "parallel.h"
#include "squared-distance.h"
#include "thin-products.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace conquer {
namespace {

// By how much, relatively, the rounding of a bound may be wrong.
constexpr float kSlop = 1e-6f;
// Rows whose bounds a thread looks at before it takes the products of those that are open.
constexpr int64_t kRowsAtOnce = 960;
// Columns that one thread adds up, at the least: a cache line or two of each row.
constexpr int64_t kLeastColumns = 32;

// What a row knows: its nearest centroid, at least the distance to it, and at most the distance to any other.
struct Bounds {
  int64_t* nearest;
  float* upper;
  float* lower;
};

// How far each centroid went, at least, and of all others than this one the farthest.
struct Drift {
  std::vector<float> own, others;
};

Drift drift_of(const float* before, const float* after, int64_t count, int64_t dimensions, double scale) {
  Drift drift{std::vector<float>(static_cast<size_t>(count)), std::vector<float>(static_cast<size_t>(count))};
  float most = 0, second = 0;
  for (int64_t j = 0; j < count; ++j) {
    const double square = plain_squared_distance(before + j * dimensions, after + j * dimensions, dimensions);
    const float far = static_cast<float>(std::sqrt(square) * scale) * (1 + kSlop);
    drift.own[static_cast<size_t>(j)] = far;
    second = std::max(second, std::min(most, far));
    most = std::max(most, far);
  }
  // Where two went equally far, `second` is as far as they.
  for (size_t j = 0; j < drift.own.size(); ++j) drift.others[j] = drift.own[j] == most ? second : most;
  return drift;
}

// The centroids as the products take them, and what is known of them.
struct Centroids {
  const thin::Packed* packed;
  const float* points;  // (count, dimensions), as rows were given
  float longest;        // norm in the rows' space
  int64_t count, dimensions;
};

struct Error {
  float relative, absolute;
};

struct Rows {
  const float* centred;  // (N, D)
  const float* squares;  // (N), of these
  const float* given;    // (N, D)
};

// `scores` (|c|² - 2 x·c of each centroid) say which is nearest, where their error lets them; else differences in double do.
void settle(const Rows& rows, int64_t row, const Centroids& to, const Error& error, const float* scores, const Bounds& bounds) {
  const thin::Smallest found = thin::two_smallest(scores, to.packed->width);
  const float square = rows.squares[row], together = std::sqrt(square) + to.longest;
  const float wrong = together * together * error.relative + error.absolute;
  const float limit = found.value + 2 * wrong + (std::fabs(found.value) + square) * kSlop;
  int64_t best = found.index;
  float second = found.second;
  if (second <= limit) {
    const float* const own = rows.given + row * to.dimensions;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t j = 0; j < to.count; ++j) {
      if (!(scores[j] <= limit)) continue;
      const double exact = squared_distance(own, to.points + j * to.dimensions, to.dimensions);
      if (exact < least) {
        least = exact;
        best = j;
      }
    }
    if (best != found.index) second = found.value;
  }
  bounds.nearest[row] = best;
  bounds.upper[row] = std::sqrt(std::max(0.0f, scores[best] + square + wrong)) * (1 + kSlop);
  bounds.lower[row] = std::sqrt(std::max(0.0f, second + square - wrong)) * (1 - kSlop);
}

void assign(const Rows& rows, int64_t begin, int64_t end, const Centroids& to, const Error& error, const Drift* drift, const Bounds& bounds) {
  std::vector<int64_t> open;
  open.reserve(static_cast<size_t>(end - begin));
  for (int64_t row = begin; row < end; ++row) {
    if (drift != nullptr) {
      const size_t own = static_cast<size_t>(bounds.nearest[row]);
      bounds.upper[row] = (bounds.upper[row] + drift->own[own]) * (1 + kSlop);
      bounds.lower[row] = std::max(0.0f, (bounds.lower[row] - drift->others[own]) * (1 - kSlop));
      if (bounds.upper[row] < bounds.lower[row]) continue;
    }
    open.push_back(row);
  }
  const int64_t width = to.packed->width;
  std::vector<float> scores(static_cast<size_t>(thin::kRows * width));
  for (size_t first = 0; first < open.size(); first += thin::kRows) {
    const size_t some = std::min(open.size() - first, static_cast<size_t>(thin::kRows));
    const float* of[thin::kRows];
    for (size_t i = 0; i < thin::kRows; ++i) of[i] = rows.centred + open[first + std::min(i, some - 1)] * to.dimensions;
    thin::scores(of, *to.packed, scores.data());
    for (size_t i = 0; i < some; ++i) settle(rows, open[first + i], to, error, scores.data() + static_cast<int64_t>(i) * width, bounds);
  }
}

void require_places(const int64_t* places, int64_t count, int64_t centroids, const char* what) {
  if (!std::all_of(places, places + count, [&](int64_t j) { return j >= 0 && j < centroids; })) {
    throw std::runtime_error(std::string(what) + " must be 0 to the number of centroids less 1");
  }
}

// nearestOfFew(rows (N, D), squares (N), given (N, D), centroids (k, D), points (k, D), before (k, D) | null, scale, relative, absolute,
// nearest (N) int64, upper (N), lower (N)): makes `nearest` that of the centroids (in the rows' space; `points` as rows were given, which
// differ from these by a scale and a shift), and the bounds of distances in the rows' space. `before`: where the points were when bounds
// and nearest were right; null where nothing is known.
napi_value nearest_of_few(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<12> arguments(env, info);
    const at::Tensor& rows = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const at::Tensor& squares = require(to_tensor(env, arguments[1]), "squares", at::kFloat, 1);
    const at::Tensor& given = require(to_tensor(env, arguments[2]), "given", at::kFloat, 2);
    const at::Tensor& centroids = require(to_tensor(env, arguments[3]), "centroids", at::kFloat, 2);
    const at::Tensor& points = require(to_tensor(env, arguments[4]), "points", at::kFloat, 2);
    const bool known = !is_null(env, arguments[5]);
    const double scale = to_double(env, arguments[6], "scale");
    const Error error{static_cast<float>(to_double(env, arguments[7], "relative") * 1.01), static_cast<float>(to_double(env, arguments[8], "absolute"))};
    const at::Tensor& nearest = require(to_tensor(env, arguments[9]), "nearest", at::kLong, 1);
    const at::Tensor& upper = require(to_tensor(env, arguments[10]), "upper", at::kFloat, 1);
    const at::Tensor& lower = require(to_tensor(env, arguments[11]), "lower", at::kFloat, 1);
    const int64_t count = rows.size(0), dimensions = rows.size(1), k = centroids.size(0);
    if (!given.sizes().equals(rows.sizes())) throw std::runtime_error("rows and given must have one shape");
    if (squares.size(0) != count || nearest.size(0) != count || upper.size(0) != count || lower.size(0) != count) {
      throw std::runtime_error("squares, nearest, upper and lower must have as many numbers as there are rows");
    }
    if (k < 1 || centroids.size(1) != dimensions || !points.sizes().equals(centroids.sizes())) {
      throw std::runtime_error("centroids and points must have one shape, at least one row, and as many columns as rows");
    }
    Drift drift;
    if (known) {
      const at::Tensor& before = require(to_tensor(env, arguments[5]), "before", at::kFloat, 2);
      if (!before.sizes().equals(points.sizes())) throw std::runtime_error("before and points must have one shape");
      require_places(nearest.data_ptr<int64_t>(), count, k, "nearest");
      drift = drift_of(before.data_ptr<float>(), points.data_ptr<float>(), k, dimensions, scale);
      if (std::all_of(drift.own.begin(), drift.own.end(), [](float far) { return far == 0; })) return undefined(env);
    }
    const thin::Packed packed(centroids.data_ptr<float>(), k, dimensions);
    const Centroids to{&packed, points.data_ptr<float>(), packed.longest, k, dimensions};
    const Rows of{rows.data_ptr<float>(), squares.data_ptr<float>(), given.data_ptr<float>()};
    const Bounds bounds{nearest.data_ptr<int64_t>(), upper.data_ptr<float>(), lower.data_ptr<float>()};
    in_parallel(count, kRowsAtOnce, [&](int64_t begin, int64_t end) { assign(of, begin, end, to, error, known ? &drift : nullptr, bounds); });
    return undefined(env);
  });
}

// addToClusters(rows (N, D), before (N) int64 | null, after (N) int64, sums (k, D) float64, counts (k) float64): each row that changed its cluster
// is taken from the sum of the one and added to the other's; with null each is added. In the order of the rows, whatever the number of
// threads. → how many changed
napi_value add_to_clusters(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<5> arguments(env, info);
    const at::Tensor& rows = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const bool known = !is_null(env, arguments[1]);
    const at::Tensor& after = require(to_tensor(env, arguments[2]), "after", at::kLong, 1);
    const at::Tensor& sums = require(to_tensor(env, arguments[3]), "sums", at::kDouble, 2);
    const at::Tensor& counts = require(to_tensor(env, arguments[4]), "counts", at::kDouble, 1);
    const int64_t count = rows.size(0), dimensions = rows.size(1), k = sums.size(0);
    if (after.size(0) != count || sums.size(1) != dimensions || counts.size(0) != k) {
      throw std::runtime_error("after must have as many numbers as there are rows, sums as many columns, and counts as many numbers as sums rows");
    }
    const int64_t* const to = after.data_ptr<int64_t>();
    const int64_t* from = nullptr;
    require_places(to, count, k, "after");
    if (known) {
      const at::Tensor& before = require(to_tensor(env, arguments[1]), "before", at::kLong, 1);
      if (before.size(0) != count) throw std::runtime_error("before and after must have as many numbers");
      from = before.data_ptr<int64_t>();
      require_places(from, count, k, "before");
    }
    std::vector<int64_t> changed;
    double* const numbers = counts.data_ptr<double>();
    for (int64_t row = 0; row < count; ++row) {
      if (from != nullptr && from[row] == to[row]) continue;
      changed.push_back(row);
      numbers[to[row]] += 1;
      if (from != nullptr) numbers[from[row]] -= 1;
    }
    const float* const all = rows.data_ptr<float>();
    double* const into = sums.data_ptr<double>();
    const int64_t threads = at::get_num_threads(), piece = std::max(kLeastColumns, (dimensions + threads - 1) / threads);
    in_parallel(dimensions, piece, [&](int64_t begin, int64_t end) {
      for (const int64_t row : changed) {
        const float* const x = all + row * dimensions;
        double* const sum = into + to[row] * dimensions;
        for (int64_t d = begin; d < end; ++d) sum[d] += x[d];
        if (from == nullptr) continue;
        double* const less = into + from[row] * dimensions;
        for (int64_t d = begin; d < end; ++d) less[d] -= x[d];
      }
    });
    return from_double(env, static_cast<double>(changed.size()));
  });
}

// gapsToOwn(rows (N, D), centroids (k, D), own (N) int64, to (N) float64): |x - c|² of each row and its own centroid, by differences.
napi_value gaps_to_own(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<4> arguments(env, info);
    const at::Tensor& rows = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const at::Tensor& centroids = require(to_tensor(env, arguments[1]), "centroids", at::kFloat, 2);
    const at::Tensor& own = require(to_tensor(env, arguments[2]), "own", at::kLong, 1);
    const at::Tensor& to = require(to_tensor(env, arguments[3]), "to", at::kDouble, 1);
    const int64_t count = rows.size(0), dimensions = rows.size(1);
    if (centroids.size(1) != dimensions || own.size(0) != count || to.size(0) != count) {
      throw std::runtime_error("own and to must have as many numbers as there are rows, and centroids as many columns");
    }
    require_places(own.data_ptr<int64_t>(), count, centroids.size(0), "own");
    const float* const all = rows.data_ptr<float>();
    const float* const points = centroids.data_ptr<float>();
    const int64_t* const which = own.data_ptr<int64_t>();
    double* const gaps = to.data_ptr<double>();
    in_parallel(count, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) gaps[row] = plain_squared_distance(all + row * dimensions, points + which[row] * dimensions, dimensions);
    });
    return undefined(env);
  });
}

}  // namespace

void register_few_centroids(napi_env env, napi_value exports) {
  define(env, exports, "nearestOfFew", nearest_of_few);
  define(env, exports, "addToClusters", add_to_clusters);
  define(env, exports, "gapsToOwn", gaps_to_own);
}

}  // namespace conquer
