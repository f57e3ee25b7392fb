// build: -O3 -ffp-contract=off
// Which of k centroids is nearest to each row, from bounds of their distances (Elkan 2003).
#include "environment.h"
#include "parallel.h"
#include "squared-distance.h"

#include <cmath>
#include <limits>

namespace conquer {
namespace {

// Of a distance from `squared_distance`, by how much it may be wrong.
constexpr double kRounding = 0x1p-50;

float above(double value) {
  const float rounded = static_cast<float>(value);
  return rounded < value ? std::nextafter(rounded, std::numeric_limits<float>::infinity()) : rounded;
}

float below(double value) {
  const float rounded = static_cast<float>(value);
  return rounded > value ? std::nextafter(rounded, 0.0f) : rounded;
}

struct Bounds {
  int64_t* nearest;  // (rows)
  float* upper;      // (rows), at least the distance to the nearest
  float* lower;      // (rows, centroids), at most the distance to each
  int64_t rows, centroids;

  // A float32 sum that is rounded once is less than 2^-22 of itself too large.
  void move(int64_t row, const float* drift) const {
    const int64_t own = nearest[row];
    if (drift[own] > 0) upper[row] = above(static_cast<double>(upper[row]) + drift[own]);
    float* const all = lower + row * centroids;
    for (int64_t j = 0; j < centroids; ++j) {
      const float rest = (all[j] - drift[j]) * (1 - 0x1p-22f);
      all[j] = drift[j] > 0 ? (rest > 0 ? rest : 0) : all[j];
    }
  }

  int64_t open(int64_t row) const {
    const float* const all = lower + row * centroids;
    const float limit = upper[row];
    int64_t count = 0;
    for (int64_t j = 0; j < centroids; ++j) count += all[j] <= limit;
    return count - (all[nearest[row]] <= limit);
  }

  void settle(int64_t row, const float* of, const float* points, int64_t dimensions) const {
    const double wrong = static_cast<double>(dimensions + 8) * 0x1p-53;
    float* const all = lower + row * centroids;
    const auto point = [&](int64_t j) { return points + j * dimensions; };
    const int64_t first = nearest[row];
    int64_t best = first;
    double least = 0;
    const auto measure = [&](int64_t j) {
      const double square = plain_squared_distance(of, point(j), dimensions);
      all[j] = below(std::sqrt(square) * (1 - wrong));
      return square;
    };
    const auto choose = [&](int64_t j, double square) {
      best = j;
      least = square;
      upper[row] = above(std::sqrt(square) * (1 + wrong));
    };
    // Where the plain sums may be in the wrong order.
    const auto nearer = [&](int64_t j) {
      const double square = squared_distance(of, point(j), dimensions), other = squared_distance(of, point(best), dimensions);
      return square < other || (square == other && j < best);
    };
    choose(first, measure(first));
    for (int64_t j = 0; j < centroids; ++j) {
      if (j == first || !(all[j] <= upper[row])) continue;
      const double square = measure(j);
      if (square < least * (1 - 4 * wrong) || (square <= least * (1 + 4 * wrong) && nearer(j))) choose(j, square);
    }
    nearest[row] = best;
  }
};

Bounds to_bounds(napi_env env, napi_value nearest, napi_value upper, napi_value lower) {
  const at::Tensor& which = require(to_tensor(env, nearest), "nearest", at::kLong, 1);
  const at::Tensor& most = require(to_tensor(env, upper), "upper", at::kFloat, 1);
  const at::Tensor& least = require(to_tensor(env, lower), "lower", at::kFloat, 2);
  const int64_t rows = least.size(0), centroids = least.size(1);
  if (which.size(0) != rows || most.size(0) != rows) throw std::runtime_error("nearest, upper and lower must have as many rows");
  int64_t* const each = which.data_ptr<int64_t>();
  if (!std::all_of(each, each + rows, [&](int64_t j) { return j >= 0 && j < centroids; })) {
    throw std::runtime_error("nearest must be 0 to the number of centroids less 1");
  }
  return {each, most.data_ptr<float>(), least.data_ptr<float>(), rows, centroids};
}

constexpr int64_t kRowsAtOnce = 64;

// moveBounds(before (k, D), after (k, D), nearest, upper, lower): loosens the bounds. → how many distances to other centroids
// than the nearest they leave open
napi_value move_bounds(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<5> arguments(env, info);
    const at::Tensor& before = require(to_tensor(env, arguments[0]), "before", at::kFloat, 2);
    const at::Tensor& after = require(to_tensor(env, arguments[1]), "after", at::kFloat, 2);
    const Bounds bounds = to_bounds(env, arguments[2], arguments[3], arguments[4]);
    if (before.size(0) != bounds.centroids || !before.sizes().equals(after.sizes())) {
      throw std::runtime_error("before and after must have one shape, and as many rows as lower has columns");
    }
    const int64_t dimensions = before.size(1);
    std::vector<float> drift(static_cast<size_t>(bounds.centroids));
    for (int64_t j = 0; j < bounds.centroids; ++j) {
      const int64_t at = j * dimensions;
      const double square = squared_distance(before.data_ptr<float>() + at, after.data_ptr<float>() + at, dimensions);
      drift[static_cast<size_t>(j)] = above(std::sqrt(square) * (1 + kRounding));
    }
    std::atomic<int64_t> open{0};
    in_parallel(bounds.rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      int64_t some = 0;
      for (int64_t row = begin; row < end; ++row) {
        bounds.move(row, drift.data());
        some += bounds.open(row);
      }
      open += some;
    });
    return from_double(env, static_cast<double>(open.load()));
  });
}

// settleBounds(rows (N, D), centroids (k, D), nearest, upper, lower): measures what the bounds leave open, and only that.
napi_value settle_bounds(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<5> arguments(env, info);
    const at::Tensor& rows = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const at::Tensor& centroids = require(to_tensor(env, arguments[1]), "centroids", at::kFloat, 2);
    const Bounds bounds = to_bounds(env, arguments[2], arguments[3], arguments[4]);
    const int64_t dimensions = rows.size(1);
    if (rows.size(0) != bounds.rows || centroids.size(0) != bounds.centroids || centroids.size(1) != dimensions) {
      throw std::runtime_error("rows and centroids must have as many columns, and as many rows as lower has rows and columns");
    }
    const float* const all = rows.data_ptr<float>();
    const float* const points = centroids.data_ptr<float>();
    in_parallel(bounds.rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        if (bounds.open(row) > 0) bounds.settle(row, all + row * dimensions, points, dimensions);
      }
    });
    return undefined(env);
  });
}

}  // namespace

void register_centroid_bounds(napi_env env, napi_value exports) {
  define(env, exports, "moveBounds", move_bounds);
  define(env, exports, "settleBounds", settle_bounds);
}

}  // namespace conquer
