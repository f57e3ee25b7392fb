// Inner products of rows with each other, with their gradient, for JavaScript: x xᵀ is symmetric, so that its gradient takes one
// product of matrices, where the operator's, which does not know that both are x, takes two.
#include "environment.h"

#include <torch/csrc/autograd/custom_function.h>

namespace conquer {
namespace {

struct SelfProducts : public torch::autograd::Function<SelfProducts> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return x.matmul(x.t());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const at::Tensor& g = gradients[0];
    return {g.add(g.t()).matmul(context->get_saved_variables()[0])};
  }
};

// selfProducts(x (N, D)) → x xᵀ (N, N), of floating point.
napi_value self_products_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const at::Tensor& x = to_tensor(env, Arguments<1>(env, info)[0]);
    if (x.dim() != 2 || !x.is_floating_point()) throw std::runtime_error("x must be (N, D), of floating point");
    FlushDenormals flush(Environment::of(env));
    return from_tensor(env, SelfProducts::apply(x));
  });
}

}  // namespace

void register_self_products(napi_env env, napi_value exports) { define(env, exports, "selfProducts", self_products_of); }

}  // namespace conquer
