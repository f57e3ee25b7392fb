// GELU for JavaScript. In float32, without gradients: libtorch 1.13 calls the C library's erff() for one number after the other. In bfloat16, with them:
// oneDNN's takes as long as half a layer's product.
#include "bfloat16-kernel.h"
#include "bfloat16-windows.h"
#include "environment.h"
#include "gelu-kernel.h"
#include "plain-tensor.h"
#include "thread-pool.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace conquer {
namespace {

// Numbers at a time: fewer are done by the time that another thread has woken.
constexpr int64_t kPiece = 1 << 14;

// body(begin, count) of `count` numbers in pieces.
template <typename F>
void in_pieces(int64_t count, const F& body) {
  const auto piece = [&](int64_t i) { body(i * kPiece, std::min(kPiece, count - i * kPiece)); };
  if (count <= 2 * kPiece) {
    for (int64_t i = 0; i * kPiece < count; ++i) piece(i);
  } else {
    on_kept_threads((count + kPiece - 1) / kPiece, piece);
  }
}

// gelu(x) → y, of float32 on the CPU.
napi_value gelu_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<1> arguments(env, info);
    const at::Tensor& given = to_tensor(env, arguments[0]);
    if (!is_plain(given, at::kFloat)) throw std::runtime_error("gelu: expected float32 on the CPU");
    const at::Tensor x = given.detach().contiguous();
    const at::Tensor y = at::empty_like(x);
    const float* const from = x.data_ptr<float>();
    float* const to = y.data_ptr<float>();
    const Environment& environment = Environment::of(env);
    in_pieces(x.numel(), [&](int64_t begin, int64_t count) {
      const FlushDenormals flush(environment);
      gelu(from + begin, count, to + begin);
    });
    return from_tensor(env, y);
  });
}

using bfloat16::halves;

struct HalfGelu : public torch::autograd::Function<HalfGelu> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& given) {
    const at::Tensor x = given.contiguous();
    const at::Tensor y = at::empty_like(x);
    in_pieces(x.numel(), [&](int64_t begin, int64_t count) { bfloat16::gelu(halves(x) + begin, count, halves(y) + begin); });
    context->save_for_backward({x});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const at::Tensor x = context->get_saved_variables()[0];
    const at::Tensor gradient = gradients[0].to(at::kBFloat16).contiguous();
    const at::Tensor of_x = at::empty_like(x);
    in_pieces(x.numel(), [&](int64_t begin, int64_t count) {
      bfloat16::gradient_of_gelu(halves(gradient) + begin, halves(x) + begin, count, halves(of_x) + begin);
    });
    return {of_x};
  }
};

// bfloat16Gelu(x) → y, of bfloat16 on the CPU, with gradients, on a processor for which trainsInBfloat16().
napi_value bfloat16_gelu_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<1> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    if (!is_plain(x, at::kBFloat16)) throw std::runtime_error("gelu: expected bfloat16 on the CPU");
    if (!bfloat16::is_fast()) throw std::runtime_error("gelu: this processor has no fast instructions for bfloat16");
    return from_tensor(env, HalfGelu::apply(x));
  });
}

}  // namespace

void register_gelu(napi_env env, napi_value exports) {
  define(env, exports, "gelu", gelu_of);
  define(env, exports, "bfloat16Gelu", bfloat16_gelu_of);
}

}  // namespace conquer
