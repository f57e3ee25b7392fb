// Sampling weights of negatives by distance, for JavaScript.
#include "distance-weights-kernel.h"
#include "environment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace conquer {
namespace {

// distanceWeights(products (B, B), labels Int32Array (B,), far Float64Array (B,), weights (B, B), exponentOfDistance,
// exponentOfRest, leastSquare, floor, farWeight): fills the weights, a typed array of the products' dtype, float32 or
// float64; a row whose product with itself is not finite gets NaN.
napi_value distance_weights_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<9> arguments(env, info);
    const at::Tensor& products = to_tensor(env, arguments[0]);
    const DistanceWeights by{to_double(env, arguments[4], "exponentOfDistance"), to_double(env, arguments[5], "exponentOfRest"),
                             to_double(env, arguments[6], "leastSquare"), to_double(env, arguments[7], "floor"),
                             to_double(env, arguments[8], "farWeight")};
    if (products.dim() != 2 || products.size(0) != products.size(1) || !products.device().is_cpu() || !products.is_contiguous()) {
      throw std::runtime_error("products must be (B, B), contiguous and on the CPU");
    }
    const int64_t size = products.size(0);
    const int32_t* const labels = View<int32_t>(env, arguments[1], "labels").expect(size, "labels").data;
    const double* const far = View<double>(env, arguments[2], "far").expect(size, "far").data;
    const auto fill = [&](auto* of) {
      using Number = std::decay_t<decltype(*of)>;
      Number* const weights = View<Number>(env, arguments[3], "weights").expect(size * size, "weights").data;
      distance_weights(of, labels, far, size, by, weights);
      for (int64_t i = 0; i < size; ++i) {
        if (!std::isfinite(of[i * size + i])) std::fill_n(weights + i * size, size, std::numeric_limits<Number>::quiet_NaN());
      }
    };
    if (products.scalar_type() == at::kFloat) {
      fill(products.data_ptr<float>());
    } else if (products.scalar_type() == at::kDouble) {
      fill(products.data_ptr<double>());
    } else {
      throw std::runtime_error("products must be float32 or float64");
    }
    return undefined(env);
  });
}

}  // namespace

void register_distance_weights(napi_env env, napi_value exports) { define(env, exports, "distanceWeights", distance_weights_of); }

}  // namespace conquer
