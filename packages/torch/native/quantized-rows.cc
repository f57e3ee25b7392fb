// Packs rows of float32 as integers, see quantized-products.h.
#include "quantized-rows.h"
#include "parallel.h"

#include <algorithm>
#include <vector>

namespace conquer {
namespace {

using namespace quantized;

// One row: its scale, by how much it is wrong and Σ q go to the facts, its words to their places.
template <typename Number>
void pack_row(const float* row, int64_t dimensions, float norm, Number* numbers, uint8_t* to, int64_t words, float& scale, double& error, float& sum) {
  float largest = 0;
  for (int64_t d = 0; d < dimensions; ++d) largest = std::max(largest, std::fabs(row[d]));
  // Bytes reach to the largest number; those of 16 bits to the norm, as sums of their products would leave 32 bits otherwise.
  scale = sizeof(Number) == 1 ? largest / 127 : norm / 32766;
  const float inverse = scale > 0x1p-100f ? 1 / scale : 0;
  const float most = sizeof(Number) == 1 ? 127 : 32767;
  double square = 0;
  int64_t total = 0;
  for (int64_t d = 0; d < dimensions; ++d) {
    const float place = std::min(most, std::max(-most, row[d] * inverse));
    // Which way halves go does not matter: the error is measured.
    const int32_t whole = static_cast<int32_t>(place < 0 ? place - 0.5f : place + 0.5f);
    const double rest = static_cast<double>(row[d]) - static_cast<double>(scale) * whole;
    square += rest * rest;
    total += whole;
    numbers[d] = static_cast<Number>(whole);
  }
  error = std::sqrt(square);
  sum = static_cast<float>(total);
  for (int64_t p = 0; p < words; ++p) std::memcpy(to + p * 4 * kTogether, reinterpret_cast<const uint8_t*>(numbers) + 4 * p, 4);
}

// quantizedBits() → how many bits the products of integers take that this processor has instructions for: 8, 16, or 0 for none.
napi_value quantized_bits(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<0> arguments(env, info);
    return from_double(env, has_bytes() ? 8 : has_words() ? 16 : 0);
  });
}

// packQuantized(rows (B, D) float32, squares (B), error, packed, facts, first, count): the rows, |x|² = squares, as the rows `first`, `first` + 1, … of `count` that
// `packed` and `facts` have places for; the last ones fill what lies beyond too. Each row may be wrong by error · |x| already.
napi_value pack_quantized(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<7> arguments(env, info);
    const at::Tensor& rows = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const at::Tensor& squares = require(to_tensor(env, arguments[1]), "squares", at::kFloat, 1);
    const double before = to_double(env, arguments[2], "error");
    const int64_t first = to_int64(env, arguments[5], "first"), count = to_int64(env, arguments[6], "count");
    const int64_t some = rows.size(0), dimensions = rows.size(1);
    const Rows to = to_rows(env, arguments[3], arguments[4], count, dimensions);
    if (squares.size(0) != some) throw std::runtime_error("there must be as many squares as rows");
    if (first < 0 || first > count - some) throw std::runtime_error("the rows reach beyond their places");
    if (!(before >= 0)) throw std::runtime_error("error must be 0 or more");
    uint8_t* const packed = const_cast<uint8_t*>(to.side.packed);
    float* const facts = const_cast<float*>(to.side.scales);
    const int64_t places = places_of(count), end = first + some == count ? places : first + some;
    in_parallel(end - first, 256, [&](int64_t begin, int64_t until) {
      std::vector<int32_t> numbers(static_cast<size_t>(to.words));
      for (int64_t i = begin; i < until; ++i) {
        const int64_t at = first + i;
        uint8_t* const place = packed + at / kTogether * kTogether * 4 * to.words + at % kTogether * 4;
        float* const own = facts + at;
        std::fill(numbers.begin(), numbers.end(), 0);
        if (i >= some) {
          for (int64_t p = 0; p < to.words; ++p) std::memset(place + p * 4 * kTogether, 0, 4);
          for (int64_t fact = 0; fact < kFacts; ++fact) own[fact * places] = fact == 1 ? std::numeric_limits<float>::infinity() : 0;
          continue;
        }
        const float* const row = rows.data_ptr<float>() + i * dimensions;
        const float square = squares.data_ptr<float>()[i], norm = std::sqrt(square);
        double error;
        if (to.bytes == 1) {
          pack_row(row, dimensions, norm, reinterpret_cast<int8_t*>(numbers.data()), place, to.words, own[0], error, own[4 * places]);
        } else {
          pack_row(row, dimensions, norm, reinterpret_cast<int16_t*>(numbers.data()), place, to.words, own[0], error, own[4 * places]);
        }
        own[places] = square;
        own[2 * places] = norm * (1 + 0x1p-20f) + 0x1p-60f;
        own[3 * places] = static_cast<float>(error + before * norm) * (1 + 0x1p-20f) + 0x1p-60f;
      }
    });
    return undefined(env);
  });
}

}  // namespace

void register_quantized_rows(napi_env env, napi_value exports) {
  define(env, exports, "quantizedBits", quantized_bits);
  define(env, exports, "packQuantized", pack_quantized);
}

}  // namespace conquer
