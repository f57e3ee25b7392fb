// A row's nearest so far.
//
// A candidate is one int64: the bits of a non-negative float32, which order as the numbers do, above a 32-bit index.
// So plain integer order is by distance and then by index. A row keeps up to `capacity` candidates; when they are
// full, the `keep` smallest stay, and their largest is the threshold that a later distance must not exceed.
#pragma once

#include "environment.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace conquer {

inline int64_t key_of(float distance, int64_t index) {
  const float positive = distance > 0 ? distance : 0;  // rounding can take the distance of equal rows below 0
  uint32_t bits;
  std::memcpy(&bits, &positive, sizeof bits);
  return static_cast<int64_t>(bits) << 32 | index;
}

inline float distance_of(int64_t key) {
  const uint32_t bits = static_cast<uint32_t>(key >> 32);
  float distance;
  std::memcpy(&distance, &bits, sizeof distance);
  return distance;
}

inline int32_t index_of(int64_t key) { return static_cast<int32_t>(key & 0x7fffffff); }

struct Candidates {
  int64_t* keys;  // (rows, capacity)
  int32_t* counts;
  float* thresholds;
  int64_t capacity;
  int64_t keep;

  void add(int64_t row, float distance, int64_t index) const {
    int64_t* own = keys + row * capacity;
    if (counts[row] == capacity) {
      std::nth_element(own, own + keep - 1, own + capacity);
      counts[row] = static_cast<int32_t>(keep);
      thresholds[row] = distance_of(own[keep - 1]);
      if (!(distance <= thresholds[row])) return;
      if (keep == capacity) {  // the largest makes room
        own[keep - 1] = std::min(own[keep - 1], key_of(distance, index));
        return;
      }
    }
    own[counts[row]++] = key_of(distance, index);
  }
};

inline Candidates to_candidates(napi_env env, napi_value keys, napi_value counts, napi_value thresholds, int64_t keep) {
  const at::Tensor& all = require(to_tensor(env, keys), "keys", at::kLong, 2);
  const at::Tensor& how_many = require(to_tensor(env, counts), "counts", at::kInt, 1);
  const at::Tensor& limits = require(to_tensor(env, thresholds), "thresholds", at::kFloat, 1);
  if (how_many.size(0) != all.size(0) || limits.size(0) != all.size(0)) throw std::runtime_error("keys, counts and thresholds must have as many rows");
  if (keep < 1 || keep > all.size(1)) throw std::runtime_error("keep must be 1 to the capacity");
  const int32_t* const each = how_many.data_ptr<int32_t>();
  if (!std::all_of(each, each + how_many.size(0), [&](int32_t count) { return count >= 0 && count <= all.size(1); })) {
    throw std::runtime_error("counts must be 0 to the capacity");
  }
  return {all.data_ptr<int64_t>(), how_many.data_ptr<int32_t>(), limits.data_ptr<float>(), all.size(1), keep};
}

}  // namespace conquer
