// Rows as integers, as JavaScript holds them.
#pragma once

#include "environment.h"
#include "quantized-products.h"

namespace conquer {
namespace quantized {

// What is known of each of the rows, one line of `facts` each.
constexpr int64_t kFacts = 5;

// The numbers of JavaScript's side of rows (see packages/torch/src/quantized-rows.ts), looked at once they are checked.
struct Rows {
  Side side;
  int64_t count, dimensions, bytes, words;
};

inline Rows to_rows(napi_env env, napi_value packed, napi_value facts, int64_t count, int64_t dimensions) {
  const at::Tensor& numbers = to_tensor(env, packed);
  const int64_t bytes = numbers.scalar_type() == at::kShort ? 2 : 1;
  require(numbers, "packed", bytes == 2 ? at::kShort : at::kChar, 1);
  const at::Tensor& known = require(to_tensor(env, facts), "facts", at::kFloat, 2);
  if (dimensions < 1 || dimensions > kMostDimensions) throw std::runtime_error("quantized rows must have 1 to 65,536 numbers");
  if (count < 0 || count > std::numeric_limits<int32_t>::max() - kColumns) throw std::runtime_error("rows must be fewer than 2^31");
  const int64_t places = places_of(count), words = words_of(dimensions, bytes);
  if (known.size(0) != kFacts || known.size(1) != places || numbers.size(0) * bytes != places * words * 4) {
    throw std::runtime_error("packed rows and what is known of them do not fit their number");
  }
  if (!(bytes == 1 ? has_bytes() : has_words())) throw std::runtime_error("this processor has no instructions for products of integers");
  const float* const f = known.data_ptr<float>();
  const Side side = {static_cast<const uint8_t*>(numbers.data_ptr()), f, f + places, f + 2 * places, f + 3 * places, f + 4 * places};
  return {side, count, dimensions, bytes, words};
}

}  // namespace quantized
}  // namespace conquer
