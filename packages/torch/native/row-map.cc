// build: -O3 -ffast-math
// A map of rows in the plane (UMAP, McInnes, Healy and Melville 2018): the rows' approximate neighbours made better, and the
// epochs that lay them out. What comes out does not depend on how many threads there are.
#include "environment.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace conquer {
namespace {

constexpr int64_t kRowsAtOnce = 256;

inline __attribute__((always_inline)) float gap(const float* a, const float* b, int64_t dimensions) {
  float sum = 0;
  for (int64_t d = 0; d < dimensions; ++d) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

// The squared distances of one row to `count` others.
using Gaps = void (*)(const float*, const float*, const int32_t*, int64_t, int64_t, float*);
inline __attribute__((always_inline)) void gaps(const float* row, const float* rows, const int32_t* others, int64_t count, int64_t dimensions, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = gap(row, rows + others[i] * dimensions, dimensions);
}
void plain_gaps(const float* row, const float* rows, const int32_t* others, int64_t count, int64_t dimensions, float* to) {
  gaps(row, rows, others, count, dimensions, to);
}
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) void gaps_avx2(const float* row, const float* rows, const int32_t* others, int64_t count, int64_t dimensions, float* to) {
  gaps(row, rows, others, count, dimensions, to);
}
const Gaps best_gaps = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? gaps_avx2 : plain_gaps;
#else
const Gaps best_gaps = plain_gaps;
#endif

// refineNeighbours(rows (N, D), around (N, W) int32, indices (N, k) int32, squares (N, k)): looks for nearer ones among those around
// each row and the first k around these (Dong, Charikar and Li 2011). -1: none; `around` is only read.
napi_value refine_neighbours(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<4> arguments(env, info);
    const at::Tensor& all = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const at::Tensor& near = require(to_tensor(env, arguments[1]), "around", at::kInt, 2);
    const at::Tensor& found = require(to_tensor(env, arguments[2]), "indices", at::kInt, 2);
    const at::Tensor& far = require(to_tensor(env, arguments[3]), "squares", at::kFloat, 2);
    const int64_t count = all.size(0), dimensions = all.size(1), width = near.size(1), k = found.size(1);
    if (near.size(0) != count || found.size(0) != count || !far.sizes().equals(found.sizes()) || k < 1) {
      throw std::runtime_error("around, indices and squares must have as many rows as rows, and the last two as many columns");
    }
    const float* const rows = all.data_ptr<float>();
    const int32_t* const around = near.data_ptr<int32_t>();
    const auto valid = [&](const int32_t* from, int64_t size) {
      return std::all_of(from, from + size, [&](int32_t i) { return i >= -1 && i < count; });
    };
    if (!valid(around, count * width) || !valid(found.data_ptr<int32_t>(), count * k)) {
      throw std::runtime_error("around and indices must be -1 to the number of rows less 1");
    }
    in_parallel(count, kRowsAtOnce * 16, [&](int64_t begin, int64_t end) {
      std::vector<int32_t> seen(static_cast<size_t>(count), -1), candidates;
      std::vector<float> distances;
      for (int64_t row = begin; row < end; ++row) {
        int32_t* const indices = found.data_ptr<int32_t>() + row * k;
        float* const squares = far.data_ptr<float>() + row * k;
        const int32_t own = static_cast<int32_t>(row);
        const auto fresh = [&](int32_t other) {
          if (other < 0 || seen[static_cast<size_t>(other)] == own) return false;
          seen[static_cast<size_t>(other)] = own;
          return true;
        };
        fresh(own);
        for (int64_t i = 0; i < k; ++i) fresh(indices[i]);
        candidates.clear();
        for (const int32_t* one = around + row * width; one < around + (row + 1) * width; ++one) {
          if (*one < 0) continue;
          if (fresh(*one)) candidates.push_back(*one);
          for (const int32_t* two = around + *one * width; two < around + *one * width + std::min(k, width); ++two) {
            if (fresh(*two)) candidates.push_back(*two);
          }
        }
        distances.resize(candidates.size());
        best_gaps(rows + row * dimensions, rows, candidates.data(), static_cast<int64_t>(candidates.size()), dimensions, distances.data());
        for (size_t i = 0; i < candidates.size(); ++i) {
          if (!(distances[i] < squares[k - 1])) continue;
          int64_t at = k - 1;
          for (; at > 0 && squares[at - 1] > distances[i]; --at) {
            squares[at] = squares[at - 1];
            indices[at] = indices[at - 1];
          }
          squares[at] = distances[i];
          indices[at] = candidates[i];
        }
      }
    });
    return undefined(env);
  });
}

// d² → d^2b by table: the upper half of a float32 (exponent and seven bits) is the place, so that it is of a number at most 0.4 %
// off. Powers take most of the time otherwise.
struct Powers {
  std::vector<float> values = std::vector<float>(1 << 15);
  float exponent = 0;
  // Those of the last exponent are kept: a layout asks for them in each epoch.
  static const Powers& with(float exponent) {
    thread_local Powers kept;
    if (kept.exponent != exponent) kept.fill(exponent);
    return kept;
  }
  void fill(float wanted) {
    exponent = wanted;
    for (uint32_t place = 0; place < values.size(); ++place) {
      const uint32_t bits = (place << 16) | (1u << 15);
      float of;
      std::memcpy(&of, &bits, sizeof of);
      values[place] = std::pow(of, exponent);
    }
  }
  float of(float square) const {
    uint32_t bits;
    std::memcpy(&bits, &square, sizeof bits);
    return values[(bits >> 16) & 0x7fff];
  }
};

