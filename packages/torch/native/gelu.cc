// GELU without gradients, for JavaScript: libtorch 1.13 calls the C library's erff() for one number after the other.
#include "environment.h"
#include "gelu-kernel.h"
#include "thread-pool.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>

namespace conquer {
namespace {

// Numbers at a time: fewer are done by the time that another thread has woken.
constexpr int64_t kPiece = 1 << 14;

// gelu(x) → y, of float32 on the CPU.
napi_value gelu_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<1> arguments(env, info);
    const at::Tensor& given = to_tensor(env, arguments[0]);
    if (given.layout() != at::kStrided || given.scalar_type() != at::kFloat || !given.device().is_cpu() || given.is_neg()) {
      throw std::runtime_error("gelu: expected float32 on the CPU");
    }
    const at::Tensor x = given.detach().contiguous();
    const at::Tensor y = at::empty_like(x);
    const float* const from = x.data_ptr<float>();
    float* const to = y.data_ptr<float>();
    const int64_t count = x.numel();
    const Environment& environment = Environment::of(env);
    const auto piece = [&](int64_t i) {
      const FlushDenormals flush(environment);
      const int64_t begin = i * kPiece;
      gelu(from + begin, std::min(kPiece, count - begin), to + begin);
    };
    if (count <= 2 * kPiece) {
      for (int64_t i = 0; i * kPiece < count; ++i) piece(i);
    } else {
      on_kept_threads((count + kPiece - 1) / kPiece, piece);
    }
    return from_tensor(env, y);
  });
}

}  // namespace

void register_gelu(napi_env env, napi_value exports) { define(env, exports, "gelu", gelu_of); }

}  // namespace conquer
