// Sampling weights of negatives by distance, for JavaScript.
#include "distance-weights-kernel.h"
#include "environment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

namespace conquer {
namespace {

// distanceWeights(products (A, N), squares [(A,), (N,)] or [], labels Int32Array (A,), labels Int32Array (N,), far Float64Array
// (A,), weights (A, N), exponentOfDistance, exponentOfRest, leastSquare, floor, farWeight): fills the weights, a typed array of
// the products' dtype, float32 or float64; a row whose square is not finite gets NaN. Without squares they are the diagonal.
napi_value distance_weights_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<11> arguments(env, info);
    const at::Tensor& products = to_tensor(env, arguments[0]);
    const std::vector<at::Tensor> squares = to_tensor_list(env, arguments[1], "squares");
    const DistanceWeights by{to_double(env, arguments[6], "exponentOfDistance"), to_double(env, arguments[7], "exponentOfRest"),
                             to_double(env, arguments[8], "leastSquare"), to_double(env, arguments[9], "floor"),
                             to_double(env, arguments[10], "farWeight")};
    if (products.dim() != 2 || !products.device().is_cpu() || !products.is_contiguous()) {
      throw std::runtime_error("products must be (A, N), contiguous and on the CPU");
    }
    const int64_t num_rows = products.size(0), num_columns = products.size(1);
    const auto fits = [&](const at::Tensor& of, int64_t size) {
      return of.dim() == 1 && of.size(0) == size && of.scalar_type() == products.scalar_type() && of.device().is_cpu() && of.is_contiguous();
    };
    if (squares.empty() ? num_rows != num_columns : squares.size() != 2 || !fits(squares[0], num_rows) || !fits(squares[1], num_columns)) {
      throw std::runtime_error("squares must be (A,) and (N,), contiguous and on the CPU, or none for products (B, B)");
    }
    const int32_t* const row_labels = View<int32_t>(env, arguments[2], "labels of the rows").expect(num_rows, "labels of the rows").data;
    const int32_t* const column_labels = View<int32_t>(env, arguments[3], "labels of the columns").expect(num_columns, "labels of the columns").data;
    const double* const far = View<double>(env, arguments[4], "far").expect(num_rows, "far").data;
    const auto fill = [&](auto* of) {
      using Number = std::decay_t<decltype(*of)>;
      Number* const weights = View<Number>(env, arguments[5], "weights").expect(num_rows * num_columns, "weights").data;
      std::vector<Number> diagonal(squares.empty() ? num_rows : 0);
      for (size_t i = 0; i < diagonal.size(); ++i) diagonal[i] = of[i * num_columns + i];
      const WeighedRows<Number> rows{squares.empty() ? diagonal.data() : squares[0].data_ptr<Number>(), row_labels, num_rows};
      const WeighedRows<Number> columns{squares.empty() ? diagonal.data() : squares[1].data_ptr<Number>(), column_labels, num_columns};
      distance_weights(of, rows, columns, far, by, weights);
      for (int64_t i = 0; i < num_rows; ++i) {
        if (!std::isfinite(rows.squares[i])) std::fill_n(weights + i * num_columns, num_columns, std::numeric_limits<Number>::quiet_NaN());
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
