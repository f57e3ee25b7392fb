// Means of rows that are weighed by the rows' own softmax, with their gradient, for JavaScript. Its derivative is known as
// soon as its value is, so that one pass over it is all of the gradient; as operators it is six.
#include "environment.h"
#include "row-passes.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>

namespace conquer {
namespace {

// to = (x - the row's largest) / temperature
template <typename T>
void exponents(const T* x, int64_t rows, int64_t columns, T temperature, T* to) {
  for (int64_t row = 0; row < rows; ++row, x += columns, to += columns) {
    const T largest = *std::max_element(x, x + columns);
    for (int64_t i = 0; i < columns; ++i) to[i] = (x[i] - largest) / temperature;
  }
}

// mean = Σ p x, and of e^exponents their derivative p (1 + (x - mean) / temperature), p = e / Σ e
template <typename T>
void means(const T* x, int64_t rows, int64_t columns, T temperature, T* e, T* mean) {
  for (int64_t row = 0; row < rows; ++row, x += columns, e += columns) {
    const T sum = std::accumulate(e, e + columns, T(0));
    mean[row] = std::inner_product(e, e + columns, x, T(0)) / sum;
    for (int64_t i = 0; i < columns; ++i) e[i] = e[i] / sum * (1 + (x[i] - mean[row]) / temperature);
  }
}

struct SoftmaxMean : public torch::autograd::Function<SoftmaxMean> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, double temperature) {
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    const at::Tensor derivative = at::empty_like(x);
    const at::Tensor result = at::empty(x.sizes().slice(0, x.dim() - 1), x.options());
    by_type(x.scalar_type(), [&](auto number) {
      using T = decltype(number);
      const T* const from = x.data_ptr<T>();
      T* const to = derivative.data_ptr<T>();
      const T divisor = static_cast<T>(temperature);
      over_rows(rows, columns, [&](int64_t begin, int64_t end) {
        exponents(from + begin * columns, end - begin, columns, divisor, to + begin * columns);
      });
      derivative.exp_();  // libtorch's, in vectors
      T* const mean = result.data_ptr<T>();
      over_rows(rows, columns, [&](int64_t begin, int64_t end) {
        means(from + begin * columns, end - begin, columns, divisor, to + begin * columns, mean + begin);
      });
    });
    context->save_for_backward({derivative});
    return result;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    return {saved[0].mul(gradients[0].unsqueeze(-1)), at::Tensor()};
  }
};

// softmaxMean(x (…, K), temperature) → (…) Σ_k softmax_k(x / temperature) x_k, float32 or float64 on the CPU, contiguous.
napi_value softmax_mean_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    require_rows(x, "x");
    if (x.size(-1) == 0) throw std::runtime_error("x must be (…, K) with K > 0");
    FlushDenormals flush(Environment::of(env));
    return from_tensor(env, SoftmaxMean::apply(x, to_double(env, arguments[1], "temperature")));
  });
}

}  // namespace

void register_softmax_mean(napi_env env, napi_value exports) { define(env, exports, "softmaxMean", softmax_mean_of); }

}  // namespace conquer