// An integer that looks drawn (Steele's and Vigna's finaliser).
inline uint32_t mixed(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x21f0aaadu;
  x = (x ^ (x >> 15)) * 0x735a2d97u;
  return x ^ (x >> 15);
}


constexpr float kLargestMove = 4;
constexpr int kNegatives = 5;

inline float clipped(float move) { return std::min(kLargestMove, std::max(-kLargestMove, move)); }

// layOutEpoch(points (N, 2), next (N, 2), starts (N + 1) int32, ends (E) int32, weights (E), epoch, rate, a, b): a step of each
// point along its edges, which hold both directions of each pair. A point moves by where the others were before this epoch, so
// that neither threads nor their order matter; an edge of weight w ≤ 1 is used in w of the epochs.
napi_value lay_out_epoch(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<9> arguments(env, info);
    const at::Tensor& before = require(to_tensor(env, arguments[0]), "points", at::kFloat, 2);
    const at::Tensor& after = require(to_tensor(env, arguments[1]), "next", at::kFloat, 2);
    const at::Tensor& edges = require(to_tensor(env, arguments[2]), "starts", at::kInt, 1);
    const at::Tensor& to = require(to_tensor(env, arguments[3]), "ends", at::kInt, 1);
    const at::Tensor& strengths = require(to_tensor(env, arguments[4]), "weights", at::kFloat, 1);
    const uint32_t epoch = static_cast<uint32_t>(to_int64(env, arguments[5], "epoch"));
    const float rate = static_cast<float>(to_double(env, arguments[6], "rate"));
    const float a = static_cast<float>(to_double(env, arguments[7], "a")), b = static_cast<float>(to_double(env, arguments[8], "b"));
    const int64_t count = before.size(0), size = to.size(0);
    const int32_t* const starts = edges.data_ptr<int32_t>();
    const int32_t* const ends = to.data_ptr<int32_t>();
    if (count < 1 || before.size(1) != 2 || !after.sizes().equals(before.sizes()) || edges.size(0) != count + 1 ||
        strengths.size(0) != size || starts[0] != 0 || starts[count] != size || !std::is_sorted(starts, starts + count + 1)) {
      throw std::runtime_error("points and next must be (N, 2), starts (N + 1) from 0 to the number of edges, ends and weights as many");
    }
    if (!std::all_of(ends, ends + size, [&](int32_t i) { return i >= 0 && i < count; })) {
      throw std::runtime_error("ends must be 0 to the number of points less 1");
    }
    const float* const points = before.data_ptr<float>();
    const float* const weights = strengths.data_ptr<float>();
    float* const next = after.data_ptr<float>();
    const Powers& powers = Powers::with(b);
    in_parallel(count, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t point = begin; point < end; ++point) {
        float x = points[2 * point], y = points[2 * point + 1];
        uint32_t state = mixed(static_cast<uint32_t>(point) * 0x9e3779b9u + epoch) | 1;
        for (int32_t edge = starts[point]; edge < starts[point + 1]; ++edge) {
          const float phase = static_cast<float>(static_cast<uint32_t>(edge) * 0x9e3779b9u >> 8) * 0x1p-24f;
          const float weight = weights[edge], place = static_cast<float>(epoch) * weight + phase;
          if (std::floor(place + weight) == std::floor(place)) continue;
          float dx = x - points[2 * ends[edge]], dy = y - points[2 * ends[edge] + 1];
          float square = dx * dx + dy * dy;
          if (square > 0) {
            const float power = powers.of(square);
            // Twice: the other point, which is moved as far in the original, stays where it is.
            const float pull = 2 * -2 * a * b * power / (square * (a * power + 1));
            x += rate * clipped(pull * dx);
            y += rate * clipped(pull * dy);
          }
          for (int sample = 0; sample < kNegatives; ++sample) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            const int64_t other = static_cast<int64_t>((static_cast<uint64_t>(state) * static_cast<uint64_t>(count)) >> 32);
            if (other == point) continue;
            dx = x - points[2 * other];
            dy = y - points[2 * other + 1];
            square = dx * dx + dy * dy;
            const float push = 2 * b / ((0.001f + square) * (a * powers.of(square) + 1));
            x += rate * clipped(push * dx);
            y += rate * clipped(push * dy);
          }
        }
        next[2 * point] = x;
        next[2 * point + 1] = y;
      }
    });
    return undefined(env);
  });
}

}  // namespace

void register_row_map(napi_env env, napi_value exports) {
  define(env, exports, "refineNeighbours", refine_neighbours);
  define(env, exports, "layOutEpoch", lay_out_epoch);
}

}  // namespace conquer
