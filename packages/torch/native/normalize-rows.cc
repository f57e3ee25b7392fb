// Rows scaled to length 1, with their gradient, in one pass each way, for JavaScript. As operators it is four passes and
// some twenty for the gradient, and nearly every loss does it, of embeddings and of class weights.
#include "environment.h"
#include "normalize-rows-kernel.h"
#include "row-passes.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace conquer {
namespace {

struct NormalizeRows : public torch::autograd::Function<NormalizeRows> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, double eps) {
    const int64_t columns = x.size(-1), rows = columns == 0 ? 0 : x.numel() / columns;
    const at::Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
    const at::Tensor lengths = at::empty({rows}, x.options());
    by_type(x.scalar_type(), [&](auto number) {
      using T = decltype(number);
      const T* const from = x.data_ptr<T>();
      T* const to = y.data_ptr<T>();
      T* const sizes = lengths.data_ptr<T>();
      over_rows(rows, columns, [&](int64_t begin, int64_t end) {
        normalize_rows(from + begin * columns, end - begin, columns, eps, to + begin * columns, sizes + begin);
      });
    });
    context->save_for_backward({y, lengths});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& y = saved[0];
    const at::Tensor& lengths = saved[1];
    const at::Tensor given = gradients[0].contiguous();
    const at::Tensor out = at::empty_like(given, at::MemoryFormat::Contiguous);
    const int64_t columns = y.size(-1), rows = lengths.size(0);
    by_type(y.scalar_type(), [&](auto number) {
      using T = decltype(number);
      const T* const g = given.data_ptr<T>();
      const T* const unit = y.data_ptr<T>();
      const T* const sizes = lengths.data_ptr<T>();
      T* const to = out.data_ptr<T>();
      over_rows(rows, columns, [&](int64_t begin, int64_t end) {
        const int64_t at = begin * columns;
        normalize_rows_backward(g + at, unit + at, sizes + begin, end - begin, columns, to + at);
      });
    });
    return {out, at::Tensor()};
  }
};

// normalizeRows(x (…, D), eps) → x / max(|x|, eps) along the last dimension, of float32 or float64 on the CPU, contiguous.
napi_value normalize_rows_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    require_rows(x, "x");
    FlushDenormals flush(Environment::of(env));
    return from_tensor(env, NormalizeRows::apply(x, to_double(env, arguments[1], "eps")));
  });
}

}  // namespace

void register_normalize_rows(napi_env env, napi_value exports) { define(env, exports, "normalizeRows", normalize_rows_of); }

}  // namespace conquer
